"""How an execution came to its end: the state machine says so itself, or EventBridge does for it.

EventBridge's `detail` is what DescribeExecution answers (Step Functions Developer Guide, "Events for
execution status changes"). Its events may come twice, late, or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tributary.model.documents import Document

SOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}")  # names of source files (config.models.NAME)
UNFINISHED = {
    "ABORTED": ("Aborted", "the execution was stopped; start the source again, or wait for its schedule"),
    "TIMED_OUT": ("TimedOut", "the execution was running for longer than the state machine allows"),
}


@dataclass(frozen=True, slots=True)
class ExecutionEnd:
    """How an execution came to its end."""

    source: str | None
    run_id: str | None
    execution_arn: str
    skipped: bool
    error: Mapping[str, str] | None  # Step Functions' Error and Cause
    broken_off: bool = False  # ended without reaching Report: one of its steps may still be working


class ReportEvent(Document):
    """The input of Report from the state machine; `error` is what Step Functions caught."""

    source: str | None
    run_id: str | None
    status: str
    execution_arn: str
    error: dict[str, str] | None

    @property
    def end(self) -> ExecutionEnd:
        """Return how the execution ended."""
        skipped = self.status == "skipped"
        return ExecutionEnd(self.source, self.run_id, self.execution_arn, skipped, self.error)


class Detail(BaseModel):
    """The part of EventBridge's event that is about the execution."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    execution_arn: str = Field(alias="executionArn")
    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    input: str | None = None  # None if it was too large for the event
    error: str | None = None
    cause: str | None = None

    @property
    def end(self) -> ExecutionEnd:
        """Return how the execution ended."""
        return ExecutionEnd(self._source, None, self.execution_arn, False, self._failure, broken_off=True)

    @property
    def _source(self) -> str | None:
        """Return the source that the execution was started for, None if its input names none."""
        try:
            execution_input = json.loads(self.input or "")
        except (ValueError, RecursionError):  # which is for deeply nested lists
            return None
        source = execution_input.get("source") if isinstance(execution_input, dict) else None
        return source if isinstance(source, str) else None

    @property
    def _failure(self) -> dict[str, str]:
        """Return Error and Cause, as a state that catches would have got them.

        The cause that a person gave when stopping is not repeated: it may hold anything.
        """
        if self.status in UNFINISHED:
            name, message = UNFINISHED[self.status]
            return {"Error": name, "Cause": json.dumps({"errorMessage": message})}
        return {"Error": self.error or "Unknown", "Cause": self.cause or ""}


def parse(event: dict[str, Any]) -> ExecutionEnd:
    """Return how the execution ended, from the event of the state machine or of EventBridge."""
    model = Detail.model_validate(event["detail"]) if "detail" in event else ReportEvent.model_validate(event)
    end = model.end
    if end.source is not None and not SOURCE.fullmatch(end.source):
        return replace(end, source=None)  # no source has that name, and no key, metric or subject can
    return end
