"""Pause and resume, by a person or by a run's report: a source's schedule, or a table of its runs.

What is said is checked against the source files first, so that a typing error changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tributary.config import loader
from tributary.config.models import Source
from tributary.config.selection import matching
from tributary.errors import ConfigError
from tributary.model.documents import Document
from tributary.model.source_catalog import TableName
from tributary.reporting import ops_item
from tributary.stack.scheduler import Schedules, State
from tributary.storage import source_health
from tributary.storage.bucket import Bucket

WRITE = (
    'write {"pause": "shop"}, {"resume": "shop"} or {"resume": {"source": "shop", "table": "public.orders"}}'
)


class Which(BaseModel):
    """A source, or one of its tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    table: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


class PauseRequest(BaseModel):
    """What the function is called with: exactly one of `pause` and `resume`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pause: Which | None = None
    resume: Which | None = None

    @classmethod
    def parse(cls, event: dict[str, Any]) -> PauseRequest:
        """Return what is asked for; raises ConfigError that says what to write."""
        try:
            asked = cls.model_validate(event)
        except ValidationError:
            raise ConfigError(f"this is no call of the schedules function; {WRITE}") from None
        if (asked.pause is None) == (asked.resume is None):
            raise ConfigError(f"a call either pauses or resumes; {WRITE}")
        return asked


class PauseState(Document):
    """How it stands after a call. `schedule`: the state of the source's schedule, None where it has none."""

    source: str
    table: str | None
    paused: bool
    schedule: State | None


def apply(
    asked: PauseRequest, sources: Path, bucket: Bucket, schedules: Schedules, ops_center: Any
) -> PauseState:
    """Pause or resume; repeatable. Raises ConfigError for a source or table that is not known."""
    which = asked.pause or asked.resume
    assert which is not None
    source = loader.find(sources, which.source)
    if which.table is not None:
        check(source, which.table, to="pause" if asked.pause else "resume")
    if asked.pause:
        schedule = _schedule(schedules, which, "DISABLED")  # first: no run begins on a standing half written
        before, after = source_health.pause(bucket, source.name, which.table)
    else:
        before, after = source_health.resume(bucket, source.name, which.table)
        schedule = _schedule(schedules, which, "ENABLED")
    ops_item.follow(ops_center, bucket, before, after)
    return PauseState(source=source.name, table=which.table, paused=bool(asked.pause), schedule=schedule)


def _schedule(schedules: Schedules, which: Which, state: State) -> State | None:
    """Return the state of the source's schedule, which only a call about the whole source changes."""
    return schedules.state(which.source) if which.table else schedules.switch(which.source, state)


def check(source: Source, table: str, *, to: Literal["pause", "resume"]) -> None:
    """Raise ConfigError unless the source's file selects the table, named as reports name it.

    A failed entry is reported as it is written, so that one may be resumed too.
    """
    written = [str(entry.name or entry.include) for entry in source.tables]
    if to == "resume" and table in written:
        return
    schema, dot, name = table.partition(".")
    if not dot or "*" in table or not _selected(source, TableName(schema, name)):
        raise ConfigError(
            f'"{table}" is not a table of {source.name}; name it as reports do, with its schema. '
            f"{source.name}.yaml selects {', '.join(written)}"
        )


def _selected(source: Source, table: TableName) -> bool:
    for entry in source.tables:
        if entry.name:
            found = matching(entry.name, [table], pattern=False)
        else:
            found = matching(str(entry.include), [table])
            found = [] if any(matching(pattern, [table]) for pattern in entry.exclude) else found
        if found:
            return True
    return False
