"""Bootstrap: what the warehouse must have before the first run, made again and again without harm."""

from __future__ import annotations

from . import control
from .data_api import Warehouse
from .sql import literal, quote


def bootstrap(warehouse: Warehouse, *, loader: str, database: str) -> None:
    """Create the pipeline's database user, the control tables and the grants, where missing.

    Raises LoadFailed where the caller is no administrator of the warehouse.
    """
    name = "tributary/bootstrap"
    [found] = warehouse.run([f"SELECT usename FROM pg_user WHERE usename = {literal(loader)}"], name)
    user = [] if found else [f"CREATE USER {quote(loader)} PASSWORD DISABLE"]
    warehouse.run([*user, *control.create(), *control.grant(loader, database)], name)
