"""Values that the warehouse cannot hold, found in the source's text and altered by their policies.

A page comes here only after parsing it straight to its types failed. Patterns are matched against a whole
column at once. Only texts that match none are checked one by one, each distinct text once. Every altered
value is counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation, localcontext
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tributary.model.query import ReadColumn
from tributary.model.types import Kind
from tributary.model.value_policies import Fault, Policy

if TYPE_CHECKING:
    import pyarrow

MISFIT = b"\xff\xfemisfit\xff"  # what an engine renders if a value's storage is not its column's
JSON_DEPTH = 1_000  # of a SUPER (limitations-super)
JSON_BYTES = 65_535  # it is staged as a VARCHAR, which is also the limit of a string within a SUPER
ESCAPES = r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})"  # of NUL and of lone surrogates
ESCAPE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([0-9a-fA-F]{4})|\\[^u]")
LONGEST_INTEGER = 20  # digits: one more than those of 64 bits
INTEGER_BITS = {"int16": 16, "int32": 32, "int64": 64}
FIRST, LAST = {"date": b"0001-01-01"}, {"date": b"9999-12-31"}
for _name, _zone in (("timestamp", b""), ("timestamptz", b"Z")):
    FIRST[_name] = b"0001-01-01 00:00:00" + _zone
    LAST[_name] = b"9999-12-31 23:59:59.999999" + _zone
DAY = r"(?:0[1-9]\d\d|00[1-9]\d|000[1-9]|[1-9]\d{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
CLOCK = r"[ T](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
ZONE = r"(?:Z|\+00)"
TIME = re.compile(
    rb"(?P<year>\d{4,9})-(?P<month>\d\d)-(?P<day>\d\d)"
    rb"(?:[ T](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d*))?)?)?"
    rb"(?P<zone>Z|\+00(?::?00)?)?(?P<era> BC)?"
)
# A string without an end goes to the end of the text: looking for one from each quote would be quadratic.
MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Refused(Exception):
    """A value has a fault whose policy is `fail`; None if its fault is not a known one."""

    def __init__(self, fault: Fault | None) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(slots=True)
class RepairedValues:
    """One value: its text so far, None for NULL, and the faults that were treated."""

    column: ReadColumn
    text: bytes | None
    faults: list[Fault] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Return the kind that the text must be of in the end."""
        return self.column.kind

    def meet(self, fault: Fault, **instead: Callable[[], bytes]) -> None:
        """Treat the fault by its policy; raises Refused if that is `fail`.

        `instead` gives the text for `clamp` and `truncate`.
        """
        policy: Policy = self.column.policies.get(fault, "fail")
        if policy == "null":
            self.text = None
        elif policy in instead:
            self.text = instead[policy]()
        else:
            raise Refused(fault)
        self.faults.append(fault)


def repaired(texts: pyarrow.Array, column: ReadColumn) -> tuple[pyarrow.Array, Counter[Fault]]:
    """Return the column's texts (binary) with every fault treated, and the counts of faults.

    Raises Refused at the first value that no policy covers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    counted: Counter[Fault] = Counter()
    suspected = pc.fill_null(suspects(texts, column.kind), fill_value=False)
    if not pc.any(suspected).as_py():
        return texts, counted
    distinct = texts.filter(suspected).dictionary_encode()
    treated = [_treated(column, text) for text in distinct.dictionary.to_pylist()]
    for entry in pc.value_counts(distinct.indices).to_pylist():
        for fault in treated[entry["values"]].faults:
            counted[fault] += entry["counts"]
    replaced = pa.array([one.text for one in treated], texts.type).take(distinct.indices)
    return pc.replace_with_mask(texts, suspected, replaced), counted


def _treated(column: ReadColumn, text: bytes) -> RepairedValues:
    value = RepairedValues(column, text)
    if text == MISFIT:
        value.meet("misfit")
    else:
        TREATMENTS[column.kind.name](value)
    return value


def suspects(texts: pyarrow.Array, kind: Kind) -> pyarrow.BooleanArray:
    """Return which texts (binary) may have a fault; all others have none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind.name in ("text", "uuid", "json"):
        suspected = pc.greater(pc.binary_length(texts), kind.limit_bytes)
        suspected = pc.or_(suspected, pc.match_substring(texts, "\0"))
        try:
            texts.cast(pa.string())
        except pa.ArrowInvalid:
            broken = [text is not None and not _is_utf8(text) for text in texts.to_pylist()]
            suspected = pc.or_(suspected, pa.array(broken))
        return pc.or_(suspected, odd_json(texts, kind)) if kind.name == "json" else suspected
    if kind.name == "binary":
        too_long = pc.greater(pc.binary_length(texts), 2 * (kind.limit_bytes or 0))
        return pc.or_(too_long, pc.equal(texts, pa.scalar(MISFIT, pa.binary())))
    return pc.invert(pc.match_substring_regex(texts, f"^(?:{_pattern(kind)})$"))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@cache
def _pattern(kind: Kind) -> str:
    """Return the pattern of texts that surely fit the kind."""
    if kind.name == "decimal":
        return decimal_pattern(kind)
    day_and_clock = f"{DAY}(?:{CLOCK})?"
    return {
        "boolean": "[tf01]",
        "int16": r"-?\d{1,4}",
        "int32": r"-?\d{1,9}",
        "int64": r"-?\d{1,18}",
        "float32": r"-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|Infinity)|nan|NaN",
        "float64": r"-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|Infinity)|nan|NaN",
        "date": DAY,
        "timestamp": day_and_clock,
        "timestamptz": day_and_clock + ZONE,
    }[kind.name]


def decimal_pattern(kind: Kind) -> str:
    """Return the pattern of plain numbers whose digits the decimal has."""
    whole, scale = (kind.precision or 38) - (kind.scale or 0), kind.scale or 0
    integers = rf"0*\d{{1,{whole}}}" if whole else "0+"
    return rf"-?{integers}(?:\.\d{{0,{scale}}}0*)?"


def odd_json(texts: pyarrow.Array, kind: Kind) -> pyarrow.BooleanArray:
    """Return which JSON texts must be checked: all of them if the source does not validate JSON."""
    import pyarrow.compute as pc

    if kind.loose:
        return pc.is_valid(texts)
    opened = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{"))
    return pc.or_(pc.greater(opened, JSON_DEPTH), pc.match_substring_regex(texts, ESCAPES))


# --- one value ----------------------------------------------------------------------------------


def _decimal(value: RepairedValues) -> None:
    precision, scale = value.kind.precision or 38, value.kind.scale or 0
    with localcontext() as context:
        context.prec = 200_000  # more than any server's numbers have
        try:
            number = Decimal((value.text or b"").decode())
        except (InvalidOperation, UnicodeDecodeError):
            return value.meet("misfit")
        if number.is_nan():
            return value.meet("not_a_number")
        largest = Decimal(10**precision - 1).scaleb(-scale)
        if not number.is_finite() or (number and number.adjusted() >= precision - scale):
            return value.meet(
                "number_out_of_range", clamp=lambda: format(largest.copy_sign(number), "f").encode()
            )
        cut = number.quantize(Decimal(1).scaleb(-scale), "ROUND_DOWN")
        if cut != number:
            value.meet("excess_digits", truncate=lambda: format(cut, "f").encode())
        return None


def _integer(value: RepairedValues) -> None:
    text = value.text or b""
    if not re.fullmatch(rb"-?\d+", text):
        return value.meet("misfit")
    most = 1 << (INTEGER_BITS[value.kind.name] - 1)
    digits = text.lstrip(b"-0") or b"0"
    number = int(digits[:LONGEST_INTEGER]) * (-1 if text.startswith(b"-") else 1)  # Python reads 4,300 digits
    if not -most <= number < most:
        value.meet(
            "number_out_of_range", clamp=lambda: b"%d" % (-most if text.startswith(b"-") else most - 1)
        )
    return None


def _misfit(value: RepairedValues) -> None:
    value.meet("misfit")


def _time(value: RepairedValues) -> None:
    """Treat a date or a time that is infinite, in another era, impossible, or finer than microseconds."""
    text, name = value.text or b"", value.kind.name
    match = TIME.fullmatch(text)
    if text in (b"infinity", b"-infinity"):
        _clamped(value, late=text == b"infinity")
    elif not match or not _is_written_right(match, name):
        value.meet("misfit")
    elif not _is_in_a_calendar(match):
        value.meet("impossible_date")
    elif match["era"] or not 1 <= int(match["year"]) <= 9999:
        _clamped(value, late=int(match["year"]) > 9999 and not match["era"])
    elif len((match["fraction"] or b"").rstrip(b"0")) > 6:
        end = match.start("fraction") + 6  # cut, never rounded: no time may end up in the future
        value.meet("excess_digits", truncate=lambda: text[:end] + (match["zone"] or b""))


def _clamped(value: RepairedValues, *, late: bool) -> None:
    value.meet("date_out_of_range", clamp=lambda: (LAST if late else FIRST)[value.kind.name])


def _is_written_right(match: re.Match[bytes], name: str) -> bool:
    """Say whether the text has only the parts of its kind, with valid hours, minutes and seconds."""
    if (match["hour"] and name == "date") or (match["zone"] and name != "timestamptz"):
        return False
    return int(match["hour"] or 0) < 24 and int(match["minute"] or 0) < 60 and int(match["second"] or 0) < 60


def _is_in_a_calendar(match: re.Match[bytes]) -> bool:
    """Say whether the date exists; MySQL's year 0 does, though it is out of range."""
    year, month, day = (int(match[part]) for part in ("year", "month", "day"))
    if not 1 <= month <= 12 or not 1 <= day <= DAYS[month - 1]:
        return False
    year = 1 - year if match["era"] else year  # 1 BC is the year 0
    return (month, day) != (2, 29) or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))


def _text(value: RepairedValues) -> None:
    text = value.text or b""
    if not _is_utf8(text):
        value.meet("invalid_text", truncate=lambda: text.decode(errors="ignore").encode())
    kept = value.text
    if kept is not None and b"\0" in kept:
        value.meet("nul_character", truncate=lambda: kept.replace(b"\0", b""))
    whole, most = value.text, value.kind.limit_bytes or 0
    if whole is not None and len(whole) > most:
        value.meet("too_long", truncate=lambda: whole[:most].decode(errors="ignore").encode())


def _json(value: RepairedValues) -> None:
    while (text := value.text) is not None and (fault := json_fault(text)):
        value.meet(fault, truncate=partial(_without, text, fault))


def json_fault(text: bytes) -> Fault | None:
    """Return the fault of a JSON text, None if SUPER takes it."""
    if not _is_utf8(text):
        return "invalid_text"
    if len(text) > JSON_BYTES or _deeper(text):
        return "super_limits"
    try:
        json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (_Twice, RecursionError):
        return "super_limits"
    except ValueError:
        return "misfit"
    for digits in _wrong_escapes(text):
        return "nul_character" if digits == b"0000" else "invalid_text"
    return None


def _without(text: bytes, fault: Fault) -> bytes:
    """Return the JSON without its NUL escapes, or without its invalid text."""

    def kept(match: re.Match[bytes]) -> bytes:
        wrong = _is_wrong(match[1]) and (match[1] == b"0000") == (fault == "nul_character")
        return b"" if wrong else match[0]

    return ESCAPE.sub(kept, text.decode(errors="ignore").encode())


class _Twice(Exception):
    """An object has two attributes of one name."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _deeper(text: bytes) -> bool:
    """Say whether arrays and objects are nested deeper than SUPER allows."""
    if text.count(b"[") + text.count(b"{") <= JSON_DEPTH:
        return False
    depth = deepest = 0
    for match in MARKS.finditer(text):
        depth += (match[0] in b"[{") - (match[0] in b"]}")
        deepest = max(deepest, depth)
    return deepest > JSON_DEPTH


def _wrong_escapes(text: bytes) -> Iterator[bytes]:
    """Yield the four digits of every escape that is NUL or a lone surrogate."""
    return (match[1] for match in ESCAPE.finditer(text) if _is_wrong(match[1]))


def _is_wrong(digits: bytes | None) -> bool:
    return digits is not None and (digits == b"0000" or bool(re.fullmatch(rb"[dD][89a-fA-F]..", digits)))


def _binary(value: RepairedValues) -> None:
    text, most = value.text or b"", 2 * (value.kind.limit_bytes or 0)
    if len(text) > most:
        value.meet("too_long", truncate=lambda: text[:most])


TREATMENTS: dict[str, Callable[[RepairedValues], None]] = {
    "boolean": _misfit,
    "int16": _integer,
    "int32": _integer,
    "int64": _integer,
    "decimal": _decimal,
    "float32": _misfit,
    "float64": _misfit,
    "date": _time,
    "timestamp": _time,
    "timestamptz": _time,
    "text": _text,
    "uuid": _text,
    "json": _json,
    "binary": _binary,
}
