from __future__ import annotations

import pytest
from pydantic import ValidationError

from tributary.config.schedule import Schedule


@pytest.mark.parametrize(
    ("written", "expression"),
    [
        ("rate(1 hour)", "rate(1 hour)"),
        ("rate(1 hours)", "rate(1 hour)"),
        ("rate( 15 minute )", "rate(15 minutes)"),
        ("cron(0 7 * * ? *)", "cron(0 7 * * ? *)"),
        ("cron(0/15 6-20 ? * mon-fri 2026,2027)", "cron(0/15 6-20 ? * MON-FRI 2026,2027)"),
        ("cron(*/5 * L * ? *)", "cron(*/5 * L * ? *)"),
        ("cron(0 0 15W 1,JUL ? *)", "cron(0 0 15W 1,JUL ? *)"),
        ("cron(0 0 ? * 6#3 *)", "cron(0 0 ? * 6#3 *)"),
        ("cron(0 0 ? * FRIL *)", "cron(0 0 ? * FRIL *)"),
    ],
)
def test_a_schedule_is_written_as_scheduler_takes_it(written: str, expression: str) -> None:
    assert Schedule.model_validate(written).expression == expression


def test_a_mapping_adds_zone_and_window() -> None:
    written = {"cron": "0 7 * * ? *", "timezone": "Europe/Madrid", "window": "15 minutes"}
    schedule = Schedule.model_validate(written)
    assert schedule.expression == "cron(0 7 * * ? *)"
    assert (schedule.timezone, schedule.window_minutes) == ("Europe/Madrid", 15)


def test_a_plain_schedule_is_punctual_in_utc() -> None:
    schedule = Schedule.model_validate("cron(0 7 * * ? *)")
    assert (schedule.timezone, schedule.window_minutes) == ("UTC", None)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("hourly", '"hourly" is not a schedule; write rate(1 hour), cron(0 7 * * ? *) or'),
        ("at(2026-01-01T00:00:00)", "is not a schedule"),
        ("rate(0 minutes)", '"0 minutes" is not a rate; write a number and minutes, hours or days: 1 hour'),
        ("rate(1 week)", "is not a rate"),
        ("cron(0 7 * * *)", '"0 7 * * *" has 5 fields; write six: minutes, hours, day of month, month'),
        ("cron(60 7 * * ? *)", '"60" is not valid as the minutes of a cron expression; write 0 to 59, or *'),
        ("cron(0 7 * * * *)", "write ? for exactly one of day of month and day of week"),
        ("cron(0 7 ? * ? *)", "write ? for exactly one of day of month and day of week"),
        ("cron(0 7 * 13 ? *)", '"13" is not valid as the month'),
        ("cron(0 7 ? * 0 *)", '"0" is not valid as the day of week'),
        ("cron(0 7 ? * 6#6 *)", '"6#6" is not valid as the day of week'),
        ("cron(0/0 7 * * ? *)", '"0/0" is not valid as the minutes'),
        ("cron(1-2-3 7 * * ? *)", '"1-2-3" is not valid as the minutes'),
        ("cron(1, 7 * * ? *)", '"1," is not valid as the minutes'),
        ("cron(0 7 * * ? 1969)", '"1969" is not valid as the year'),
        ({"timezone": "UTC"}, "a schedule has exactly one of cron and rate"),
        ({"cron": "0 7 * * ? *", "rate": "1 hour"}, "a schedule has exactly one of cron and rate"),
        ({"rate": "1 hour", "timezone": "Mars"}, '"Mars" is not a time zone'),
        ({"rate": "1 hour", "timezone": "+01:00"}, "write the name of a zone, such as Europe/Madrid"),
        ({"rate": "1 hour", "window": "2 days"}, "a window is 1 to 1440 whole minutes"),
        ({"rate": "1 hour", "window": "30 seconds"}, "a window is 1 to 1440 whole minutes"),
        ({"rate": "1 hour", "window": 15}, "a duration needs its unit"),
    ],
)
def test_what_scheduler_would_refuse_is_refused_before(written: object, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Schedule.model_validate(written)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("rate", "minutes"),
    [("1 minute", None), ("4 minutes", 1), ("10 minutes", 2), ("1 hour", 15), ("1 day", 15), ("7 days", 15)],
)
def test_starts_by_a_rate_are_spread_over_a_quarter_of_it_at_most(rate: str, minutes: int | None) -> None:
    assert Schedule.model_validate(f"rate({rate})").window_minutes == minutes
    assert Schedule.model_validate({"rate": rate, "window": "1 minute"}).window_minutes == 1
