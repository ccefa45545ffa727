"""Every error Tributary raises on purpose; one axis decides who acts on it.

TributaryError
 - TransientError            the state machine retries it, three times
    - SourceUnavailable      the source did not answer, or closed the connection
    - QueryCancelled         the source cancelled a query: a smaller page may succeed
    - WarehouseUnavailable   the warehouse or its API was busy, asleep or throttled
    - StorageUnavailable     S3 refused for now
    - SchedulerUnavailable   EventBridge Scheduler was busy or out of reach
    - ServiceUnavailable     another AWS service was busy or out of reach
 - PermanentError            a person must act
    - ConfigError            a source file or an execution's input is wrong
    - SecretError            the secret is missing or is not the JSON object it must be
    - SourceRefused          the source refused our user, our TLS or our database name
    - TableRefused           a table cannot be read as configured
    - TableGone              a table that was loaded before is missing, or may not be read any more
    - UnsupportedType        a column's type is not supported yet
    - ValueRefused           a value exists that the warehouse cannot hold
    - KeyNotUnique           the configured key does not identify a row
    - ImageRefused           a full refresh would remove more of a table than is allowed
    - ReplayRefused          the raw layer does not have all chunks of a table
    - LoadFailed             COPY, MERGE or another warehouse statement failed
    - AccessFailed           who may see loaded tables was not set as the source's file demands
    - ScheduleRefused        EventBridge Scheduler does not take a schedule
    - LeaseLost              another run of the source has taken over
    - PlanOutdated           the run was planned by another version of Tributary
    - InternalError          a bug, or a foreign error reduced to its type and place

Step Functions matches an error by its bare class name, without inheritance: the names are an
interface, and a test holds the state machine's Retry lists against the transient ones.
Messages say what, where and what to do. They never carry a value of a row, a key, a cursor or a
secret, and no foreign error's text: that is reduced to its code, column, type or file.
"""


class TributaryError(Exception):
    """The root: every error that Tributary raises on purpose."""


class TransientError(TributaryError):
    """A retry may succeed."""


class SourceUnavailable(TransientError):
    """The source did not answer, or closed the connection."""


class QueryCancelled(TransientError):
    """The source cancelled a query: a smaller page may succeed."""


class WarehouseUnavailable(TransientError):
    """The warehouse or its API was busy, asleep or throttled."""


class StorageUnavailable(TransientError):
    """S3 refused for now."""


class SchedulerUnavailable(TransientError):
    """EventBridge Scheduler was busy or out of reach."""


class ServiceUnavailable(TransientError):
    """Another AWS service was busy or out of reach."""


class PermanentError(TributaryError):
    """A retry does not help: a person must act."""


class ConfigError(PermanentError):
    """A source file or an execution's input is wrong."""


class SecretError(PermanentError):
    """The secret is missing or is not the JSON object it must be."""


class SourceRefused(PermanentError):
    """The source refused our user, our TLS or our database name."""


class TableRefused(PermanentError):
    """A table cannot be read as configured."""


class TableGone(PermanentError):
    """A table that was loaded before is missing in the source, or may not be read any more."""


class UnsupportedType(PermanentError):
    """A column's type is not supported yet."""


class ValueRefused(PermanentError):
    """A value exists that the warehouse cannot hold."""


class KeyNotUnique(PermanentError):
    """The configured key does not identify a row."""


class ImageRefused(PermanentError):
    """A full refresh would remove more of a table than is allowed."""


class ReplayRefused(PermanentError):
    """The raw layer does not have all chunks of a table."""


class LoadFailed(PermanentError):
    """COPY, MERGE or another warehouse statement failed."""


class AccessFailed(PermanentError):
    """Who may see loaded tables was not set as the source's file demands."""


class ScheduleRefused(PermanentError):
    """EventBridge Scheduler does not take a schedule."""


class LeaseLost(PermanentError):
    """Another run of the source has taken over."""


class PlanOutdated(PermanentError):
    """The run was planned by another version of Tributary."""


class InternalError(PermanentError):
    """A bug, or a foreign error reduced to its type and place."""
