"""What Access reads from its environment."""

from __future__ import annotations

from tributary.environment.clients import client
from tributary.environment.warehouse_address import WarehouseAddress
from tributary.errors import ConfigError
from tributary.redshift.data_api import Warehouse


class AccessEnvironment(WarehouseAddress):
    """What Access, an administrator of the warehouse, reads from its environment."""

    loader: str  # the pipeline's database user
    admin_secret: str | None = None  # its ARN or name; None if an administrator prepares the warehouse

    @property
    def warehouse(self) -> Warehouse:
        """Return the warehouse, as its administrator."""
        if self.admin_secret is None:
            raise ConfigError(
                "environment variable ADMIN_SECRET is not set; deploy the stack with AdminSecretName"
            )
        return Warehouse(client("redshift-data"), {**self._address(), "SecretArn": self.admin_secret})
