"""The OpsItem of a source in Systems Manager's OpsCenter: open while anything of the source is paused.

Best effort: if it cannot be opened or closed, the log has a warning, and the next run's report tries again.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tributary.model.plan import PausedTable
from tributary.observability import logger
from tributary.storage import source_health
from tributary.storage.bucket import Bucket
from tributary.storage.source_health import SourceHealth
from tributary.visible_text import visible

DESCRIPTION_AT_MOST = 2_048  # characters (CreateOpsItem)
TABLES_AT_MOST = 20  # named; the report on S3 names all
RESUME = "sam remote invoke SchedulesFunction --event"


def follow(client: Any, bucket: Bucket, before: SourceHealth, after: SourceHealth) -> None:
    """Open, rewrite or close the source's OpsItem as its health demands."""
    try:
        if after.troubled and after.ops_item is None:
            source_health.keep_ops_item(bucket, after.source, _open(client, after))
        elif after.troubled and _paused(before) != _paused(after):
            client.update_ops_item(OpsItemId=after.ops_item, Description=description(after))
        elif not after.troubled and after.ops_item:
            _close(client, after.ops_item)
            source_health.keep_ops_item(bucket, after.source, None)
    except (ClientError, BotoCoreError) as error:
        logger.warning("ops item not written", extra={"error": type(error).__name__})


def _paused(health: SourceHealth) -> tuple[bool, frozenset[str]]:
    return health.paused, frozenset(table.table for table in health.paused_tables)


def _open(client: Any, health: SourceHealth) -> str:
    """Return the id of a new OpsItem, or of the open one with the same dedup string."""
    dedup = json.dumps({"dedupString": f"tributary-{health.source}"})
    try:
        opened = client.create_ops_item(
            Title=f"Tributary: {health.source} is paused in part or whole",
            Description=description(health),
            Source="Tributary",
            Category="Availability",
            Severity="2",
            OperationalData={
                "/aws/dedup": {"Value": dedup, "Type": "SearchableString"},
                "source": {"Value": health.source, "Type": "SearchableString"},
            },
        )
    except client.exceptions.OpsItemAlreadyExistsException as error:
        open_item: str = error.response["OpsItemId"]
        client.update_ops_item(OpsItemId=open_item, Description=description(health))
        return open_item
    new_item: str = opened["OpsItemId"]
    return new_item


def _close(client: Any, ops_item: str) -> None:
    try:
        client.update_ops_item(OpsItemId=ops_item, Status="Resolved")
    except client.exceptions.OpsItemNotFoundException:
        return  # someone deleted it


def description(health: SourceHealth) -> str:
    """Return what is paused and why, and the command that resumes it, as an OpsItem takes it."""
    return "\n".join(lines(health))[:DESCRIPTION_AT_MOST]


def lines(health: SourceHealth) -> list[str]:
    """Return what is paused of the source and the commands that resume it, [] if nothing is paused."""
    lines = []
    if health.paused:
        lines.append(
            f"The schedule of {health.source} is disabled: {_runs(health.barren_runs)}. "
            f"Resume it and its tables with\n  {_command(health.source)}"
        )
    tables = health.paused_tables
    if tables:
        lines.append(f"Paused tables, which runs leave out: {len(tables)}")
        lines += [f"  {visible(table.table)}: {_why(table)}" for table in tables[:TABLES_AT_MOST]]
        first = {"source": health.source, "table": tables[0].table}
        lines.append(f"Resume one of them with\n  {_command(first)}")
    return lines


def _command(what: str | dict[str, str]) -> str:
    return f"{RESUME} {shlex.quote(json.dumps({'resume': what}))}"


def _why(table: PausedTable) -> str:
    if not table.failures:
        return "paused by hand"
    return f"{table.failures} failures in a row, the last by {table.error} in run {table.run_id}"


def _runs(barren: int) -> str:
    return f"{barren} runs in a row loaded nothing at all" if barren else "paused by hand"
