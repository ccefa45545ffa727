"""The input of an execution, which a schedule or a person writes, and the request that it makes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from tributary.config.models import Share
from tributary.errors import ConfigError
from tributary.model.plan import ReadRequest
from tributary.planning.run_request import RunRequest


class ExecutionInput(BaseModel):
    """The input, with the execution's own name and start, which the state machine adds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    tables: tuple[str, ...] | None = None
    full_refresh: bool = Field(default=False, strict=True)
    since: StrictStr | StrictInt | None = Field(default=None, alias="from")
    before: StrictStr | StrictInt | None = Field(default=None, alias="to")
    replay: bool = Field(default=False, strict=True)
    may_vanish: Share | None = None
    execution_arn: str
    started_at: str

    @classmethod
    def parse(cls, event: dict[str, Any]) -> ExecutionInput:
        """Return the input; raises ConfigError that names the field."""
        try:
            return cls.model_validate(event)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "the input"
            raise ConfigError(
                f'execution input, {field}: {first["msg"]}; write {{"source": "shop"}}, optionally with '
                '"tables": ["public.orders"], "full_refresh": true, "from": "2026-01-01 00:00:00", "to": '
                '"2026-02-01 00:00:00", "replay": true and "may_vanish": "100%"'
            ) from None

    @property
    def request(self) -> RunRequest:
        """Return what the run is to do."""
        return RunRequest(
            source=self.source,
            execution_arn=self.execution_arn,
            started_at=self.started_at,
            tables=self.tables,
            full_refresh=self.full_refresh,
            read_request=self._read_request,
            may_vanish=self.may_vanish,
        )

    @property
    def _read_request(self) -> ReadRequest | None:
        since, before = (None if bound is None else str(bound) for bound in (self.since, self.before))
        if self.replay:
            return ReadRequest(what="replay", since=since, before=before)
        if since is None and before is None:
            return None
        return ReadRequest(what="from" if before is None else "window", since=since, before=before)
