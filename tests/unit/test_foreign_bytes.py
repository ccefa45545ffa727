"""Bytes that others wrote, whatever they are, are read or refused by an error of ours.

Bounded here, and long in `make soak`. The frames of PostgreSQL and MySQL are in `test_engine_frames`.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders import orders
from tributary.config import loader
from tributary.config.models import Source
from tributary.errors import ConfigError, InternalError, PlanOutdated, TributaryError
from tributary.extraction.chunks import FOOTER_KEY, Footer, read_footer, schema
from tributary.model.plan import Item, Plan
from tributary.model.query import Query, ReadColumn
from tributary.model.report import RunReport
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.model.value_policies import CHOICES, OF_KIND, Policy
from tributary.planning.execution_input import ExecutionInput
from tributary.reading import csv_pages
from tributary.reading.csv_blocks import Block
from tributary.reporting import execution_end
from tributary.storage import bucket
from tributary.storage.bucket import Bucket, Stored

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0"))
EXAMPLES = 40 + int(20 * SOAK_S)
LARGE = 1 << 20  # bytes, of which a quadratic time would take an hour
LARGE_FILE = 1 << 15  # of a source file, which pure Python reads
TIMES_AT_MOST = 40  # of a text's size, in memory

fuzzed = settings(max_examples=EXAMPLES)


def memory(act: Callable[[], object]) -> int:
    """Return the most bytes that the act held at a time."""
    tracemalloc.start()
    try:
        with suppress(TributaryError):
            act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refusal(act: Callable[[], object]) -> str | None:
    """Return the message of the ConfigError that the act raises, None if it raises none."""
    try:
        act()
    except ConfigError as error:
        return str(error)
    return None


# --- CSV pages ----------------------------------------------------------------------------------

PIECES = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\\",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"1",
    b"-",
    b"t",
    b"{",
]
CSV = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=30).map(b"".join)
KINDS = [
    *(Kind(name) for name in ("boolean", "int16", "int32", "int64", "float32", "float64", "date")),
    *(Kind(name) for name in ("timestamp", "timestamptz", "uuid", "json")),
    Kind("text", size_bytes=9),
    Kind("binary", size_bytes=9),
    Kind("decimal", precision=9, scale=2),
]


def query(kinds: list[Kind], policy: int = 0) -> Query:
    """Return a query of columns of the kinds, each with one choice of policy for its faults."""
    columns = tuple(
        ReadColumn(f"c{place}", "any", kind, policies(kind, policy), nullable=True)
        for place, kind in enumerate(kinds)
    )
    return Query(table=TableName("public", "t"), columns=columns, order=())


def policies(kind: Kind, number: int) -> dict[Any, Policy]:
    return {fault: CHOICES[fault][number % len(CHOICES[fault])] for fault in OF_KIND[kind.name]}


@given(CSV)
@example(b'"' * 999)
@fuzzed
def test_a_csv_record_is_read_or_cut_off(record: bytes) -> None:
    with suppress(InternalError):
        assert all(text is None or isinstance(text, str) for text in csv_pages.fields(record))


@given(CSV, st.integers(1, 4), st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), st.integers(0, 4))
@fuzzed
def test_a_page_of_any_bytes_has_as_many_rows_as_were_sent_or_is_refused(
    text: bytes, rows: int, kinds: list[Kind], policy: int
) -> None:
    block = Block(text, rows, text)
    with suppress(TributaryError):
        table, _ = csv_pages.parse(block, query(kinds, policy))
        assert (table.num_rows, table.num_columns) == (rows, len(kinds))


@given(
    st.sampled_from(KINDS),
    st.lists(st.text(max_size=20) | st.from_regex(r"-?\d{1,6000}e?\d{0,9}"), min_size=1),
)
@example(Kind("int64"), ["9" * 5_000])
@example(Kind("json"), ["9" * 5_000])
@example(Kind("decimal", precision=9, scale=2), ["1e999999999"])
@example(Kind("timestamp"), ["9" * 5_000 + "-01-01 00:00:00"])
@settings(max_examples=EXAMPLES)
def test_any_value_of_any_kind_arrives_or_is_refused(kind: Kind, texts: list[str]) -> None:
    lines = [csv_pages.line([text.encode(errors="surrogatepass")]) for text in texts]
    block = Block(b"".join(lines), len(lines), lines[-1])
    for policy in range(3):
        with suppress(TributaryError):
            assert csv_pages.parse(block, query([kind], policy))[0].num_rows == len(texts)


# --- JSON ---------------------------------------------------------------------------------------

JSON_PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    ",",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\uDC00",
    "1",
    "-",
    "e9",
    "NaN",
    "null",
    "a",
]
ODD_JSON = st.lists(st.sampled_from(JSON_PIECES), max_size=40).map("".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(ODD_JSON | VALUES.map(json.dumps), st.integers(0, 3), st.booleans())
@example('"' + "\\" * 999 + "u0000", 1, True)
@example("[" * 9_999, 1, True)
@fuzzed
def test_any_json_is_valid_afterwards_or_refused(text: str, policy: int, loose: bool) -> None:
    record = csv_pages.line([text.encode()])
    with suppress(TributaryError):
        kind = Kind("json", loose=loose)
        [value] = csv_pages.parse(Block(record, 1, record), query([kind], policy))[0].column(0).to_pylist()
        if loose and value is not None:
            json.loads(value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * LARGE,
        '{"a":' * (LARGE // 5),
        '"' + "\\" * LARGE,
        '"' + "\\u0000" * (LARGE // 6) + '"',
        "9" * LARGE,
        '""' * LARGE,
    ],
    ids=["lists", "objects", "backslashes", "escapes", "digits", "quotes"],
)
def test_a_large_hostile_text_takes_memory_in_proportion(text: str) -> None:
    record = csv_pages.line([text.encode()])
    kind = Kind("json", loose=True)
    for policy in range(3):
        read = partial(csv_pages.parse, Block(record, 1, record), query([kind], policy))
        assert memory(read) < TIMES_AT_MOST * len(record)
    assert memory(lambda: csv_pages.fields(record)) < TIMES_AT_MOST * len(record)


@given(
    st.dictionaries(
        st.sampled_from(["source", "tables", "from", "to", "replay", "execution_arn", "x"]), VALUES
    )
)
@fuzzed
def test_any_input_of_an_execution_is_a_request_or_names_its_field(event: dict[str, Any]) -> None:
    given = {"execution_arn": "arn", "started_at": "now", **event}
    fault = refusal(lambda: ExecutionInput.parse(given).request)
    assert fault is None or fault.startswith("execution input, ")


DETAIL = st.fixed_dictionaries(
    {"executionArn": st.text(max_size=9), "status": st.sampled_from(["FAILED", "TIMED_OUT", "ABORTED"])},
    optional={
        "input": ODD_JSON | VALUES.map(json.dumps) | st.none(),
        "error": st.text(max_size=9),
        "cause": ODD_JSON,
    },
)


@given(DETAIL)
@example({"executionArn": "a", "status": "FAILED", "input": "[" * 99_999})
@fuzzed
def test_any_end_of_an_execution_can_be_reported(detail: dict[str, Any]) -> None:
    end = execution_end.parse({"detail": detail})
    assert end.source is None or execution_end.SOURCE.fullmatch(end.source)


@given(ODD_JSON | VALUES.map(json.dumps), st.sampled_from([Plan, Item, RunReport]))
@example('{"format": 3, "tables": [{}]}', Item)
@example("[" * 99_999, Plan)
@fuzzed
def test_any_document_is_read_or_outdated(text: str, kind: type[Any]) -> None:
    with suppress(PlanOutdated):
        assert isinstance(bucket.parse(text.encode(), "key", kind), kind)


# --- source files -------------------------------------------------------------------------------

FILE = """engine: postgresql
secret: tributary/shop
schedule: rate(1 hour)
defaults: {mode: merge, cursor: updated_at}
tables:
  - {name: public.orders, mode: history, access: {mask: {a: hash}}}
  - {include: public.*, exclude: [public.audit_*]}
"""
YAML_PIECES = [
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "'",
    '"',
    "|",
    ">",
    "?",
    "#",
    "\t",
    "---",
    "%",
    "@",
    "`",
    "\ufeff",
    "\x85",
    "~",
    "1e3",
    "0x1",
]
ODD_YAML = st.lists(st.sampled_from(YAML_PIECES) | st.text(max_size=4), max_size=30).map("".join)


def loaded(content: bytes) -> bool:
    """Return whether a file with the content is a source's; if not, it is refused line by line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.yaml"
        path.write_bytes(content)
        fault = refusal(lambda: loader.load(path))
    assert fault is None or all(line.startswith("shop.yaml") for line in fault.split("\n"))
    return fault is None


@given(ODD_YAML, st.integers(0, len(FILE)), st.integers(0, 12))
@fuzzed
def test_a_source_file_with_any_text_in_it_is_valid_or_refused_by_name(text: str, at: int, cut: int) -> None:
    loaded((FILE[:at] + text + FILE[at + cut :]).encode(errors="surrogatepass"))


@given(st.binary(max_size=200))
@fuzzed
def test_a_source_file_of_any_bytes_is_refused_by_name(content: bytes) -> None:
    assert not loaded(content)


@given(VALUES, st.sampled_from(sorted(Source.model_fields)))
@fuzzed
def test_any_value_of_any_field_of_a_source_file_is_refused_by_name(value: Any, field: str) -> None:
    loaded(
        json.dumps(
            {"engine": "postgresql", "secret": "tributary/a", "tables": [{"name": "a"}], field: value}
        ).encode()
    )


def test_a_character_that_is_written_as_two_escapes_is_read_and_half_of_one_is_refused() -> None:
    file = '{{"engine": "sqlite", "secret": "tributary/a", "tables": [{{"name": "{}"}}]}}'
    assert loaded(file.format(r"\ud83d\ude00").encode())
    assert not loaded(file.format(r"\ud83d").encode())
    assert not loaded(rb'{"\udc00": 1}')


@pytest.mark.parametrize(
    "text",
    [
        "[" * LARGE_FILE,
        "- " * LARGE_FILE,
        "a: &a [" * 9_999,
        "'" * LARGE_FILE,
        "? " * LARGE_FILE,
        "#" * LARGE_FILE,
    ],
)
def test_a_large_hostile_source_file_takes_memory_in_proportion(text: str) -> None:
    assert memory(lambda: loaded(text.encode())) < TIMES_AT_MOST * len(text)


# --- footers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OneObject(Bucket):
    """A bucket whose every object is the one content."""

    content: bytes = b""

    def read_tail(self, key: str, size_bytes: int) -> bytes:
        return self.content[-size_bytes:]


def chunk(footer: bytes | None) -> bytes:
    """Return a chunk without rows that has the footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written, table = io.BytesIO(), schema(orders().columns).empty_table()
    pq.write_table(
        table.replace_schema_metadata({FOOTER_KEY: footer} if footer is not None else None), written
    )
    assert isinstance(table, pa.Table)
    return written.getvalue()


GOOD = Footer(position=("7",), last=True, rows=0, total_rows=0)
CHUNK = chunk(GOOD.model_dump_json().encode())


def read(content: bytes) -> Footer:
    return read_footer(OneObject(None, "raw", content), Stored("shop/chunk", len(content)))


def test_a_footer_is_what_was_written() -> None:
    assert read(CHUNK) == GOOD


@given(st.integers(0, len(CHUNK) - 1), st.binary(min_size=1, max_size=9), st.integers(0, 9))
@example(111, b"\x00\x80", 2)
@settings(max_examples=3 * EXAMPLES)
def test_a_damaged_chunk_has_a_footer_or_is_refused_by_name(at: int, damage: bytes, cut: int) -> None:
    with suppress(PlanOutdated):
        assert isinstance(read(CHUNK[:at] + damage + CHUNK[at + cut :]), Footer)


@given(ODD_JSON.map(str.encode) | VALUES.map(json.dumps).map(str.encode) | st.binary(max_size=50) | st.none())
@settings(max_examples=EXAMPLES // 4)
def test_a_chunk_with_another_footer_is_refused_by_name(footer: bytes | None) -> None:
    with pytest.raises(PlanOutdated, match=r"shop/chunk is not a chunk of this version; start the run again"):
        read(chunk(footer))
