"""A source's schedule in the form of EventBridge Scheduler, checked before a deploy.

A cron expression has six fields, and exactly one of day of month and day of week is `?`
(EventBridge Scheduler User Guide, "Schedule types").
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from tributary.config.durations import Duration
from tributary.model import time_zone

SPREAD_MINUTES = 15  # of starts by rate, at most
EXAMPLES = 'rate(1 hour), cron(0 7 * * ? *) or {cron: "0 7 * * ? *", timezone: Europe/Madrid}'


class Schedule(BaseModel):
    """A schedule: exactly one of `cron` and `rate`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    cron: str | None = None  # six fields
    rate: str | None = None  # 1 hour
    timezone: str = "UTC"  # of cron's hours
    window: Duration | None = None  # a start may be late by up to that

    @property
    def expression(self) -> str:
        """Return the schedule as EventBridge Scheduler takes it."""
        return f"cron({self.cron})" if self.cron else f"rate({self.rate})"

    @property
    def window_minutes(self) -> int | None:
        """Return the flexible window's length, None for punctual starts.

        A rate is no promise of an hour's minute, and rates that one deploy creates start together for ever.
        So they are spread over a quarter of their interval, 15 minutes at most.
        """
        if self.window:
            return self.window // timedelta(minutes=1)
        if self.rate is None:
            return None
        number, unit = self.rate.split()
        minutes = int(number) * {"minute": 1, "hour": 60, "day": 1440}[unit.removesuffix("s")]
        return min(minutes // 4, SPREAD_MINUTES) or None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"\s*(rate|cron)\((.*)\)\s*", value)
        if match is None:
            raise ValueError(f'"{value}" is not a schedule; write {EXAMPLES}')
        return {match[1]: match[2]}

    @model_validator(mode="after")
    def _one_of_both(self) -> Schedule:
        if (self.cron is None) == (self.rate is None):
            raise ValueError(f"a schedule has exactly one of cron and rate; write {EXAMPLES}")
        return self

    @field_validator("rate")
    @classmethod
    def _rate(cls, value: str) -> str:
        match = re.fullmatch(r"0*([1-9]\d{0,5})\s+(minute|hour|day)s?", value.strip())
        if match is None:
            raise ValueError(f'"{value}" is not a rate; write a number and minutes, hours or days: 1 hour')
        return f"{match[1]} {match[2]}" + ("" if match[1] == "1" else "s")

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        return cron(value)

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        time_zone.parse_time_zone(value)
        if value[0] in "+-":
            raise ValueError(f'"{value}" is an offset; write the name of a zone, such as Europe/Madrid')
        return value

    @field_validator("window")
    @classmethod
    def _window(cls, value: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= value <= timedelta(minutes=1440) or value.seconds % 60:
            raise ValueError("a window is 1 to 1440 whole minutes; write 15 minutes, or leave it out")
        return value


class _Field(NamedTuple):
    """A field of a cron expression: its bounds, the names of its numbers, and its special forms."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    signs: str = r"(?!)"


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of month", 1, 31, signs=r"\?|L|LW|(3[01]|[12]\d|[1-9])W"),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 1, 7, _DAYS, signs=r"\?|L|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])"),
    _Field("year", 1970, 2199),
)


def cron(text: str) -> str:
    """Return the six fields of the cron expression; raises ValueError that names the wrong one."""
    parts = text.strip().removeprefix("cron(").removesuffix(")").upper().split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise ValueError(f'"{text}" has {len(parts)} fields; write six: {names}, such as 0 7 * * ? *')
    for field, part in zip(_FIELDS, parts, strict=True):
        if not all(_fits(field, item) for item in part.split(",")):
            raise ValueError(
                f'"{part}" is not valid as the {field.name} of a cron expression; '
                f"write {field.low} to {field.high}, or *"
            )
    if (parts[2] == "?") == (parts[4] == "?"):
        raise ValueError("write ? for exactly one of day of month and day of week, such as 0 7 * * ? *")
    return " ".join(parts)


def _fits(field: _Field, item: str) -> bool:
    if re.fullmatch(field.signs, item):
        return True
    span, _, step = item.partition("/")
    if "/" in item and not (step.isdecimal() and int(step) > 0):
        return False
    if span == "*":
        return True
    ends = [_number(field, end) for end in span.split("-")]
    return len(ends) <= 2 and all(end is not None and field.low <= end <= field.high for end in ends)


def _number(field: _Field, text: str) -> int | None:
    if text in field.words:
        return field.low + field.words.index(text)
    return int(text) if text.isascii() and text.isdecimal() else None
