"""Which warehouse type holds every value of another one: the one rule for schema evolution and replays."""

from __future__ import annotations

import re

from tributary.model.types import VARBYTE_BYTES

DIGITS = {"SMALLINT": 5, "INTEGER": 10, "BIGINT": 19}  # of the largest value
DIGITS_AT_MOST = 38  # of a DECIMAL


def holds(wide: str, narrow: str) -> bool:
    """Return whether every value of the narrow type is the same value in the wide one, by a plain CAST."""
    (to, *size), (of, *old) = _parts(wide), _parts(narrow)
    if of in DIGITS and of != to:
        return _holds_integers(to, size, of)
    if of == "DECIMAL":
        return _holds_decimals(to, size, *old)
    if to == of:
        return size >= old
    return (to, of) in (("DOUBLE PRECISION", "REAL"), ("TIMESTAMP", "DATE"))


def stays(existing: str, wanted: str) -> bool:
    """Return whether a column of the existing type needs no change for values of the wanted one.

    A text column does not stay for numbers: they would be loaded as texts.
    """
    return holds(existing, wanted) and (is_text(wanted) or not is_text(existing))


def is_text(type_name: str) -> bool:
    """Return whether the type is a VARCHAR."""
    return type_name.startswith("VARCHAR")


def is_own(type_name: str) -> bool:
    """Return whether Tributary creates columns of that type: nothing is known about other types."""
    return _parts(type_name)[0].isupper()


def _holds_integers(to: str, size: list[int], of: str) -> bool:
    if to == "DECIMAL":
        return size[0] - size[1] >= DIGITS[of]
    if to == "VARCHAR":
        return size[0] > DIGITS[of]  # and a sign
    return DIGITS.get(to, 0) > DIGITS[of] or (to == "DOUBLE PRECISION" and of != "BIGINT")


def _holds_decimals(to: str, size: list[int], precision: int, scale: int) -> bool:
    if to == "DECIMAL":
        return size[1] >= scale and size[0] - size[1] >= precision - scale
    if to == "VARCHAR":
        # A sign, a point and a 0 before it. A DECIMAL of 38 digits is also the type of unbounded numbers.
        return precision < DIGITS_AT_MOST and size[0] >= precision + 3
    return scale == 0 and DIGITS.get(to, 0) > precision


def _parts(type_name: str) -> tuple[str, *tuple[int, ...]]:
    """Return a type's word and its sizes: ``DECIMAL(10,2)`` is ``("DECIMAL", 10, 2)``."""
    word, _, sizes = type_name.partition("(")
    numbers = tuple(int(number) for number in re.findall(r"\d+", sizes))
    return (word, *(numbers or ((VARBYTE_BYTES,) if word == "VARBYTE" else ())))
