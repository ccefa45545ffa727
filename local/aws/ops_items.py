"""OpsCenter's items, which moto lacks: open, find, change and resolve them.

An item whose operational data has `/aws/dedup` is refused while another item with the same string
and the same source is open or in progress (Systems Manager User Guide, "Managing duplicate OpsItems").
"""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

from local.aws.function import ACCOUNT, REGION
from local.aws.json_api import JsonApi, Refused

DEDUP = "/aws/dedup"
UNRESOLVED = ("Open", "InProgress")
PAGE = 50
OWN_KEYS = re.compile(r"/?(amazon|aws|amzn|ssm)")
SUMMARY = (
    "CreatedBy",
    "CreatedTime",
    "LastModifiedBy",
    "LastModifiedTime",
    "Priority",
    "Source",
    "Status",
    "OpsItemId",
    "Title",
    "Category",
    "Severity",
)
CHANGEABLE = ("Title", "Description", "Priority", "Category", "Severity", "Notifications", "RelatedOpsItems")

Item = dict[str, Any]


class OpsItems(JsonApi):
    """Systems Manager's operations on OpsItems."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        operations = {
            "CreateOpsItem": self._create,
            "UpdateOpsItem": self._update,
            "GetOpsItem": self._get,
            "DescribeOpsItems": self._describe,
        }
        super().__init__("ssm", "AmazonSSM.", operations)

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        _check(request)
        data = request.get("OperationalData", {})
        for item in self._items.values():
            if DEDUP in data and item["Status"] in UNRESOLVED and _origin(item) == _origin(request):
                raise Refused(
                    "OpsItemAlreadyExistsException",
                    "The OpsItem already exists.",
                    OpsItemId=item["OpsItemId"],
                )
        now, ops_item_id = time.time(), f"oi-{uuid.uuid4().hex[:12]}"
        self._items[ops_item_id] = {
            **{key: request[key] for key in ("Source", *CHANGEABLE) if key in request},
            "OpsItemId": ops_item_id,
            "OpsItemArn": _arn(ops_item_id),
            "OperationalData": data,
            "Status": "Open",
            "Version": "1",
            "CreatedBy": f"arn:aws:iam::{ACCOUNT}:root",
            "CreatedTime": now,
            "LastModifiedTime": now,
        }
        return {"OpsItemId": ops_item_id, "OpsItemArn": _arn(ops_item_id)}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self._find(request["OpsItemId"])
        data = {**item["OperationalData"], **request.get("OperationalData", {})}
        if data.get(DEDUP) != item["OperationalData"].get(DEDUP):
            raise Refused("OpsItemInvalidParameterException", f"{DEDUP} cannot be changed")
        for key in request.get("OperationalDataToDelete", ()):
            data.pop(key, None)
        item |= {key: request[key] for key in ("Status", *CHANGEABLE) if key in request}
        item |= {
            "OperationalData": data,
            "Version": str(int(item["Version"]) + 1),
            "LastModifiedTime": time.time(),
        }
        return {}

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"OpsItem": self._find(request["OpsItemId"])}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        filters = request.get("OpsItemFilters", [])
        items = [item for item in self._items.values() if all(_passes(item, one) for one in filters)]
        first, size = int(request.get("NextToken") or 0), request.get("MaxResults", PAGE)
        page = items[first : first + size]
        more = {"NextToken": str(first + size)} if first + size < len(items) else {}
        return {"OpsItemSummaries": [_summary(item) for item in page], **more}

    def _find(self, ops_item_id: str) -> Item:
        if ops_item_id not in self._items:
            raise Refused("OpsItemNotFoundException", f"OpsItem {ops_item_id} does not exist")
        return self._items[ops_item_id]


def _check(request: dict[str, Any]) -> None:
    for key in request.get("OperationalData", {}):
        if OWN_KEYS.match(key) and key not in (DEDUP, "/aws/resources", "/aws/automations"):
            raise Refused("OpsItemInvalidParameterException", f"{key} begins with a word reserved by AWS")
    if re.search("aws|amazon|amzn", request["Source"], re.IGNORECASE):
        raise Refused("OpsItemInvalidParameterException", "Source may not name AWS")


def _origin(item: dict[str, Any]) -> tuple[str, str | None]:
    """Return what duplicate items have in common: the source and the deduplication string."""
    return item["Source"], item.get("OperationalData", {}).get(DEDUP, {}).get("Value")


def _searchable(item: Item) -> dict[str, Any]:
    """Return the operational data that DescribeOpsItems shows and searches."""
    data = item["OperationalData"]
    return {key: entry for key, entry in data.items() if entry.get("Type") == "SearchableString"}


def _summary(item: Item) -> Item:
    shown = {key: item[key] for key in SUMMARY if key in item}
    return {**shown, "OperationalData": _searchable(item)}


def _arn(ops_item_id: str) -> str:
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:opsitem/{ops_item_id}"


def _passes(item: Item, wanted: dict[str, Any]) -> bool:
    """Say whether the item matches a filter: one of its values, whole or as a part."""
    key, values = wanted["Key"], wanted["Values"]
    held = _values(item, key)
    if wanted["Operator"] == "Equal":
        return any(value in held for value in values)
    if wanted["Operator"] == "Contains":
        return any(value in text for value in values for text in held)
    raise Refused("OpsItemInvalidParameterException", f"{wanted['Operator']} is not part of the stand-in")


def _values(item: Item, key: str) -> list[str]:
    data = _searchable(item)
    if key == "OperationalDataKey":
        return list(data)
    if key == "OperationalDataValue":
        return [str(entry.get("Value")) for entry in data.values()]
    if key == "OperationalData":  # {"key": ..., "value": ...} as text
        return [
            json.dumps({"key": name, "value": entry.get("Value")}, separators=(",", ":"))
            for name, entry in data.items()
        ]
    return [str(item[key])] if key in item else []
