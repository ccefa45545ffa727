"""Pause and resume a source's schedule or one of its tables, as a person or a run's report asks.

Names are checked against the source files first, so that a typing error changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tributary.config import loader
from tributary.config.models import Source
from tributary.config.selection import selecting_entry
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


class PauseTarget(BaseModel):
    """A source, or one of its tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    table: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


class PauseRequest(BaseModel):
    """The event of the function: exactly one of `pause` and `resume`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pause: PauseTarget | None = None
    resume: PauseTarget | None = None

    @classmethod
    def parse(cls, event: dict[str, Any]) -> PauseRequest:
        """Return the request; raises ConfigError that says what to write."""
        try:
            request = cls.model_validate(event)
        except ValidationError:
            raise ConfigError(f"the event of the schedules function is not valid; {WRITE}") from None
        if (request.pause is None) == (request.resume is None):
            raise ConfigError(f"a call either pauses or resumes; {WRITE}")
        return request


class PauseState(Document):
    """The state after a call. `schedule` is that of the source's schedule, None if it has none."""

    source: str
    table: str | None
    paused: bool
    schedule: State | None


def apply(
    request: PauseRequest, sources: Path, bucket: Bucket, schedules: Schedules, ops_center: Any
) -> PauseState:
    """Pause or resume; repeatable. Raises ConfigError for an unknown source or table."""
    target = request.pause or request.resume
    assert target is not None
    source = loader.find(sources, target.source, secret_prefix="")  # its secret is not read
    if target.table is not None:
        check(source, target.table, to="pause" if request.pause else "resume")
    if request.pause:
        schedule = _schedule(
            schedules, target, "DISABLED"
        )  # first, so that no run starts before the pause is stored
        before, after = source_health.pause(bucket, source.name, target.table)
    else:
        before, after = source_health.resume(bucket, source.name, target.table)
        schedule = _schedule(schedules, target, "ENABLED")
    ops_item.follow(ops_center, bucket, before, after)
    return PauseState(source=source.name, table=target.table, paused=bool(request.pause), schedule=schedule)


def _schedule(schedules: Schedules, target: PauseTarget, state: State) -> State | None:
    """Return the state of the source's schedule, after changing it for a call about the whole source."""
    return schedules.state(target.source) if target.table else schedules.switch(target.source, state)


def check(source: Source, table: str, *, to: Literal["pause", "resume"]) -> None:
    """Raise ConfigError unless the source's file selects the table, named as reports name it.

    An entry that finds no table is reported as it is written, so it can be resumed by that too.
    """
    written = [str(entry.name or entry.include) for entry in source.tables]
    if to == "resume" and table in written:
        return
    if "." not in table or "*" in table or selecting_entry(source, TableName.parse(table)) is None:
        raise ConfigError(
            f'"{table}" is not a table of {source.name}; name it as reports do, with its schema. '
            f"{source.name}.yaml selects {', '.join(written)}"
        )
