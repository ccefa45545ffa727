"""CSV text as a source renders it -> Arrow pages, with nothing altered silently.

An unquoted empty field is NULL, a quoted one is ''. A page is parsed straight to its types. If a value does
not fit, the page is parsed again as texts, which `values` checks one by one. PyArrow's error messages hold
values: only the column's number leaves this module.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from tributary.errors import InternalError
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.types import arrow
from tributary.reading import keyset, values
from tributary.reading.csv_blocks import Block
from tributary.reading.receive_buffer import ColumnTooLong
from tributary.reading.values import Counts, Unfit

if TYPE_CHECKING:
    import pyarrow

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FIELD = re.compile(rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^,"\r\n]*+))(,|\r?\n?\Z)')
COLUMN_NUMBER = re.compile(r"In CSV column #(\d+)")


def line(texts: Iterable[bytes | None]) -> bytes:
    """Return one CSV record: NULL as an unquoted empty field, everything else quoted."""
    return b",".join(b"" if v is None else b'"%b"' % v.replace(b'"', b'""') for v in texts) + b"\n"


def bounded_line(query: Query, texts: Sequence[bytes | None]) -> bytes:
    """Return one CSV record; raises ValueRefused, by its longest column, if it is above the query's bound."""
    record = line(texts)
    if len(record) > query.longest_bytes:
        lengths = [len(text or b"") for text in texts]
        raise values.too_long(query, lengths.index(max(lengths)))
    return record


def fields(record: bytes) -> list[str | None]:
    """Return the texts of one CSV record, None for NULL."""
    texts: list[str | None] = []
    start = 0
    while match := FIELD.match(record, start):
        quoted, plain, end = match.groups()
        if quoted is not None:
            texts.append(quoted.replace(b'""', b'"').decode(errors="surrogateescape"))
        else:
            texts.append(plain.decode(errors="surrogateescape") or None)
        if end != b",":
            return texts
        start = match.end()
    raise InternalError("a CSV record of the source is cut off")


def pages(query: Query, blocks: Generator[Block]) -> Generator[Page]:
    """Yield one page per block; leaving early closes the blocks too.

    Raises TableRefused if a column that orders the rows holds NULL, ValueRefused for a row that is too long.
    """
    with closing(blocks):
        try:
            for block in blocks:
                position = keyset.position(query, fields(block.last)) if query.order else None
                yield Page(block.rows, position, len(block.text), partial(parse, block, query))
        except ColumnTooLong as error:
            raise values.too_long(query, error.place) from None


def parse(block: Block, query: Query) -> tuple[pyarrow.Table, Counts]:
    """Return the block's rows in the query's columns and their Arrow types, and what was altered."""
    import pyarrow as pa

    try:
        return values.table(query, _straight(block, query)), Counter()
    except Unfit:
        texts = _read(block, [pa.binary()] * len(query.columns), query)
    return values.parse(query, [column.combine_chunks() for column in texts.columns])


def _straight(block: Block, query: Query) -> list[pyarrow.Array]:
    """Parse straight to the kinds; raises Unfit if a value does not fit its column's."""
    import pyarrow as pa

    read = _read(block, [_parsed_as(column) for column in query.columns], query)
    arrays = []
    for column, parsed in zip(query.columns, read.columns, strict=True):
        array = parsed.combine_chunks()
        if column.kind.name == "binary":
            array = values.unhexed(array, column)
        elif column.kind.name == "decimal" and pa.types.is_string(array.type):
            array = values.decimals(array, column)
        elif column.kind.name == "decimal":
            _check_digits(array, column)
        values.check(array, column)
        arrays.append(array)
    return arrays


def _check_digits(array: pyarrow.Array, column: ReadColumn) -> None:
    """Raise Unfit for numbers that are too large: PyArrow counts digits before it adds those of the scale."""
    import pyarrow as pa

    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raise Unfit(column) from None


def _parsed_as(column: ReadColumn) -> pyarrow.DataType:
    """Return the type to parse a column as: text if Arrow's own parsing would not be exact."""
    import pyarrow as pa

    as_text = column.kind.name == "binary" or (
        column.kind.name == "decimal" and values.overflows(column.kind)
    )
    return pa.string() if as_text else arrow(column.kind)


def _read(block: Block, types: Sequence[pyarrow.DataType], query: Query) -> pyarrow.Table:
    import pyarrow as pa
    from pyarrow import csv

    text = block.text
    if text.startswith(BYTE_ORDER_MARK):
        text = BYTE_ORDER_MARK + text  # PyArrow removes one, and here it is a value's first character
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
        raise Unfit(query.columns[int(number[1])]) from None
    if read.num_rows != block.rows:
        raise InternalError(f"{query.table}: {block.rows} rows were sent and {read.num_rows} parsed")
    return read
