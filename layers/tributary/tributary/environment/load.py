"""What Load reads from its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tributary.environment.variables import RawBucketEnvironment
from tributary.environment.warehouse_address import PipelineWarehouse

if TYPE_CHECKING:
    from tributary.loading.external_tables import ExternalSchema


class LoadEnvironment(RawBucketEnvironment, PipelineWarehouse):
    """What Load reads from its environment."""

    copy_role_arn: str  # the role by which the warehouse reads chunks
    raw_schema: str | None = None  # of the raw layer's external tables; None for no such tables
    raw_retention_days: int = Field(ge=0)  # after which the raw layer's objects are deleted, 0 for never

    @property
    def external_schema(self) -> ExternalSchema | None:
        """Return the schema of the raw layer's external tables, None if the stack has none."""
        if self.raw_schema is None:
            return None
        from tributary.loading.external_tables import ExternalSchema  # no other function needs it

        return ExternalSchema(self.raw_schema, self.raw_retention_days)
