"""An execution that ended without coming to Report, as EventBridge tells of it.

The event's `detail` is what DescribeExecution answers (Step Functions Developer Guide, "Events for
execution status changes"). It may come twice, late, or not at all.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

WORDS = {
    "ABORTED": ("Aborted", "the execution was stopped; start the source again, or wait for its schedule"),
    "TIMED_OUT": ("TimedOut", "the execution was under way for longer than the state machine allows"),
}


class Detail(BaseModel):
    """The part of the event that is about the execution; `input` None where it was too large to tell."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    execution_arn: str = Field(alias="executionArn")
    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    input: str | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def source(self) -> str | None:
        """Return the source that the execution was started for, None where its input names none."""
        try:
            given = json.loads(self.input or "")
        except ValueError:
            return None
        source = given.get("source") if isinstance(given, dict) else None
        return source if isinstance(source, str) else None

    @property
    def failure(self) -> dict[str, str]:
        """Return Error and Cause as Step Functions hands them to a state that catches.

        A person's cause of a stop is not repeated: it may hold anything.
        """
        if self.status in WORDS:
            name, message = WORDS[self.status]
            return {"Error": name, "Cause": json.dumps({"errorMessage": message})}
        return {"Error": self.error or "Unknown", "Cause": self.cause or ""}


def parse(event: dict[str, Any]) -> Detail:
    """Return what the event says of its execution."""
    return Detail.model_validate(event["detail"])
