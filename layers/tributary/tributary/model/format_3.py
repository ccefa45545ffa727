"""Documents of format 3, which commit 52fccad wrote, as those of the present format.

Runs of that version are replayed, carried on and taken over, so what they left is read for as long as the
raw layer keeps it. Only plans, items, replayed runs and ledgers have changed; results, chunk footers and
what outlives runs have not.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from tributary.model.documents import FORMAT
from tributary.model.ledger import Ledger
from tributary.model.plan import GROUP_OF, Item, Plan, RawName
from tributary.model.result import ReplayedRun, TableResult

Json = dict[str, Any]

UPGRADED: Final = 3  # the last format whose documents this module knows

TABLE_FIELDS: Final = {  # of a table's plan: its name then, and now
    "target_schema": "schema_name",
    "target_table": "table_name",
    "unique": "key_constraint",
    "whole": "whole_read",
    "part": "range_index",
    "parts": "range_count",
    "swap": "full_refresh",
    "rebuild": "convert_to_history",
    "comments_there": "comments_of_copy",
    "sized_texts": "sized_by_values",
    "sized": "sizes",
    "standing": "existing_columns",
    "remade": "deep_copy",
    "form": "copied_form",
    "asked": "request",
    "rebuilt": "replay",
}
LOAD_FIELDS: Final = {
    "run": "replayed_run",
    "widened": "widened_columns",
    "remake": "deep_copy",
    "quiet": "unchanged",
}


def upgraded(document: Json, kind: type[BaseModel]) -> Json:
    """Return a document of format 3 or lower in the present format, and any other as it is.

    Formats 1 and 2 have no field that 3 has not.
    """
    upgrade = UPGRADES.get(kind)
    written = document.get("format")
    if upgrade is None or not isinstance(written, int) or written > UPGRADED:
        return document
    return {**upgrade(document), "format": FORMAT}


def _plan(head: Json) -> Json:
    return _renamed(head, {"quiet": "unchanged"})


def _item(item: Json) -> Json:
    return {**item, "tables": [_table(table) for table in item["tables"]]}


def _replayed_run(run: Json) -> Json:
    return {**run, "table": _table(run["table"])}


def _ledger(ledger: Json) -> Json:
    return {**ledger, "tables": [_renamed(load, LOAD_FIELDS) for load in ledger.get("tables", [])]}


def _table(flat: Json) -> Json:
    """Return a table's plan with its fields in groups."""
    fields = dict(flat)
    table: Json = {"source": {"schema": fields.pop("schema_name"), "table": fields.pop("table_name")}}
    for name, value in _renamed(fields, TABLE_FIELDS).items():
        if name in GROUP_OF:
            table.setdefault(GROUP_OF[name], {})[name] = value
        else:
            table[name] = value
    folder = table_folder(_raw_name(flat))
    table["read"]["ranges"] = [{**each, "folder": folder} for each in table["read"]["ranges"]]
    return table


def _raw_name(flat: Json) -> RawName:
    schema, table = flat["target_schema"], flat["target_table"]
    return (table,) if flat.get("owner") is None else (schema, table)


def table_folder(table: RawName) -> str:
    """Return the folder of a table's chunks and the name of its manifest in format 3."""
    name = "!".join(table)
    usual = re.sub(r"[^a-z0-9_.-]", "-", name)
    return usual if usual == name else f"{usual}-{zlib.crc32(name.encode()):08x}"


def _renamed(fields: Json, names: Mapping[str, str]) -> Json:
    return {names.get(name, name): value for name, value in fields.items()}


UPGRADES: Final[dict[type[BaseModel], Callable[[Json], Json]]] = {
    Plan: _plan,
    Item: _item,
    ReplayedRun: _replayed_run,
    Ledger: _ledger,
    TableResult: dict,
}
