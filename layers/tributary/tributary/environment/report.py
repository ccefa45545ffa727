"""What Report reads from its environment."""

from __future__ import annotations

from pydantic import Field

from tributary.environment.variables import RawBucketEnvironment


class ReportEnvironment(RawBucketEnvironment):
    """What Report reads from its environment."""

    topic_arn: str
    schedules_function: str
    access_function: str | None = None  # None if the stack has no administrator's secret
    warehouse_rpus: int = Field(ge=0)  # of the stack's own warehouse, 0 if it has none
