"""The OpsItem of a source: one while anything of it is paused, in Systems Manager's OpsCenter.

It is a help and no state of ours: where it cannot be opened or closed, the run goes on, the log says
so, and the next run's report tries again.
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

DESCRIPTION_AT_MOST = 2_048  # characters (CreateOpsItem)
TABLES_AT_MOST = 20  # named in words; the rest stands in the report
RESUME = "sam remote invoke SchedulesFunction --event"


def follow(client: Any, bucket: Bucket, before: SourceHealth, after: SourceHealth) -> None:
    """Open, rewrite or close the source's OpsItem as its standing asks."""
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


def _paused(of: SourceHealth) -> tuple[bool, frozenset[str]]:
    return of.paused, frozenset(table.table for table in of.paused_tables)


def _open(client: Any, of: SourceHealth) -> str:
    """Return the id of a new OpsItem, or of the open one that AWS knows by its dedup string."""
    dedup = json.dumps({"dedupString": f"tributary-{of.source}"})
    try:
        opened = client.create_ops_item(
            Title=f"Tributary: {of.source} is paused in part or whole",
            Description=description(of),
            Source="Tributary",
            Category="Availability",
            Severity="2",
            OperationalData={
                "/aws/dedup": {"Value": dedup, "Type": "SearchableString"},
                "source": {"Value": of.source, "Type": "SearchableString"},
            },
        )
    except client.exceptions.OpsItemAlreadyExistsException as error:
        found: str = error.response["OpsItemId"]
        client.update_ops_item(OpsItemId=found, Description=description(of))
        return found
    made: str = opened["OpsItemId"]
    return made


def _close(client: Any, ops_item: str) -> None:
    try:
        client.update_ops_item(OpsItemId=ops_item, Status="Resolved")
    except client.exceptions.OpsItemNotFoundException:
        return  # somebody took it away: it is closed


def description(of: SourceHealth) -> str:
    """Return what is paused, since when, and the command that brings it back."""
    return "\n".join(lines(of))[:DESCRIPTION_AT_MOST]


def lines(of: SourceHealth) -> list[str]:
    """Return what is paused of the source in words, with the commands that bring it back; [] for nothing."""
    said = []
    if of.paused:
        said.append(
            f"The schedule of {of.source} is disabled: {_runs(of.barren_runs)}. "
            f"Bring it and its tables back with\n  {_command(of.source)}"
        )
    tables = of.paused_tables
    if tables:
        said.append(f"Paused tables, which runs leave out: {len(tables)}")
        said += [f"  {table.table}: {_why(table)}" for table in tables[:TABLES_AT_MOST]]
        one = {"source": of.source, "table": tables[0].table}
        said.append(f"Bring one back with\n  {_command(one)}")
    return said


def _command(what: str | dict[str, str]) -> str:
    return f"{RESUME} {shlex.quote(json.dumps({'resume': what}))}"


def _why(table: PausedTable) -> str:
    if not table.failures:
        return "somebody paused it"
    return f"{table.failures} failures in a row, the last by {table.error} in run {table.run_id}"


def _runs(barren: int) -> str:
    return f"{barren} runs in a row loaded nothing at all" if barren else "somebody paused it"
