"""CSV text as a source renders it -> Arrow pages, with nothing altered silently.

An unquoted empty field is NULL, a quoted one is ''. Timestamps with a zone carry it, binaries are
hex. PyArrow's error texts hold values: only the column's number leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from . import keyset
from .engines import Page, Query, ReadColumn
from .engines.blocks import Block
from .errors import InternalError, TableRefused, ValueRefused
from .types import arrow

if TYPE_CHECKING:
    import pyarrow

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FIELD = re.compile(rb'(?:"([^"]*(?:""[^"]*)*)"|([^,"\r\n]*))(,|\r?\n?\Z)')
COLUMN_NUMBER = re.compile(r"In CSV column #(\d+)")

HOLDS = {
    "boolean": "true and false",
    "int16": "integers of 16 bits",
    "int32": "integers of 32 bits",
    "int64": "integers of 64 bits",
    "decimal": "decimals of its declared digits",
    "float32": "numbers",
    "float64": "numbers",
    "date": "dates of the years 1 to 9999",
    "timestamp": "times of the years 1 to 9999 in microseconds",
    "timestamptz": "times of the years 1 to 9999 in microseconds",
    "text": "valid UTF-8",
    "binary": "bytes",
    "uuid": "UUIDs",
    "json": "valid UTF-8",
}


def line(values: Iterable[bytes | None]) -> bytes:
    """Return one CSV record: NULL as an unquoted empty field, everything else quoted."""
    return b",".join(b"" if v is None else b'"%b"' % v.replace(b'"', b'""') for v in values) + b"\n"


def fields(record: bytes) -> list[str | None]:
    """Return the texts of one CSV record, None for NULL."""
    found: list[str | None] = []
    start = 0
    while match := FIELD.match(record, start):
        quoted, plain, end = match.groups()
        if quoted is not None:
            found.append(quoted.replace(b'""', b'"').decode())
        else:
            found.append(plain.decode() or None)
        if end != b",":
            return found
        start = match.end()
    raise InternalError("a CSV record of the source is cut off")


def pages(query: Query, blocks: Generator[Block]) -> Iterator[Page]:
    """Yield one page per block; leaving early closes the blocks too.

    Raises ValueRefused where a value does not fit its column's kind, TableRefused where a column
    that orders the rows holds NULL.
    """
    with closing(blocks):
        for block in blocks:
            yield Page(parse(block, query), _position(block, query), len(block.text))


def parse(block: Block, query: Query) -> pyarrow.Table:
    """Return the block's rows in the query's columns and their Arrow types."""
    import pyarrow as pa

    read = _read(block, query)
    if read.num_rows != block.rows:
        raise InternalError(f"{query.table}: {block.rows} rows were sent and {read.num_rows} parsed")
    has_nul = b"\0" in block.text
    arrays = []
    for column, text in zip(query.columns, read.columns, strict=True):
        array = _unhex(text, column, query) if column.kind.name == "binary" else text.combine_chunks()
        _check(array, column, query, has_nul=has_nul)
        arrays.append(array)
    schema = pa.schema([(column.name, arrow(column.kind)) for column in query.columns])
    return pa.Table.from_arrays(arrays, schema=schema)


def _read(block: Block, query: Query) -> pyarrow.Table:
    import pyarrow as pa
    from pyarrow import csv

    text = block.text
    if text.startswith(BYTE_ORDER_MARK):
        text = BYTE_ORDER_MARK + text  # PyArrow takes one away, and here it is a value's first character
    names = [str(number) for number in range(len(query.columns))]
    types = {
        name: pa.string() if column.kind.name == "binary" else arrow(column.kind)
        for name, column in zip(names, query.columns, strict=True)
    }
    try:
        return csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(column_names=names, block_size=len(text) + 1),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t", "1"],
                false_values=["f", "0"],
            ),
        )
    except pa.ArrowInvalid as error:
        number = COLUMN_NUMBER.search(str(error))
        if number is None:
            raise InternalError(f"{query.table}: the source's rows are not the CSV they should be") from None
        raise refused(query, query.columns[int(number[1])]) from None


def refused(query: Query, column: ReadColumn) -> ValueRefused:
    """Return the error for a value that its column's kind cannot hold."""
    return ValueRefused(
        f'column "{column.name}" of {query.table} ({column.type}) holds a value outside '
        f"{HOLDS[column.kind.name]}; correct it in the source, "
        f"or leave the column out with columns: {{exclude: [{column.name}]}}"
    )


def _unhex(text: pyarrow.ChunkedArray, column: ReadColumn, query: Query) -> pyarrow.Array:
    """Decode a whole column of hex at once: its bytes are half as long, and so is every offset."""
    from binascii import Error, unhexlify

    import pyarrow as pa
    import pyarrow.compute as pc

    whole = text.combine_chunks()
    valid, starts, digits = whole.buffers()
    offsets = pa.Array.from_buffers(pa.int32(), len(whole) + 1, [None, starts])
    end = offsets[-1].as_py()
    try:
        data = unhexlify(memoryview(digits)[:end]) if end else b""
    except Error:
        raise refused(query, column) from None
    halved = pc.shift_right(offsets, pa.scalar(1, pa.int32())).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(whole), [valid, halved, pa.py_buffer(data)])


def _check(array: pyarrow.Array, column: ReadColumn, query: Query, *, has_nul: bool) -> None:
    """Refuse what parses and yet cannot be loaded: long values, NUL characters, years before 1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    limit = column.kind.limit_bytes
    if limit is not None and (pc.max(pc.binary_length(array)).as_py() or 0) > limit:
        raise ValueRefused(
            f'column "{column.name}" of {query.table} ({column.type}) holds a value longer than the '
            f"{limit} bytes of its column in Redshift; leave the column out with "
            f"columns: {{exclude: [{column.name}]}}"
        )
    if has_nul and column.kind.name in ("text", "json") and pc.any(pc.match_substring(array, "\0")).as_py():
        raise ValueRefused(
            f'column "{column.name}" of {query.table} holds a text with a NUL character, which '
            "Redshift cannot hold; correct it in the source, or leave the column out with "
            f"columns: {{exclude: [{column.name}]}}"
        )
    if column.kind.name == "decimal":
        try:
            array.validate(full=True)  # PyArrow counts the digits before it adds those of the scale
        except pa.ArrowInvalid:
            raise refused(query, column) from None
    if column.kind.orders_time:
        days = array.view(pa.int32() if column.kind.name == "date" else pa.int64())
        first = -719_162 if column.kind.name == "date" else -719_162 * 86_400_000_000  # 0001-01-01
        earliest = pc.min(days).as_py()
        if earliest is not None and earliest < first:
            raise refused(query, column)


def _position(block: Block, query: Query) -> tuple[str, ...] | None:
    if not query.order:
        return None
    texts: Sequence[str | None] = fields(block.last)
    places = {column.name: place for place, column in enumerate(query.columns)}
    position = []
    for name in keyset.order(query):
        text = texts[places[name]]
        if text is None:
            raise TableRefused(
                f'column "{name}" of {query.table} orders its rows and holds NULL; '
                "choose a key and a cursor column that are NOT NULL"
            )
        position.append(text)
    return tuple(position)
