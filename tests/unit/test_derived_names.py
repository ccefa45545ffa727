"""Names that are derived from others differ whenever their tables do, also for names chosen to collide."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from itertools import permutations

import pytest

from tests.builders import changed, table_plan
from tributary.model import format_3
from tributary.model.plan import Access, RawName, TableAccess, TablePlan
from tributary.model.source_catalog import TableName
from tributary.planning.raw_places import shared_places
from tributary.redshift import access as redshift_access
from tributary.redshift import external_tables, key_constraint, stage
from tributary.storage import object_keys
from tributary.storage.object_keys import chunk_prefix, manifest, table_folder

RUN = "20261123_233901"
UNUSUAL = " !\"#$%&'()*+,:;<=>?@[]^`{|}~"  # each becomes the same character in a folder's name


def names_of_one_checksum() -> tuple[str, str]:
    """Return two names that differ only in unusual characters and have the same CRC32."""
    by_checksum: dict[int, str] = {}
    chosen = random.Random(1)
    for _ in range(1_000_000):
        name = f"orders{''.join(chosen.choices(UNUSUAL, k=8))}"
        other = by_checksum.setdefault(zlib.crc32(name.encode()), name)
        if other != name:
            return other, name
    raise AssertionError("no two names have one checksum")


def test_two_tables_with_one_checksum_have_folders_and_external_tables_of_their_own() -> None:
    one, other = names_of_one_checksum()
    assert format_3.table_folder((one,)) == format_3.table_folder((other,))  # so it was
    assert table_folder((one,)) != table_folder((other,))
    assert external_tables.table_name("shop", (one,)) != external_tables.table_name("shop", (other,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("company", "orders"), ("company!orders",)),
        (("company!a", "orders"), ("company", "a!orders")),
        (("company", "orders"), ("company-orders",)),
        (("company", "orders"), (table_folder(("company", "orders")),)),
        (("company", "orders"), (format_3.table_folder(("company", "orders")),)),
        (("a b",), (table_folder(("a b",)),)),
        (("a b",), (table_folder(("a b",)).replace("!", "-"),)),
        (("a b",), ("a-b",)),
        (("é",), ("e\u0301",)),
        ((".",), ("..",)),
        (("x" * 126 + " ",), ("x" * 126 + "!",)),
    ],
)
def test_a_name_made_to_look_like_another_has_another_place(one: RawName, other: RawName) -> None:
    assert table_folder(one) != table_folder(other)
    assert chunk_prefix("shop", RUN, one, "0") != chunk_prefix("shop", RUN, other, "0")
    assert manifest("shop", RUN, table_folder(one)) != manifest("shop", RUN, table_folder(other))
    names = {external_tables.table_name("shop", one), external_tables.table_name("shop", other)}
    assert len(names) == 2
    for name in (one, other):  # nor one made to look like the external table's
        made_up = external_tables.table_name("shop", name).removeprefix("shop__")
        assert name == (made_up,) or external_tables.table_name("shop", (made_up,)) not in names


def test_sources_whose_names_end_in_an_underscore_have_external_tables_of_their_own() -> None:
    pairs = [("a", ("_b",)), ("a_", ("b",)), ("a__b", ("c",)), ("a", ("b__c",)), ("A", ("b",)), ("a", ("b",))]
    assert len({external_tables.table_name(source, name) for source, name in pairs}) == len(pairs)


def test_usual_names_are_kept() -> None:
    assert table_folder(("order_items-2.old",)) == "order_items-2.old"
    assert external_tables.table_name("shop", ("order_items",)) == "shop__order_items"


def test_no_folder_is_a_path_of_its_own() -> None:
    for name in (".", "..", "a/b", "../x", "/"):
        assert "/" not in table_folder((name,))
        assert table_folder((name,)).strip(".")


def plan(source: str, table: str) -> TablePlan:
    return changed(table_plan(), source=TableName("public", source), table_name=table)


def test_two_tables_of_one_place_are_refused_at_plan_time() -> None:
    tables = [plan("a", "orders"), plan("b", "orders"), plan("c", "lines")]
    failures = shared_places("shop", tables)
    assert {failure.table for failure in failures} == {"public.a", "public.b"}
    assert failures[0].error == "TableRefused"
    assert "public.a and public.b would share the " in failures[0].message
    assert shared_places("shop", tables[1:]) == ()


IDENTITIES = [
    ("shop", "a"),
    ("shop", "A b"),
    ("shop2", "a"),
    ("shop-2", "a"),
    ("shop_2", "a"),
    ("s", "hop__a"),
]


@pytest.mark.parametrize(
    "derived",
    [
        lambda source, table: chunk_prefix(source, RUN, (table,), "0"),
        lambda source, table: manifest(source, RUN, table_folder((table,))),
        lambda source, table: external_tables.table_name(source, (table,)),
        lambda source, table: str(key_constraint.name(keyed(source, table))),
        lambda source, table: stage.staging_name(source, RUN, [name for _, name in IDENTITIES].index(table)),
    ],
    ids=["chunks", "manifest", "external table", "constraint of a key", "staging table"],
)
def test_what_is_derived_from_a_source_and_a_table_is_another_for_each(
    derived: Callable[[str, str], str],
) -> None:
    names = {derived(source, table).lower() for source, table in IDENTITIES}
    assert len(names) == len(IDENTITIES)


def keyed(source: str, table: str) -> TablePlan:
    return changed(table_plan(), schema_name=source, table_name=table)


def test_documents_and_statements_of_a_source_do_not_begin_like_another_sources() -> None:
    sources = sorted({source for source, _ in IDENTITIES})
    for derived in (
        lambda source: object_keys.run(source, RUN),
        object_keys.lease,
        object_keys.source_health,
        object_keys.loaded,
        object_keys.serials,
        lambda source: stage.staging_name(source, RUN, 1),
    ):
        names = [derived(source) for source in sources]
        assert not [(one, two) for one, two in permutations(names, 2) if two.startswith(one)]


def test_a_policy_is_named_by_its_whole_rule() -> None:
    access = TableAccess(schema_name="s", table_name="t", access=Access(mask={"a": "null", "b": "null"}))
    columns = {"a": ("1", "VARCHAR(9)"), "b": ("2", "VARCHAR(8)")}
    policies = redshift_access._policies(access, redshift_access.CatalogTable(oid="1", columns=columns))
    assert len({name for _, name, _ in policies}) == 2
