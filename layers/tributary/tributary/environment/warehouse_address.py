"""Where the warehouse is, as the functions that ask it read it from their environment."""

from __future__ import annotations

from tributary.environment.clients import client
from tributary.environment.variables import Environment
from tributary.errors import ConfigError
from tributary.redshift.data_api import Warehouse


class WarehouseAddress(Environment):
    """The variables of a function that asks the warehouse."""

    warehouse_database: str
    warehouse_cluster: str | None = None  # a provisioned cluster's identifier, else there is a workgroup
    warehouse_workgroup: str | None = None

    def _address(self) -> dict[str, str]:
        if self.warehouse_cluster:
            return {"Database": self.warehouse_database, "ClusterIdentifier": self.warehouse_cluster}
        if self.warehouse_workgroup:
            return {"Database": self.warehouse_database, "WorkgroupName": self.warehouse_workgroup}
        raise ConfigError(
            "environment variables WAREHOUSE_WORKGROUP and WAREHOUSE_CLUSTER are both not set; "
            "the template declares one of them"
        )


class PipelineWarehouse(WarehouseAddress):
    """The variables of a function that asks it as the pipeline's own database user."""

    warehouse_db_user: str | None = None  # of a cluster; in a workgroup the function's role is the user

    @property
    def warehouse(self) -> Warehouse:
        """Return the warehouse, as the pipeline's own database user."""
        address = self._address()
        if self.warehouse_cluster:
            if not self.warehouse_db_user:
                raise ConfigError(
                    "environment variable WAREHOUSE_DB_USER is not set; "
                    "the template declares it, from ClusterDbUser"
                )
            address["DbUser"] = self.warehouse_db_user
        return Warehouse(client("redshift-data"), address)
