"""Sizes of MySQL's tables, and keys that divide one into about equal ranges.

MySQL has no sampling, but the optimizer estimates the rows between two keys from an index, at the cost of a
few blocks (EXPLAIN's `rows`, "index dives"). So the largest interval is halved repeatedly, at a key near the
middle of its values, until all intervals are small. Ranges then end at ends of intervals. How values are
distributed changes only the number of steps.

A middle value is only a proposal: each end is a key that the server found inside the interval, in its own
order. A poor proposal makes ranges unequal, never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tributary.engines.mysql.types import family
from tributary.reading import keyset

INTERVALS_PER_RANGE = 6
HALVINGS_PER_INTERVAL = 8  # at most, on average: some keys never have a middle that is near
ROWS = re.compile(r'"rows(?:_examined_per_scan)?": (\d+)')

SIZES = """
SELECT table_schema, table_name, table_rows, data_length FROM information_schema.tables
WHERE table_schema IN ({schemas}) AND table_name IN ({tables}) AND table_rows IS NOT NULL
"""

Key = tuple[str, ...]
FirstRow = Callable[[str], tuple[str | None, ...] | None]


@dataclass(frozen=True, slots=True)
class KeyedTable:
    """A table in SQL: the `columns` of its key, and the expressions of their exact `texts`."""

    name: str
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    types: tuple[str, ...]
    literal: Callable[[str, str], str]

    def edge(self, *, descending: bool, condition: str = "") -> str:
        """Return the query of the first key, or the last, that meets the condition."""
        order = ", ".join(f"{column} DESC" if descending else column for column in self.columns)
        where = f" WHERE {condition}" if condition else ""
        return f"SELECT {', '.join(self.texts)} FROM {self.name} AS t{where} ORDER BY {order} LIMIT 1"

    def between(self, low: Key, high: Key) -> str:
        """Return the condition of keys after `low`, up to and including `high`, equal columns first."""
        shared = _shared(low, high)
        same = [f"{self.columns[i]} = {self.literal(low[i], self.types[i])}" for i in range(shared)]
        columns, types = self.columns[shared:], self.types[shared:]
        for compare, key in ((keyset.after_alternatives, low), (keyset.up_to_alternatives, high)):
            texts = [self.literal(text, type) for text, type in zip(key[shared:], types, strict=True)]
            same.append(compare(columns, texts))
        return " AND ".join(same)

    def estimate(self, low: Key, high: Key) -> str:
        """Return the query of the optimizer's estimate of the keys in between."""
        return f"EXPLAIN FORMAT=JSON SELECT 1 FROM {self.name} AS t WHERE {self.between(low, high)}"


@dataclass(slots=True)
class Interval:
    """Keys after `low` up to `high`, about `rows` of them."""

    low: Key
    high: Key
    rows: int
    indivisible: bool = False


def range_ends(first_row: FirstRow, table: KeyedTable, count: int) -> list[Key]:
    """Return the last keys of about `count` equal ranges, in the table's order."""
    first, last = first_row(table.edge(descending=False)), first_row(table.edge(descending=True))
    if first is None or last is None or first == last:
        return []
    intervals = [_interval(first_row, table, _key(first), _key(last))]
    wanted = count * INTERVALS_PER_RANGE
    for _ in range(wanted * HALVINGS_PER_INTERVAL):
        place = max(
            range(len(intervals)), key=lambda i: -1 if intervals[i].indivisible else intervals[i].rows
        )
        if intervals[place].indivisible or len(intervals) >= wanted:
            break
        intervals[place : place + 1] = _halves(first_row, table, intervals[place])
    return _ends(intervals, count)


def _key(row: Sequence[str | None]) -> Key:
    return tuple(map(str, row))


def _interval(first_row: FirstRow, table: KeyedTable, low: Key, high: Key) -> Interval:
    plan = first_row(table.estimate(low, high))
    rows = ROWS.search(str(plan[0] if plan else ""))
    return Interval(low, high, int(rows[1]) if rows else 0)


def _halves(first_row: FirstRow, table: KeyedTable, interval: Interval) -> list[Interval]:
    """Return the two halves, or the interval as indivisible if no key lies between its ends."""
    low, high = interval.low, interval.high
    at = _shared(low, high)
    middle = _middle(low[at], high[at], table.types[at]) if at < len(low) else None
    if middle is None:
        return [Interval(low, high, interval.rows, indivisible=True)]
    value = table.literal(middle, table.types[at])
    inside = table.between(low, high)
    key = first_row(table.edge(descending=True, condition=f"{inside} AND {table.columns[at]} < {value}"))
    if key is None:
        key = first_row(
            table.edge(descending=False, condition=f"{inside} AND {table.columns[at]} >= {value}")
        )
    if key is None or _key(key) == high:
        return [Interval(low, high, interval.rows, indivisible=True)]
    return [_interval(first_row, table, low, _key(key)), _interval(first_row, table, _key(key), high)]


def _shared(low: Key, high: Key) -> int:
    """Return how many leading columns are equal in both."""
    return next((i for i, pair in enumerate(zip(low, high, strict=True)) if pair[0] != pair[1]), len(low))


def _ends(intervals: Sequence[Interval], count: int) -> list[Key]:
    """Return the ends of the intervals that complete another `count`-th of the rows."""
    total = sum(interval.rows for interval in intervals)
    ends, passed = [], 0
    for interval in intervals[:-1]:
        before, passed = passed, passed + interval.rows
        if passed * count // max(total, 1) > before * count // max(total, 1):
            ends.append(interval.high)
    return ends


# --- middle values ------------------------------------------------------------------------------


def _middle(low: str, high: str, type: str) -> str | None:
    """Return a value above `low` and not above `high`, near the middle; None if there is none."""
    known = family(type)
    try:
        if known == "number":
            return _middle_number(low, high)
        if known == "binary":
            return _middle_binary(low, high)
        if known == "text":
            return _middle_text(low, high)
        return _middle_time(low, high)
    except (ArithmeticError, ValueError):  # such as the date 0000-00-00
        return None


def _up(low: int, high: int) -> int | None:
    return low + (high - low + 1) // 2 if high > low else None


def _middle_number(low: str, high: str) -> str | None:
    digits = max(len(text.partition(".")[2]) for text in (low, high))
    scaled = [int(Decimal(text).scaleb(digits)) for text in (low, high)]
    middle = _up(*scaled)
    return None if middle is None else format(Decimal(middle).scaleb(-digits), "f")


def _middle_binary(low: str, high: str) -> str | None:
    size = max(len(low), len(high))
    middle = _up(*(int(text.ljust(size, "0") or "0", 16) for text in (low, high)))
    return None if middle is None else format(middle, f"0{size}X")


def _middle_time(low: str, high: str) -> str | None:
    zone = "Z" if high.endswith("Z") else ""
    begin, end = (datetime.fromisoformat(text.removesuffix("Z")) for text in (low, high))
    step = timedelta(days=1) if len(high) == 10 else timedelta(microseconds=1)
    steps = _up(0, (end - begin) // step)
    if steps is None:
        return None
    middle = (begin + steps * step).isoformat(sep=" ")
    return middle[:10] if len(high) == 10 else middle + zone


CHARACTERS_MOVED = 6


def _middle_text(low: str, high: str) -> str | None:
    """Return a text between two others that consist of digits and letters.

    Most collations order digits before letters and letters alphabetically; they differ in all other
    characters. The letters have the case of the first characters that differ.
    """
    shared = next((i for i, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1]), len(low))
    upper = any(text[shared : shared + 1].isupper() for text in (low, high))
    alphabet = "0123456789" + ("ABCDEFGHIJKLMNOPQRSTUVWXYZ" if upper else "abcdefghijklmnopqrstuvwxyz")
    base = len(alphabet) + 1
    numbers = []
    for text in (low, high):
        rest = text[shared : shared + CHARACTERS_MOVED]
        number = 0
        for character in rest.ljust(CHARACTERS_MOVED, "\0"):
            number = number * base + _place(character, alphabet)
        numbers.append(number)
    middle = _up(*numbers)
    if middle is None:
        return None
    moved = ""
    for _ in range(CHARACTERS_MOVED):
        middle, place = divmod(middle, base)
        moved = (alphabet[place - 1] if place else "\0") + moved
    return high[:shared] + moved.partition("\0")[0]


def _place(character: str, alphabet: str) -> int:
    """Return the character's place in the alphabet, from 1; 0 if it sorts before, the last place if after."""
    same = character.upper() if alphabet[-1].isupper() else character.lower()
    if same in alphabet:
        return alphabet.index(same) + 1
    return 0 if character < alphabet[0] else len(alphabet)
