"""Parquet for COPY: which file column may fill which table column, and the rows as CSV.

AWS publishes no table of types; the rule is that they must match. Only combinations that were seen to
load are accepted. Nanosecond timestamps, which Redshift loads wrongly without an error, are refused.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

ROWS_AT_ONCE = 65_536
SUPER_STRING_BYTES = 65_535


@dataclass(frozen=True, slots=True)
class Target:
    """A column that a COPY fills: its PostgreSQL type, and its limit in bytes if it has one."""

    name: str
    type: str
    size_bytes: int | None
    not_null: bool

    @property
    def word(self) -> str:
        """Return the type as Spectrum's errors name it."""
        short = {"integer": "INT", "double precision": "DOUBLE", "jsonb": "SUPER", "bytea": "VARBYTE"}
        text = self.type.replace("character varying", "VARCHAR").replace("numeric", "DECIMAL")
        return short.get(self.type, text.split(" without")[0].upper())


class Mismatch(Exception):
    """A file that does not fit the table: Spectrum's message, and the column."""

    def __init__(self, context: str, column: Target | None = None, code: int = 15007) -> None:
        super().__init__(context)
        self.context = context
        self.column = column
        self.code = code


def _integer(bits: int, *, signed: bool = True) -> dict[str, Any]:
    return {"Type": "Int", "bitWidth": bits, "isSigned": signed}


def _timestamp(*, utc: bool) -> dict[str, Any]:
    return {"Type": "Timestamp", "isAdjustedToUTC": utc, "timeUnit": "microseconds"}


ACCEPTED: dict[str, list[tuple[str, dict[str, Any]]]] = {  # physical type, logical type
    "smallint": [("INT32", _integer(16)), ("INT32", _integer(8)), ("INT32", _integer(8, signed=False))],
    "integer": [("INT32", {"Type": "None"}), ("INT32", _integer(32)), ("INT32", _integer(16, signed=False))],
    "bigint": [("INT64", {"Type": "None"}), ("INT64", _integer(64)), ("INT32", _integer(32, signed=False))],
    "real": [("FLOAT", {"Type": "None"})],
    "double precision": [("DOUBLE", {"Type": "None"})],
    "boolean": [("BOOLEAN", {"Type": "None"})],
    "date": [("INT32", {"Type": "Date"})],
    "timestamp without time zone": [("INT64", _timestamp(utc=False)), ("INT96", {"Type": "None"})],
    "timestamp with time zone": [("INT64", _timestamp(utc=True))],
    "character varying": [("BYTE_ARRAY", {"Type": "String"})],
    "character": [("BYTE_ARRAY", {"Type": "String"})],
    "bytea": [("BYTE_ARRAY", {"Type": "None"})],
}


def check(file: pq.ParquetFile, targets: Sequence[Target], url: str, *, to_json: bool) -> None:
    """Raise Mismatch unless every column of the file fits the table's column at its position."""
    fields = file.schema_arrow
    if len(fields) != len(targets):
        raise Mismatch(
            "Unmatched number of columns between table and file. "
            f"Table columns: {len(targets)}, Data columns: {len(fields)}, File name: {url}"
        )
    leaves = list(map(file.schema.column, range(len(file.schema))))
    for field, target in zip(fields, targets, strict=True):
        if target.type == "jsonb":
            if not to_json:
                raise Mismatch("SUPER column in COPY query requires SERIALIZETOJSON option", target)
        else:
            _check_leaf(field, _leaf(field.name, leaves), target, url)


def check_columns(file: pq.ParquetFile, targets: Sequence[Target], url: str) -> None:
    """Raise Mismatch unless the file's columns of those names fit an external table's.

    A TIMESTAMP there takes instants too, as their time in UTC.
    """
    leaves = list(map(file.schema.column, range(len(file.schema))))
    for target in targets:
        field = file.schema_arrow.field(target.name)
        zoned = target.type == "timestamp without time zone" and getattr(field.type, "tz", None)
        fitting = replace(target, type="timestamp with time zone") if zoned else target
        _check_leaf(field, _leaf(field.name, leaves), fitting, url)


def _leaf(name: str, leaves: Sequence[Any]) -> Any:
    """Return the column's own leaf, of a nested one the first; a name may have dots in it too."""
    own = [leaf for leaf in leaves if leaf.path == name]
    return (own or [leaf for leaf in leaves if leaf.path.startswith(f"{name}.")])[0]


def _check_leaf(field: pa.Field, leaf: Any, target: Target, url: str) -> None:
    logical = json.loads(leaf.logical_type.to_json())
    if target.type.startswith("time ") or logical["Type"] == "Time":
        raise Mismatch(f"COPY cannot load TIME columns from Parquet, column {target.name}", target)
    if logical["Type"] == "Timestamp" and logical["timeUnit"] == "nanoseconds":
        raise Mismatch(
            f"column {target.name} holds nanosecond timestamps, which Redshift loads as other dates", target
        )
    if pa.types.is_nested(field.type) or not _fits(leaf.physical_type, logical, target):
        repetition = "optional" if leaf.max_definition_level else "required"
        raise Mismatch(
            f"File '{url}' has an incompatible Parquet schema for column '{url}.{target.name}'. "
            f"Column type: {target.word}, Parquet schema:\n"
            f"{repetition} {leaf.physical_type.lower()} {field.name} [{logical}]",
            target,
        )


def _fits(physical: str, logical: dict[str, Any], target: Target) -> bool:
    kind = re.sub(r"\(.*\)", "", target.type)
    if kind == "numeric":
        file_type = f"numeric({logical.get('precision')},{logical.get('scale')})"
        return logical["Type"] == "Decimal" and file_type == target.type
    return any(
        physical == accepted and all(logical.get(name) == value for name, value in wanted.items())
        for accepted, wanted in ACCEPTED.get(kind, [])
    )


def lines(
    file: pq.ParquetFile, targets: Sequence[Target], names: Sequence[str] | None = None
) -> Iterator[bytes]:
    """Yield the file's rows as CSV: NULL is empty, an empty string is quoted. Raises Mismatch.

    `names`: the file's columns to take, None for all in their order.
    """
    places = range(len(targets)) if names is None else [file.schema_arrow.names.index(name) for name in names]
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
        taken = zip(places, targets, strict=True)
        columns = [_column(batch.column(place), target) for place, target in taken]
        table = pa.Table.from_arrays(columns, names=[str(place) for place in range(len(columns))])
        written = io.BytesIO()
        options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
        pa.csv.write_csv(table, written, options)
        yield written.getvalue()


def _column(values: pa.Array, target: Target) -> pa.Array:
    if target.not_null and values.null_count:
        raise Mismatch(f"Cannot insert a NULL value into column {target.name}", target, code=8007)
    if target.type == "jsonb":
        return pa.array([_json(value, target) for value in values.to_pylist()], pa.string())
    if target.size_bytes is not None:
        _check_length(values, target)
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":  # from INT96
        values = values.cast(pa.timestamp("us"), safe=False)
    return RENDERED.get(target.type, _as_it_is)(values)


def _as_it_is(values: pa.Array) -> pa.Array:
    return values


def _hex(values: pa.Array) -> pa.Array:
    return pa.array([None if v is None else "\\x" + v.hex() for v in values.to_pylist()], pa.string())


def _dated(values: pa.Array) -> pa.Array:
    """Write years before 1 as PostgreSQL reads them: Arrow's year 0 is 1 BC."""
    earliest = pc.min(values.cast(pa.int32() if pa.types.is_date(values.type) else pa.int64())).as_py()
    first_year = -719_162 * (1 if pa.types.is_date(values.type) else 86_400_000_000)
    if earliest is None or earliest >= first_year:
        return values
    return pa.array([_era(text) for text in values.cast(pa.string()).to_pylist()], pa.string())


def _era(text: str | None) -> str | None:
    match = re.match(r"(-?\d+)(-.*)", text) if text else None
    if not match or int(match[1]) > 0:
        return text
    return f"{1 - int(match[1]):04d}{match[2]} BC"


RENDERED: dict[str, Callable[[pa.Array], pa.Array]] = {
    "bytea": _hex,
    "date": _dated,
    "timestamp without time zone": _dated,
    "timestamp with time zone": _dated,
}


def _check_length(values: pa.Array, target: Target) -> None:
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    if target.size_bytes is not None and longest > target.size_bytes:
        raise Mismatch(
            f"The length of the data column {target.name} is longer than the length defined in the table. "
            f"Table: {target.size_bytes}, Data: {longest}",
            target,
        )


def _json(value: Any, target: Target) -> str | None:
    """Return a nested value as JSON; a string stays a string, even one that is JSON itself."""
    if value is None:
        return None
    if isinstance(value, str) and len(value.encode()) > SUPER_STRING_BYTES:
        text = f"String value exceeds the max size of {SUPER_STRING_BYTES} bytes"
        raise Mismatch(text, target, code=1224)
    return json.dumps(value, default=str, ensure_ascii=False)
