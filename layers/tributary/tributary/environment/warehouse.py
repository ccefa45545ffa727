"""What Warehouse reads from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tributary.environment.access import AccessEnvironment
from tributary.environment.variables import Environment


class WarehouseEnvironment(AccessEnvironment):
    """What Warehouse, which prepares the warehouse as its administrator, reads from its environment."""

    raw_schema: str | None = None  # of the raw layer's external tables; None for no such tables
    copy_role_arn: str  # the role by which the warehouse reads the raw layer
    workgroup_arn: str | None = None  # of the stack's own workgroup; None if others use the warehouse too
    sources_dir: Path = Path("/opt")  # the folder of the source files

    @property
    def source_names(self) -> list[str]:
        """Return the names of the stack's sources: those of their files."""
        return sorted(path.stem for path in self.sources_dir.glob("*.yaml"))


class UsageLimitEnvironment(Environment):
    """What Warehouse reads from its environment to limit the use of the stack's own workgroup."""

    workgroup_arn: str
    monthly_rpu_hours: int = Field(ge=0)  # 0 once there is to be no limit: the resource is deleted then
    usage_limit_action: str
