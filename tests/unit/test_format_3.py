"""Every document that commit 52fccad stored is read with the same content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from tests.recorded_documents import SOURCE, Recording
from tributary.errors import PlanOutdated
from tributary.loading.external_tables import ExternalTables
from tributary.model import format_3
from tributary.model.documents import FORMAT
from tributary.model.format_3 import LOAD_FIELDS, TABLE_FIELDS
from tributary.model.ledger import Ledger
from tributary.model.plan import GROUP_OF, GROUPS, Item, Plan, TableAccess, TablePlan
from tributary.model.result import TableResult
from tributary.model.source_catalog import TableName
from tributary.planning.checkpoint import BegunRuns
from tributary.storage.bucket import parse
from tributary.storage.committed_watermarks import CommittedWatermarks
from tributary.storage.lease import Lease
from tributary.storage.source_health import SourceHealth

DOCUMENTS = Recording().documents(broken=True)
KINDS: dict[str, type[BaseModel]] = {
    "/plan.json": Plan,
    "/load.json": Ledger,
    ".begun.json": BegunRuns,
    ".loaded.json": CommittedWatermarks,
    ".raw_tables.json": ExternalTables,
    ".standing.json": SourceHealth,
}


def kind_of(key: str) -> type[BaseModel] | None:
    if "/items-" in key:
        return Item
    if "/results/" in key:
        return TableResult
    if key.startswith("_leases/") and key.count(".") == 1:
        return Lease
    return next((kind for end, kind in KINDS.items() if key.endswith(end)), None)


def read(key: str) -> Any:
    kind = kind_of(key)
    assert kind is not None
    return parse(json.dumps(DOCUMENTS[key]).encode(), key, kind)


def keys(kind: type[BaseModel]) -> list[str]:
    return [key for key in DOCUMENTS if kind_of(key) is kind]


@pytest.mark.parametrize("kind", [Plan, Item, TableResult, Ledger, *KINDS.values(), Lease])
def test_every_document_of_format_3_is_read(kind: type[BaseModel]) -> None:
    assert keys(kind)
    for key in keys(kind):
        assert isinstance(read(key), kind)


def without_folder(each: dict[str, Any]) -> dict[str, Any]:
    assert each["folder"]  # a range of format 3 says which
    return {name: value for name, value in each.items() if name != "folder"}


def test_every_field_of_a_tables_plan_keeps_its_value() -> None:
    tables = 0
    for key in keys(Item):
        for old, new in zip(DOCUMENTS[key]["tables"], read(key).tables, strict=True):
            tables += 1
            assert new.source == TableName(old["schema_name"], old["table_name"])
            now = new.model_dump(mode="json", exclude_none=True)
            for name in old.keys() - {"schema_name", "table_name"}:
                field = TABLE_FIELDS.get(name, name)
                group = now[GROUP_OF[field]] if field in GROUP_OF else now
                if name == "access":  # which has new fields
                    assert new.access == TableAccess.model_validate(old[name])
                    continue
                if name == "ranges":
                    group["ranges"] = [without_folder(each) for each in group["ranges"]]
                assert group[field] == old[name], name
    assert tables > 20


def test_a_run_that_is_under_way_goes_on_in_the_present_format() -> None:
    [key] = [key for key in keys(Ledger) if read(key).tables[0].phase == "waiting"]
    old, new = DOCUMENTS[key]["tables"], read(key)
    assert new.format == FORMAT
    assert [load.model_dump(mode="json", exclude_none=True) for load in new.tables] == [
        {LOAD_FIELDS.get(name, name): value for name, value in load.items()} for load in old
    ]


def test_an_unchanged_table_is_read_from_the_plans_head() -> None:
    head = {**DOCUMENTS[keys(Plan)[0]], "quiet": [{"table": "a", "target": "shop.a", "mode": "merge"}]}
    plan = parse(json.dumps(head).encode(), "k", Plan)
    assert [(one.table, one.target, one.mode) for one in plan.unchanged] == [("a", "shop.a", "merge")]


@pytest.mark.parametrize(
    "change", [{"format": FORMAT + 1}, {"format": 3, "new": 1}, {"format": None}, {"source": None}]
)
def test_a_document_of_a_later_or_unknown_version_is_refused(change: dict[str, Any]) -> None:
    key = keys(Plan)[0]
    with pytest.raises(PlanOutdated, match="start it again"):
        parse(json.dumps({**DOCUMENTS[key], **change}).encode(), key, Plan)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"not json", b'{"format": 3}', b'{"format": 3, "tables": 1}']
)
def test_what_is_no_document_is_refused(content: bytes) -> None:
    for kind in (Item, Plan):
        with pytest.raises(PlanOutdated):
            parse(content, "k", kind)


def test_no_two_fields_of_a_tables_plan_have_one_name() -> None:
    names = [name for model in GROUPS.values() for name in model.model_fields]
    assert len(set(names)) == len(names)
    assert not set(names) & set(TablePlan.model_fields)


def test_the_recording_can_be_moved_to_another_source_and_time() -> None:
    moved = Recording("other").objects(broken=True)
    assert not [key for key in moved if SOURCE in key]
    assert not [key for key, content in moved.items() if SOURCE.encode() in content]


def test_a_document_of_a_later_format_is_left_as_it_is() -> None:
    """A version with a later format reads none of ours by mistake."""
    later = {"format": format_3.UPGRADED + 1, "version": "x"}
    assert format_3.upgraded(later, Plan) == later
