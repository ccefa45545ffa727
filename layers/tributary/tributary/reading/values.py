"""The source's own texts, a column at a time -> Arrow values of its kind, with nothing altered silently.

Timestamps with a zone include it, binaries are hex. A column is converted at once; if a value does not fit,
it is converted again after a check of each text (`repair`). PyArrow's error messages hold values: none of
them leaves this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tributary.errors import ValueRefused
from tributary.model import value_policies
from tributary.model.query import Query, ReadColumn
from tributary.model.types import Kind, arrow
from tributary.model.value_policies import Fault
from tributary.reading import repair

if TYPE_CHECKING:
    import pyarrow

DIGITS_AT_MOST = 38  # of a decimal
NUMBERS = ("int16", "int32", "int64", "float32", "float64")
TRUTHS = (b"f", b"0", b"t", b"1")  # the true ones last

Counts = Counter[tuple[str, Fault]]  # by the column's name in the source


class Unfit(Exception):
    """A value of this column does not fit its kind."""

    def __init__(self, column: ReadColumn) -> None:
        super().__init__(column.name)
        self.column = column


def parse(query: Query, columns: Sequence[pyarrow.Array]) -> tuple[pyarrow.Table, Counts]:
    """Return what was read of the query's columns as values of their kinds, and what was altered.

    A column was read as texts (binary), as numbers, decimals included, or as dates, times or booleans.
    Raises ValueRefused if a value does not fit and no policy covers it.
    """
    altered: Counts = Counter()
    arrays = []
    for read, column in zip(columns, query.columns, strict=True):
        try:
            arrays.append(typed(read, column))
        except Unfit:
            arrays.append(_repaired(_texts(read), query, column, altered))
    return table(query, arrays), altered


def table(query: Query, arrays: Sequence[pyarrow.Array]) -> pyarrow.Table:
    """Return the values as a table of the query's columns."""
    import pyarrow as pa

    schema = pa.schema([(column.name, arrow(column.kind)) for column in query.columns])
    return pa.Table.from_arrays(list(arrays), schema=schema)


def _repaired(texts: pyarrow.Array, query: Query, column: ReadColumn, altered: Counts) -> pyarrow.Array:
    try:
        treated, counted = repair.repaired(texts, column)
        array = typed(treated, column)
    except repair.Refused as refusal:
        raise refused(query, column, refusal.fault) from None
    except Unfit:
        raise refused(query, column) from None
    altered.update({(column.name, fault): count for fault, count in counted.items()})
    return array


def _texts(read: pyarrow.Array) -> pyarrow.Array:
    import pyarrow as pa

    if pa.types.is_decimal(read.type):  # whose texts have exponents in Arrow
        return pa.array([None if value is None else f"{value:f}" for value in read.to_pylist()], pa.binary())
    return read if pa.types.is_binary(read.type) else read.cast(pa.string()).cast(pa.binary())


def typed(read: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Return what was read as values of the column's kind; raises Unfit if a value does not fit."""
    import pyarrow as pa

    name = column.kind.name
    try:
        if name in NUMBERS and not pa.types.is_binary(read.type):
            return read.cast(arrow(column.kind))
        if name == "decimal" and read.type == arrow(column.kind):
            return read
        if name in ("date", "timestamp", "timestamptz", "boolean") and read.type == arrow(column.kind):
            check(read, column)
            return read
        texts = _texts(read)
        if name == "binary":
            array = unhexed(texts, column)
        elif name == "boolean":
            array = _booleans(texts, column)
        elif name in ("text", "uuid", "json"):
            array = texts.cast(pa.string())  # which checks that they are UTF-8
        elif name == "decimal":
            array = decimals(_unchecked(texts), column)
        else:
            array = _unchecked(texts).cast(arrow(column.kind))
    except pa.ArrowInvalid:
        raise Unfit(column) from None
    check(array, column)
    return array


def _unchecked(texts: pyarrow.Array) -> pyarrow.Array:
    """Return the bytes as text, unchecked: what is not UTF-8 is no number or time to a parser either."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.string(), len(texts), texts.buffers(), offset=texts.offset)


def _booleans(texts: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(texts, pa.array(TRUTHS, texts.type))
    if places.null_count != texts.null_count:
        raise Unfit(column)
    return pc.greater(places, 1)


def unhexed(whole: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Decode a whole column of hex at once: its bytes are half as long, and so is every offset."""
    from binascii import Error, unhexlify

    import pyarrow as pa
    import pyarrow.compute as pc

    valid, starts, digits = _from_the_start(whole).buffers()
    offsets = pa.Array.from_buffers(pa.int32(), len(whole) + 1, [None, starts])
    end = offsets[-1].as_py()
    odd = pc.any(pc.not_equal(pc.bit_wise_and(pc.binary_length(whole), 1), 0)).as_py()
    try:
        if odd:
            raise Error
        data = unhexlify(memoryview(digits)[:end]) if end else b""
    except Error:
        raise Unfit(column) from None
    halved = pc.shift_right(offsets, pa.scalar(1, pa.int32())).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(whole), [valid, halved, pa.py_buffer(data)])


def hexed(values: pyarrow.Array) -> pyarrow.Array:
    """Return a whole column of bytes in hex at once: twice as long, and so is every offset."""
    from binascii import hexlify

    import pyarrow as pa
    import pyarrow.compute as pc

    valid, starts, data = _from_the_start(values).buffers()
    offsets = pa.Array.from_buffers(pa.int32(), len(values) + 1, [None, starts])
    end = offsets[-1].as_py()
    digits = hexlify(memoryview(data)[:end]).upper() if end else b""
    doubled = pc.shift_left(offsets, pa.scalar(1, pa.int32())).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(values), [valid, doubled, pa.py_buffer(digits)])


def _from_the_start(values: pyarrow.Array) -> pyarrow.Array:
    """Return the bytes as an array whose buffers hold nothing before them."""
    import pyarrow as pa

    first = pa.Array.from_buffers(pa.int32(), 1, [None, values.buffers()[1]], offset=values.offset)
    if values.offset == 0 and len(values) and first[0].as_py() == 0:
        return values
    return pa.concat_arrays([values, pa.array([None], values.type)])[:-1]


def decimals(texts: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Return the numbers; raises Unfit if a text is no number of the kind.

    Digits are counted first if a number may have 39 of them, with those that the scale adds: Arrow would
    make another number of it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, lengths = column.kind, pc.binary_length(texts)
    longest = whole = pc.max(lengths).as_py() or 0
    if whole + (kind.scale or 0) > DIGITS_AT_MOST:  # with the digits behind the point counted twice
        point = pc.find_substring(texts, ".")
        whole = pc.max(pc.if_else(pc.less(point, 0), lengths, point)).as_py() or 0
    if kind.loose or max(longest, whole + (kind.scale or 0)) > DIGITS_AT_MOST:
        texts = _counted(texts, column)
    try:
        return texts.cast(arrow(kind))
    except pa.ArrowInvalid:
        raise Unfit(column) from None


def overflows(kind: Kind) -> bool:
    """Say whether Arrow may turn a number that is too large for the decimal into a smaller one.

    It adds the digits of the scale modulo 2^128, and refuses numbers with too many digits or that became
    smaller by that. With 38 digits in all, a wrong number is always smaller.
    """
    return kind.loose or (kind.precision or 0) + (kind.scale or 0) > DIGITS_AT_MOST


def _counted(texts: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Return the texts, after checking that each has no more digits than the decimal; raises Unfit."""
    import pyarrow.compute as pc

    kind = column.kind
    if pc.any(repair.suspects(texts, kind)).as_py():
        raise Unfit(column)
    if (pc.max(pc.binary_length(texts)).as_py() or 0) > (kind.precision or 38):
        few = rf"^(-?\d+\.\d{{0,{kind.scale}}}?)0+$"
        texts = pc.replace_substring_regex(texts, few, r"\1")  # zeros that Arrow would count as digits
    return texts


def check(array: pyarrow.Array, column: ReadColumn) -> None:
    """Raise Unfit for what parses and cannot be loaded: long values, NUL characters, years before 1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.kind
    limit = kind.limit_bytes
    if limit is not None and (pc.max(pc.binary_length(array)).as_py() or 0) > limit:
        raise Unfit(column)
    if kind.name in ("text", "uuid", "json") and _holds_nul(array):
        raise Unfit(column)
    if kind.name == "json":
        _check_json(array, column)
    if kind.orders_time:
        days = array.view(pa.int32() if kind.name == "date" else pa.int64())
        first = -719_162 if kind.name == "date" else -719_162 * 86_400_000_000  # 0001-01-01
        earliest = pc.min(days).as_py()
        if earliest is not None and earliest < first:
            raise Unfit(column)


def _holds_nul(texts: pyarrow.Array) -> bool:
    import pyarrow.compute as pc

    data = texts.buffers()[2]
    if data is None or b"\0" not in data.to_pybytes():
        return False
    return bool(pc.any(pc.match_substring(texts, "\0")).as_py())


def _check_json(array: pyarrow.Array, column: ReadColumn) -> None:
    import pyarrow.compute as pc

    odd = array.filter(repair.odd_json(array, column.kind))
    for text in pc.unique(odd).to_pylist():
        if text is not None and repair.json_fault(text.encode()) is not None:
            raise Unfit(column)


def too_long(query: Query, place: int) -> ValueRefused:
    """Return the error for a row whose text is above the query's bound because of one column."""
    column = query.columns[place]
    return ValueRefused(
        f'column "{column.name}" of {query.table} ({column.type}) holds a value by which its row '
        f"is longer than {query.longest_bytes >> 20} MiB; correct it in the source, leave it out with "
        f"columns: {{exclude: [{column.name}]}}, or raise max_row_megabytes and the memory of Extract"
    )


def refused(query: Query, column: ReadColumn, fault: Fault | None = None) -> ValueRefused:
    """Return the error for a value that its column's kind cannot hold, with what can be done."""
    holds = value_policies.MEANINGS[fault or "misfit"]
    choices = [
        f'"{policy}"' if policy == "null" else policy
        for policy in value_policies.CHOICES[fault or "misfit"][1:]
    ]
    ways = ["correct it in the source"]
    if column.name not in query.order:
        ways.append(f"set column_policies: {{{column.name}: {' or '.join(choices)}}}")
    ways.append(f"leave the column out with columns: {{exclude: [{column.name}]}}")
    return ValueRefused(
        f'column "{column.name}" of {query.table} ({column.type}) holds {holds}; '
        f"{', '.join(ways[:-1])} or {ways[-1]}"
    )
