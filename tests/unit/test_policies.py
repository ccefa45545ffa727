"""What a policy makes of a value that the warehouse cannot hold, and that each one is counted."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tributary.config.models import TableSettings
from tributary.engines.postgresql import engine as postgresql
from tributary.engines.sqlite import engine as sqlite
from tributary.errors import TableRefused, ValueRefused
from tributary.model import value_policies
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName
from tributary.model.types import ANY_DECIMAL, Kind
from tributary.model.value_policies import CHOICES, OF_KIND, Fault, Policy
from tributary.planning.table_spec import specify
from tributary.reading import csv_pages
from tributary.reading.csv_blocks import Block
from tributary.reading.repair import MISFIT

DECIMAL = Kind("decimal", 5, 2, loose=True)
JSON = Kind("json", loose=True)
NUL, CUT, HALF = b'"a\\u0000b"', b'"ab"', b'"a\\ud83eb"'
DEEP = b"[" * 1001 + b"]" * 1001
SPARE = "é" * 32_768  # 65,536 bytes

# kind, the value as the source writes it, its fault, and what each policy makes of it
TREATED: list[tuple[Kind, bytes, Fault, dict[Policy, Any]]] = [
    (DECIMAL, b"NaN", "not_a_number", {}),
    (DECIMAL, b"Infinity", "number_out_of_range", {"clamp": Decimal("999.99")}),
    (DECIMAL, b"-1000.00", "number_out_of_range", {"clamp": Decimal("-999.99")}),
    (DECIMAL, b"1" * 40, "number_out_of_range", {"clamp": Decimal("999.99")}),
    (DECIMAL, b"-1.239", "excess_digits", {"truncate": Decimal("-1.23")}),
    (DECIMAL, b"999.999", "excess_digits", {"truncate": Decimal("999.99")}),
    (ANY_DECIMAL, b"1" * 30, "number_out_of_range", {"clamp": Decimal("9" * 28 + "." + "9" * 10)}),
    (Kind("int64"), b"9223372036854775808", "number_out_of_range", {"clamp": 2**63 - 1}),
    (Kind("int32"), b"-2147483649", "number_out_of_range", {"clamp": -(2**31)}),
    (Kind("date"), b"infinity", "date_out_of_range", {"clamp": "9999-12-31"}),
    (Kind("date"), b"-infinity", "date_out_of_range", {"clamp": "0001-01-01"}),
    (Kind("date"), b"0044-03-15 BC", "date_out_of_range", {"clamp": "0001-01-01"}),
    (Kind("date"), b"0001-02-29 BC", "date_out_of_range", {"clamp": "0001-01-01"}),
    (Kind("date"), b"10000-01-01", "date_out_of_range", {"clamp": "9999-12-31"}),
    (Kind("date"), b"20000-01-01 BC", "date_out_of_range", {"clamp": "0001-01-01"}),
    (Kind("date"), b"0000-12-31", "date_out_of_range", {"clamp": "0001-01-01"}),
    (Kind("date"), b"0000-00-00", "impossible_date", {}),
    (Kind("date"), b"2024-00-01", "impossible_date", {}),
    (Kind("date"), b"2023-02-29", "impossible_date", {}),
    (
        Kind("timestamp"),
        b"10000-01-01 00:00:00",
        "date_out_of_range",
        {"clamp": "9999-12-31 23:59:59.999999"},
    ),
    (Kind("timestamp"), b"0000-00-00 00:00:00.000000", "impossible_date", {}),
    (
        Kind("timestamp"),
        b"2024-12-31 23:59:59.999999999",
        "excess_digits",
        {"truncate": "2024-12-31 23:59:59.999999"},
    ),
    (
        Kind("timestamptz"),
        b"0002-01-01 00:00:00+00 BC",
        "date_out_of_range",
        {"clamp": "0001-01-01 00:00:00"},
    ),
    (Kind("timestamptz"), b"0000-00-00 00:00:00Z", "impossible_date", {}),
    (Kind("text", size_bytes=4), "aé日".encode(), "too_long", {"truncate": "aé"}),
    (Kind("text"), SPARE.encode(), "too_long", {"truncate": SPARE[:-1]}),
    (Kind("text"), b"\0a\0b", "nul_character", {"truncate": "ab"}),
    (Kind("text"), b"a\xff\xed\xa0\x80b", "invalid_text", {"truncate": "ab"}),
    (JSON, NUL, "nul_character", {"truncate": CUT.decode()}),
    (JSON, HALF, "invalid_text", {"truncate": CUT.decode()}),
    (JSON, b'{"a":1,"a":2}', "super_limits", {}),
    (JSON, DEEP, "super_limits", {}),
    (JSON, b'"' + b"x" * 65_536 + b'"', "super_limits", {}),
    (JSON, b"{", "misfit", {}),
    (Kind("binary", size_bytes=9), b"00" * 64_001, "too_long", {"truncate": bytes(64_000)}),
    *(
        (kind, MISFIT, "misfit", {})
        for kind in (Kind("boolean"), Kind("float64"), Kind("text"), Kind("binary"))
    ),
    (Kind("boolean"), b"2", "misfit", {}),
]
NAMES = [f"{kind.name} {fault} {number}" for number, (kind, _, fault, _) in enumerate(TREATED)]
GOOD: dict[str, bytes] = {
    "decimal": b"1.5",
    "int32": b"1",
    "int64": b"1",
    "float64": b"1",
    "boolean": b"1",
    "date": b"2024-02-29",
    "timestamp": b"2024-02-29 00:00:00",
    "timestamptz": b"2024-02-29 00:00:00+00",
    "text": b"good",
    "json": b"[]",
    "binary": b"00",
}


def parse(
    kind: Kind, text: bytes, policies: Mapping[Fault, Policy]
) -> tuple[list[Any], dict[tuple[str, Fault], int]]:
    """Parse a good value, a NULL and the text twice."""
    lines = b"".join(csv_pages.line([b"1", value]) for value in (GOOD[kind.name], None, text, text))
    columns = (ReadColumn("id", "int", Kind("int32")), ReadColumn("odd", "the type", kind, policies))
    table, altered = csv_pages.parse(Block(lines, 4, lines), Query(TableName("shop", "t"), columns))
    return table.column(1).to_pylist(), dict(altered)


@pytest.mark.parametrize(("kind", "text", "fault", "treated"), TREATED, ids=NAMES)
def test_a_policy_treats_its_fault_and_every_value_is_counted(
    kind: Kind, text: bytes, fault: Fault, treated: dict[Policy, Any]
) -> None:
    for policy in CHOICES[fault]:
        if policy in ("fail", "text"):
            continue
        values, altered = parse(kind, text, {fault: policy})
        expected = treated.get(policy)
        assert altered == {("odd", fault): 2}
        assert values[1:2] == [None]
        assert [str(value) for value in values[2:]] == [
            str(expected) + "+00:00" * _is_zoned(kind, expected)
        ] * 2
        assert parse(kind, GOOD[kind.name], {fault: policy}) == ([values[0], None, values[0], values[0]], {})
    assert set(treated) <= set(CHOICES[fault])


def _is_zoned(kind: Kind, value: Any) -> bool:
    return kind.name == "timestamptz" and value is not None


@pytest.mark.parametrize(("kind", "text", "fault", "treated"), TREATED, ids=NAMES)
def test_without_a_policy_the_value_is_refused_by_its_fault_with_what_can_be_done(
    kind: Kind, text: bytes, fault: Fault, treated: dict[Policy, Any]
) -> None:
    for policies in ({}, dict.fromkeys(set(CHOICES) - {fault}, "null")):
        with pytest.raises(ValueRefused) as caught:
            parse(kind, text, policies)  # type: ignore[arg-type]
        message = str(caught.value)
        assert message.startswith(
            f'column "odd" of shop.t (the type) holds {value_policies.MEANINGS[fault]}; '
        )
        for policy in set(treated) | {'"null"'}:
            assert policy in message.partition("column_policies")[2]


def test_a_value_with_two_faults_is_counted_under_both() -> None:
    values, altered = parse(
        Kind("text", size_bytes=4), b"\0abcdef", {"too_long": "truncate", "nul_character": "truncate"}
    )
    assert values == ["good", None, "abcd", "abcd"]
    assert altered == {("odd", "too_long"): 2, ("odd", "nul_character"): 2}


def test_a_json_text_is_no_fault_for_what_only_looks_like_one() -> None:
    for text in (
        b'"\\\\u0000"',
        b'"\\ud83e\\udd8a"',
        b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
        b'"[[[["' + b" " * 5000,
    ):
        assert parse(JSON, text, {})[1] == {}
    brackets = b'["' + b"[" * 5000 + b'"]'
    assert parse(Kind("json"), brackets, {})[0][2:] == [brackets.decode()] * 2


def test_every_fault_has_a_kind_and_every_kind_can_be_null_instead() -> None:
    assert (
        {fault for faults in OF_KIND.values() for fault in faults}
        == set(CHOICES)
        == set(value_policies.MEANINGS)
    )
    assert all({"fail", "null"} <= set(choices) for choices in CHOICES.values())


TABLE = SourceTable(
    TableName("public", "t"),
    (
        SourceColumn("id", "integer", False),
        SourceColumn("amount", "numeric(10,2)", True),
        SourceColumn("day", "date", True),
        SourceColumn("note", "text", True),
        SourceColumn("flag", "smallint", True),
    ),
    primary_key=("id",),
)


def chosen(**settings: Any) -> dict[str, tuple[str, dict[Fault, Policy]]]:
    choice = specify(postgresql, TABLE, TableSettings(mode="replace", **settings))
    return {column.name: (column.kind.name, column.policies) for column in choice.columns}


def test_policies_of_a_table_reach_the_columns_that_can_have_their_fault_and_a_columns_own_win() -> None:
    policies = chosen(
        policies={"date_out_of_range": "clamp", "too_long": "truncate", "not_a_number": "null"},
        column_policies={"day": {"date_out_of_range": "null"}, "amount": "fail", "note": "null"},
    )
    assert policies == {
        "id": ("int32", {}),
        "amount": ("decimal", {}),
        "day": ("date", {"date_out_of_range": "null"}),
        "note": ("text", dict.fromkeys(OF_KIND["text"], "null")),
        "flag": ("int16", {}),
    }


def test_text_makes_the_whole_column_a_text() -> None:
    policies = chosen(
        policies={"date_out_of_range": "text", "too_long": "truncate"}, column_policies={"amount": "text"}
    )
    assert policies["day"] == ("text", {"too_long": "truncate"})
    assert policies["amount"] == ("text", {"too_long": "truncate", "misfit": "text"})
    assert policies["flag"][0] == "int16"


def test_booleans_are_integers_that_are_read_as_true_and_false() -> None:
    assert chosen(booleans=["flag"])["flag"] == ("boolean", {})
    with pytest.raises(TableRefused, match="only integers can be read as true and false"):
        chosen(booleans=["note"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"column_policies": {"nope": "null"}}, 'column_policies: public.t has no column "nope"'),
        ({"column_policies": {"id": "null"}}, 'column "id" of public.t belongs to its key or cursor'),
        (
            {"column_policies": {"note": "clamp"}},
            'clamp can do nothing about column "note" of public.t, which is text',
        ),
        (
            {"column_policies": {"note": {"date_out_of_range": "null"}}},
            'column "note" of public.t is text and cannot have the fault date_out_of_range; it can have',
        ),
    ],
)
def test_a_policy_that_does_not_fit_its_column_fails_the_table(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableRefused) as caught:
        chosen(**settings)
    assert message in str(caught.value)


def test_a_policy_may_make_a_text_of_a_type_that_has_no_form() -> None:
    table = SourceTable(TableName("main", "t"), (SourceColumn("any", "ANY", True),))
    choice = specify(sqlite, table, TableSettings(mode="replace", column_policies={"any": "text"}))
    assert [column.kind for column in choice.columns] == [Kind("text")]


def test_defaults_and_an_entry_are_joined_policy_by_policy() -> None:
    defaults = TableSettings(
        policies={"too_long": "truncate", "misfit": "null"}, column_policies={"a": "null"}
    )
    own = TableSettings(policies={"misfit": "fail"}, column_policies={"b": "clamp"})
    joined = own.over(defaults)
    assert joined.policies == {"too_long": "truncate", "misfit": "fail"}
    assert joined.column_policies == {"a": "null", "b": "clamp"}
