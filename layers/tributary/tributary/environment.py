"""What a function reads from its environment, and the clients it makes from that.

Read inside the handler, never at import: a missing variable is an error that names it.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from tributary.errors import ConfigError
from tributary.redshift.data_api import Warehouse
from tributary.storage.bucket import Bucket

if TYPE_CHECKING:
    from tributary.loading.external_tables import RawTables


def variable(name: str) -> str:
    """Return the environment variable; raises ConfigError where it is missing or empty."""
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set; the template declares it")
    return value


@cache
def client(service: str) -> Any:
    """Return the process's client of an AWS service, made once.

    By botocore, which makes boto3's clients too: boto3 itself takes a tenth of a cold start.
    """
    from botocore.config import Config

    return _session().create_client(service, config=Config(retries={"mode": "standard", "max_attempts": 5}))


@cache
def _session() -> Any:
    """Return the one session, whose clients share what they have read of AWS's services."""
    from botocore.session import get_session

    return get_session()


def raw_bucket() -> Bucket:
    """Return the raw bucket."""
    return Bucket(client("s3"), variable("RAW_BUCKET"))


def raw_tables() -> RawTables | None:
    """Return where the raw layer's external tables stand, None where there are to be none."""
    schema = os.environ.get("RAW_SCHEMA", "")
    if not schema:
        return None
    from tributary.loading.external_tables import RawTables  # Load alone has them

    return RawTables(schema, int(variable("RAW_RETENTION_DAYS")))


def warehouse(*, admin_secret: str | None = None) -> Warehouse:
    """Return the warehouse: a Serverless workgroup, or a cluster with its database user.

    With the ARN of an administrator's secret, statements run as that user.
    """
    where = {"Database": variable("WAREHOUSE_DATABASE")}
    if os.environ.get("WAREHOUSE_CLUSTER"):
        where["ClusterIdentifier"] = variable("WAREHOUSE_CLUSTER")
    else:
        where["WorkgroupName"] = variable("WAREHOUSE_WORKGROUP")
    if admin_secret:
        where["SecretArn"] = admin_secret
    elif os.environ.get("WAREHOUSE_CLUSTER"):
        where["DbUser"] = variable("WAREHOUSE_DB_USER")
    return Warehouse(client("redshift-data"), where)
