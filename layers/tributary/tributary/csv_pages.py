"""CSV text as a source renders it -> Arrow pages, with nothing altered silently.

An unquoted empty field is NULL, a quoted one is ''. Timestamps with a zone carry it, binaries are
hex. A page is parsed straight to its types; only where a value does not fit, again with a look at
each text (`mend`). PyArrow's error texts hold values: only the column's number leaves this module.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from . import faults, keyset, mend
from .engines import Page, Query, ReadColumn
from .engines.blocks import Block
from .errors import InternalError, TableRefused, ValueRefused
from .faults import Fault
from .types import arrow

if TYPE_CHECKING:
    import pyarrow

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FIELD = re.compile(rb'(?:"([^"]*(?:""[^"]*)*)"|([^,"\r\n]*))(,|\r?\n?\Z)')
COLUMN_NUMBER = re.compile(r"In CSV column #(\d+)")

Counts = Counter[tuple[str, Fault]]  # by the column's name in the source


class _Unfit(Exception):
    """A value of this column does not fit its kind."""

    def __init__(self, column: ReadColumn) -> None:
        super().__init__(column.name)
        self.column = column


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
            found.append(quoted.replace(b'""', b'"').decode(errors="surrogateescape"))
        else:
            found.append(plain.decode(errors="surrogateescape") or None)
        if end != b",":
            return found
        start = match.end()
    raise InternalError("a CSV record of the source is cut off")


def pages(query: Query, blocks: Generator[Block]) -> Generator[Page]:
    """Yield one page per block; leaving early closes the blocks too.

    Raises TableRefused where a column that orders the rows holds NULL.
    """
    with closing(blocks):
        for block in blocks:
            yield Page(block.rows, _position(block, query), len(block.text), partial(parse, block, query))


def parse(block: Block, query: Query) -> tuple[pyarrow.Table, Counts]:
    """Return the block's rows in the query's columns and their Arrow types, and what was altered."""
    import pyarrow as pa

    altered: Counts = Counter()
    try:
        arrays = _straight(block, query)
    except _Unfit:
        arrays = _mended(block, query, altered)
    schema = pa.schema([(column.name, arrow(column.kind)) for column in query.columns])
    return pa.Table.from_arrays(arrays, schema=schema), altered


def _straight(block: Block, query: Query) -> list[pyarrow.Array]:
    """Parse to the kinds at once; raises _Unfit where a value does not fit its own."""
    import pyarrow as pa

    types = [_parsed_as(column) for column in query.columns]
    read = _read(block.text, types, query, block.rows)
    has_nul = b"\0" in block.text
    arrays = []
    for column, values in zip(query.columns, read.columns, strict=True):
        array = values.combine_chunks()
        if column.kind.name == "binary":
            array = _unhex(array, column)
        elif column.kind.name == "decimal" and pa.types.is_string(array.type):
            array = _loose_decimal(array, column)
        _check(array, column, has_nul=has_nul)
        arrays.append(array)
    return arrays


def _parsed_as(column: ReadColumn) -> pyarrow.DataType:
    """Return what the parser makes of a column: text where Arrow's own parsing would not be exact.

    A decimal of more digits than it has bits for comes out of Arrow as another number.
    """
    import pyarrow as pa

    as_text = column.kind.name == "binary" or (column.kind.name == "decimal" and column.kind.loose)
    return pa.string() if as_text else arrow(column.kind)


def _mended(block: Block, query: Query, altered: Counts) -> list[pyarrow.Array]:
    """Parse by way of each column's text, with policies; raises ValueRefused where none covers a fault."""
    import pyarrow as pa

    read = _read(block.text, [pa.binary()] * len(query.columns), query, block.rows)
    arrays = []
    for column, values in zip(query.columns, read.columns, strict=True):
        try:
            texts, counted = mend.mended(values.combine_chunks(), column)
            arrays.append(_typed(texts, column, query))
        except mend.Refused as refusal:
            raise refused(query, column, refusal.fault) from None
        except _Unfit:
            raise refused(query, column) from None
        altered.update({(column.name, fault): count for fault, count in counted.items()})
    return arrays


def _typed(texts: pyarrow.Array, column: ReadColumn, query: Query) -> pyarrow.Array:
    """Return the texts as values of their kind; raises _Unfit where one is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name = column.kind.name
    if name in ("text", "uuid", "json"):
        array = texts.cast(pa.string())
    elif name == "binary":
        array = _unhex(pa.array(texts.to_pylist(), pa.binary()), column)  # from offset 0 again
    elif name == "decimal" and column.kind.loose:
        array = _loose_decimal(texts.cast(pa.string()), column)
    else:
        again = pc.fill_null(texts, b"")
        lines = b"\n".join(again.to_pylist()) + b"\n"
        whole = Query(query.table, (column,))
        array = _read(lines, [arrow(column.kind)], whole, len(texts)).column(0).combine_chunks()
    _check(array, column, has_nul=False)
    return array


def _read(text: bytes, types: Sequence[pyarrow.DataType], query: Query, rows: int) -> pyarrow.Table:
    import pyarrow as pa
    from pyarrow import csv

    if text.startswith(BYTE_ORDER_MARK):
        text = BYTE_ORDER_MARK + text  # PyArrow takes one away, and here it is a value's first character
    names = [str(number) for number in range(len(types))]
    try:
        read = csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(column_names=names, block_size=len(text) + 1, use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(names, types, strict=True)),
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
        raise _Unfit(query.columns[int(number[1])]) from None
    if read.num_rows != rows:
        raise InternalError(f"{query.table}: {rows} rows were sent and {read.num_rows} parsed")
    return read


def refused(query: Query, column: ReadColumn, fault: Fault | None = None) -> ValueRefused:
    """Return the error for a value that its column's kind cannot hold: the fault, and what can be done."""
    holds = faults.MEANINGS[fault or "misfit"]
    choices = [
        f'"{policy}"' if policy == "null" else policy for policy in faults.CHOICES[fault or "misfit"][1:]
    ]
    ways = ["correct it in the source"]
    if column.name not in query.order:
        ways.append(f"set column_policies: {{{column.name}: {' or '.join(choices)}}}")
    ways.append(f"leave the column out with columns: {{exclude: [{column.name}]}}")
    return ValueRefused(
        f'column "{column.name}" of {query.table} ({column.type}) holds {holds}; '
        f"{', '.join(ways[:-1])} or {ways[-1]}"
    )


def _unhex(whole: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Decode a whole column of hex at once: its bytes are half as long, and so is every offset."""
    from binascii import Error, unhexlify

    import pyarrow as pa
    import pyarrow.compute as pc

    valid, starts, digits = whole.buffers()
    offsets = pa.Array.from_buffers(pa.int32(), len(whole) + 1, [None, starts])
    end = offsets[-1].as_py()
    odd = pc.any(pc.not_equal(pc.bit_wise_and(pc.binary_length(whole), 1), 0)).as_py()
    try:
        if odd:
            raise Error
        data = unhexlify(memoryview(digits)[:end]) if end else b""
    except Error:
        raise _Unfit(column) from None
    halved = pc.shift_right(offsets, pa.scalar(1, pa.int32())).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(whole), [valid, halved, pa.py_buffer(data)])


def _loose_decimal(texts: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Return the numbers once every text is known to have no more digits than the decimal."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.kind
    if pc.any(mend.suspects(texts, kind)).as_py():
        raise _Unfit(column)
    if (pc.max(pc.binary_length(texts)).as_py() or 0) > (kind.precision or 38):
        few = rf"^(-?\d+\.\d{{0,{kind.scale}}}?)0+$"
        texts = pc.replace_substring_regex(texts, few, r"\1")  # noughts that Arrow would count as digits
    try:
        return texts.cast(arrow(kind))
    except pa.ArrowInvalid:
        raise _Unfit(column) from None


def _check(array: pyarrow.Array, column: ReadColumn, *, has_nul: bool) -> None:
    """Refuse what parses and yet cannot be loaded: long values, NUL characters, years before 1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.kind
    limit = kind.limit_bytes
    if limit is not None and (pc.max(pc.binary_length(array)).as_py() or 0) > limit:
        raise _Unfit(column)
    if has_nul and kind.name in ("text", "uuid", "json") and pc.any(pc.match_substring(array, "\0")).as_py():
        raise _Unfit(column)
    if kind.name == "json":
        _check_json(array, column)
    if kind.name == "decimal":
        try:
            array.validate(full=True)  # PyArrow counts the digits before it adds those of the scale
        except pa.ArrowInvalid:
            raise _Unfit(column) from None
    if kind.orders_time:
        days = array.view(pa.int32() if kind.name == "date" else pa.int64())
        first = -719_162 if kind.name == "date" else -719_162 * 86_400_000_000  # 0001-01-01
        earliest = pc.min(days).as_py()
        if earliest is not None and earliest < first:
            raise _Unfit(column)


def _check_json(array: pyarrow.Array, column: ReadColumn) -> None:
    import pyarrow.compute as pc

    odd = array.filter(mend.odd_json(array, column.kind))
    for text in pc.unique(odd).to_pylist():
        if text is not None and mend.json_fault(text.encode()) is not None:
            raise _Unfit(column)


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
