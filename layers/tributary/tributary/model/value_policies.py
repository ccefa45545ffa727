"""What a value can have that its column in the warehouse cannot hold, and what may be done about it.

`fail` is the policy of every fault unless a source file sets another: the table fails, and the message
names the column. Every other policy alters values, so each altered value is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tributary.model.types import Kind, KindName

Fault = Literal[
    "not_a_number",
    "number_out_of_range",
    "excess_digits",
    "date_out_of_range",
    "impossible_date",
    "too_long",
    "nul_character",
    "invalid_text",
    "super_limits",
    "misfit",
]
Policy = Literal["fail", "null", "clamp", "truncate", "text"]
Policies = Mapping[Fault, Policy]

MEANINGS: dict[Fault, str] = {  # after "holds"
    "not_a_number": "a value that is not a number, which no DECIMAL can say",
    "number_out_of_range": "a number, or an infinity, beyond its DECIMAL or integer type",
    "excess_digits": "more digits after the point than its column takes",
    "date_out_of_range": "a date or time outside the years 1 to 9999, or an infinite one",
    "impossible_date": "a date that no calendar has, such as a zero or partial one",
    "too_long": "a value longer than its column in Redshift takes",
    "nul_character": "a NUL character, which Redshift cannot hold",
    "invalid_text": "bytes or escapes that are not valid UTF-8",
    "super_limits": "JSON beyond the limits of SUPER",
    "misfit": "a value outside its declared type",
}

# `null` loads NULL; `clamp` the nearest value that fits; `truncate` cuts out what does not fit;
# `text` makes the whole column a VARCHAR of the source's own text.
CHOICES: dict[Fault, tuple[Policy, ...]] = {
    "not_a_number": ("fail", "null", "text"),
    "number_out_of_range": ("fail", "null", "clamp", "text"),
    "excess_digits": ("fail", "null", "truncate", "text"),
    "date_out_of_range": ("fail", "null", "clamp", "text"),
    "impossible_date": ("fail", "null", "text"),
    "too_long": ("fail", "null", "truncate"),
    "nul_character": ("fail", "null", "truncate"),
    "invalid_text": ("fail", "null", "truncate"),
    "super_limits": ("fail", "null", "text"),
    "misfit": ("fail", "null", "text"),
}

_TEXT: tuple[Fault, ...] = ("too_long", "nul_character", "invalid_text", "misfit")
_DATE: tuple[Fault, ...] = ("date_out_of_range", "impossible_date", "misfit")
OF_KIND: dict[KindName, tuple[Fault, ...]] = {
    "boolean": ("misfit",),
    "int16": ("number_out_of_range", "misfit"),
    "int32": ("number_out_of_range", "misfit"),
    "int64": ("number_out_of_range", "misfit"),
    "decimal": ("not_a_number", "number_out_of_range", "excess_digits", "misfit"),
    "float32": ("misfit",),
    "float64": ("misfit",),
    "date": _DATE,
    "timestamp": (*_DATE, "excess_digits"),
    "timestamptz": (*_DATE, "excess_digits"),
    "text": _TEXT,
    "uuid": _TEXT,
    "json": ("super_limits", "nul_character", "invalid_text", "misfit"),
    "binary": ("too_long", "misfit"),
}


def choices(kind: Kind, policy: Policy) -> tuple[Fault, ...]:
    """Return the faults that values of the kind can have and the policy can meet."""
    return tuple(fault for fault in OF_KIND[kind.name] if policy in CHOICES[fault])


def meant(kind: Kind, policies: Policies) -> dict[Fault, Policy]:
    """Return those of the policies that are about values of the kind, `fail` left out."""
    return {
        fault: policies[fault]
        for fault in OF_KIND[kind.name]
        if fault in policies and policies[fault] != "fail"
    }
