"""Warehouse: the stack's custom resource that makes the control tables and grants them.

It answers FAILED on any exception, and imports nothing but the standard library before it can: a
custom resource that never answers holds its stack for an hour.
"""

import json
import urllib.request
from typing import Any

PHYSICAL_ID = "tributary-warehouse"


def handler(event: dict[str, Any], context: Any) -> None:
    """Bring the warehouse to what this version needs on Create and Update; leave it as it is on Delete."""
    try:
        if event["RequestType"] != "Delete":
            prepare(event["ResourceProperties"])
    except Exception as error:  # whatever it is, CloudFormation must hear of it
        answer(event, "FAILED", _reason(error))
        return
    answer(event, "SUCCESS", "")


def prepare(properties: dict[str, Any]) -> None:
    """Create what is missing and grant it to the pipeline's database user; repeatable."""
    from tributary import settings
    from tributary.redshift.bootstrap import bootstrap

    warehouse = settings.warehouse(admin_secret=properties.get("AdminSecretArn") or None)
    bootstrap(warehouse, loader=properties["Loader"], database=properties["Database"])


def _reason(error: Exception) -> str:
    ours = any(kind.__name__ == "TributaryError" for kind in type(error).__mro__)
    return f"{type(error).__name__}: {error}" if ours else f"{type(error).__name__}; see the function's log"


def answer(event: dict[str, Any], status: str, reason: str) -> None:
    """Tell CloudFormation how it went (crpg-ref-responses)."""
    body = json.dumps(
        {
            "Status": status,
            "Reason": reason,
            "PhysicalResourceId": PHYSICAL_ID,
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        }
    ).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    request.add_header("Content-Type", "")
    urllib.request.urlopen(request, timeout=30).close()
