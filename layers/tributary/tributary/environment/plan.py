"""What Plan reads from its environment."""

from __future__ import annotations

from pydantic import Field

from tributary.environment.variables import RawBucketEnvironment, SourcesEnvironment
from tributary.environment.warehouse_address import PipelineWarehouse


class PlanEnvironment(RawBucketEnvironment, SourcesEnvironment, PipelineWarehouse):
    """What Plan reads from its environment."""

    max_extractions: int = Field(default=40, ge=1)  # of a run at once, so that they fit the account
