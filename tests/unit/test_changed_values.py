"""What a catalog shows of values that changed without their cursor."""

from __future__ import annotations

import pytest

from tributary.model.source_catalog import CatalogFingerprint
from tributary.planning.changed_values import changed_values

BEFORE = CatalogFingerprint(
    labels={"state": {"16001": "a", "16002": "b"}},
    character_sets={"note": "latin1"},
    definitions={"id": "700 23 -1", "cents": "700 23 -1"},
    files={"5000": "5000"},
    partitions={"6000": "public.t1"},
    identity="5000",
    formulas={"id": "1", "total": "2 ab"},
    subscriptions={"1": "1"},
)


def now(**changes: object) -> CatalogFingerprint:
    """Return the fingerprint with changes."""
    fields = {name: getattr(BEFORE, name) for name in CatalogFingerprint.__dataclass_fields__}
    return CatalogFingerprint(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": {"state": {"16001": "a", "16002": "c"}}}, "labels of column state were renamed"),
        ({"labels": {"state": {"16001": "a"}}}, "labels of column state were renamed or removed"),
        ({"character_sets": {"note": "utf8mb4"}}, "the character set of column note has changed"),
        (
            {"definitions": {"id": "700 23 -1", "cents": "900 23 -1"}, "files": {"5000": "5001"}},
            "column cents was altered, and the table's rows were written again",
        ),
        (
            {"formulas": {"id": "3", "total": "2 ab"}},
            "column id was dropped and added again, or its expression",
        ),
        ({"formulas": {"id": "1", "total": "2 cd"}}, "column total was dropped and added again, or its exp"),
        ({"identity": "5009"}, "the table was dropped and created again"),
        ({"identity": "view 7"}, "the view's definition has changed"),
        ({"subscriptions": {"1": "1", "2": "2"}}, "another subscription has begun to fill the table"),
    ],
)
def test_a_change_that_alters_values_has_a_reason(changes: dict[str, object], reason: str) -> None:
    assert str(changed_values(BEFORE, now(**changes))).startswith(reason)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": {"state": {"16001": "a", "16002": "b", "16003": "c"}}},  # a new label
        {"labels": {}},  # the column is a text now: a change of its type, which is compared elsewhere
        {"formulas": {"id": "1", "new": "3"}},  # another column
        {"files": {"5000": "5001"}},  # VACUUM FULL
        {"definitions": {"id": "700 23 -1", "cents": "900 23 -1"}},  # SET STATISTICS, DROP NOT NULL
        {
            "definitions": {"id": "700 23 -1", "cents": "700 23 -1", "new": "900 23 -1"},
            "files": {"5000": "5001"},
        },
        {"definitions": {"id": "900 20 -1"}, "files": {"5000": "5001"}},  # int to bigint
        {"partitions": {"6000": "public.t1", "6001": "public.t2"}},  # its rows are asked for
        {"subscriptions": {}},  # what it brought stays
        {"subscriptions": None},
        {"formulas": {}},  # the column is an ordinary one now
    ],
)
def test_a_change_that_alters_no_value_has_none(changes: dict[str, object]) -> None:
    assert changed_values(BEFORE, now(**changes)) is None


def test_a_source_whose_catalog_shows_nothing_never_changes() -> None:
    assert changed_values(CatalogFingerprint(), BEFORE) is None
    assert changed_values(BEFORE, CatalogFingerprint()) is None
