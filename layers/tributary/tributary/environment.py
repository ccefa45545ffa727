"""What each function reads from its environment, and the clients that it makes of that.

A handler reads its model when it is called, never at import: a missing variable is a ConfigError that
names it. An empty variable counts as missing, since a template cannot leave one out.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tributary.errors import ConfigError
from tributary.redshift.data_api import Warehouse
from tributary.storage.bucket import Bucket

if TYPE_CHECKING:
    from tributary.loading.external_tables import ExternalSchema


# An address that never answers must become an error of ours before the function's own time is over: with
# botocore's defaults that takes 5 minutes.
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
ATTEMPTS = 4


@cache
def client(service: str) -> Any:
    """Return the process's client of an AWS service, made once."""
    from botocore.config import Config  # importing takes most of a client's time, and not all calls need one

    return _session().client(
        service,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
        ),
    )


@cache
def _session() -> Any:
    """Return the one session, whose clients share what they have read of AWS's services."""
    from boto3.session import Session

    return Session()


class Environment(BaseModel):
    """The variables of a function, each named as its field in capitals."""

    # Deferred, since a function reads one model, and building them all takes 5 ms of each cold start.
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper, defer_build=True)

    @classmethod
    def read(cls) -> Self:
        """Return the function's variables; raises ConfigError that names the first wrong one."""
        try:
            return cls.model_validate({name: value for name, value in os.environ.items() if value})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = first["loc"][0]
            fault = "is not set" if first["type"] == "missing" else f"is wrong ({first['msg']})"
            raise ConfigError(f"environment variable {name} {fault}; the template declares it") from None

    @classmethod
    def variables(cls) -> set[str]:
        """Return the names of the variables that the model reads."""
        return {str(field.alias) for field in cls.model_fields.values()}


class _RawBucket(Environment):
    raw_bucket: str  # the bucket's name

    @property
    def bucket(self) -> Bucket:
        """Return the raw bucket."""
        return Bucket(client("s3"), self.raw_bucket)


class _Sources(Environment):
    sources_dir: Path = Path("/opt")  # the folder of the source files
    secret_prefix: str = Field(default="tributary/")  # of the secrets that the stack's functions may read


class _Warehouse(Environment):
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


class _PipelineWarehouse(_Warehouse):
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


class PlanEnvironment(_RawBucket, _Sources, _PipelineWarehouse):
    """What Plan reads from its environment."""

    max_extractions: int = Field(default=40, ge=1)  # of a run at once, so that they fit the account


class ExtractEnvironment(_RawBucket):
    """What Extract reads from its environment."""

    chunk_size_bytes: int = Field(gt=0)  # of a chunk on S3, about
    chunk_codec: Literal["snappy", "zstd"] = "snappy"


class LoadEnvironment(_RawBucket, _PipelineWarehouse):
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


class ReportEnvironment(_RawBucket):
    """What Report reads from its environment."""

    topic_arn: str
    schedules_function: str
    access_function: str | None = None  # None if the stack has no administrator's secret
    warehouse_rpus: int = Field(ge=0)  # of the stack's own warehouse, 0 if it has none


class ScheduleSetupEnvironment(_Sources):
    """What Schedules reads from its environment as the stack's custom resource."""

    schedule_group: str
    state_machine_arn: str  # what schedules start, with which role, and where failed starts go
    scheduler_role_arn: str
    dead_letters_arn: str


class SchedulesEnvironment(_Sources, _RawBucket):
    """What Schedules reads from its environment when it is called to pause or to resume."""

    schedule_group: str


class AccessEnvironment(_Warehouse):
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
