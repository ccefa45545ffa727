from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tributary.model import time_zone
from tributary.model.source_catalog import Clock
from tributary.model.types import Kind
from tributary.planning import horizon

TIMESTAMP, TIMESTAMPTZ, DATE = Kind("timestamp"), Kind("timestamptz"), Kind("date")
NONE = timedelta()
ZONES = [
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "Australia/Lord_Howe",  # goes back by half an hour
    "Antarctica/Casey",  # went back by three
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "-03:30",
    "+05:45",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clock(now: str, oldest: str | None = None, hidden: str | None = None) -> Clock:
    return Clock(at(now), at(oldest) if oldest else None, hidden)


def local(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(time_zone.parse_time_zone(zone)).replace(tzinfo=None)


def cut(written: datetime, digits: int) -> datetime:
    """Return the time as a column with that many decimals of a second keeps it."""
    unit = 10 ** (6 - digits)
    return written.replace(microsecond=written.microsecond // unit * unit)


class TestHorizon:
    def test_without_open_transactions_it_is_the_clock_less_the_margin(self) -> None:
        result = horizon.horizon(clock("2026-03-01 10:00:00"), margin=timedelta(seconds=2))
        assert result == at("2026-03-01 09:59:58")

    def test_of_a_copy_it_counts_back_from_what_the_copy_has(self) -> None:
        behind = replace(clock("2026-03-01 10:00:00", hidden="a copy"), data_at=at("2026-03-01 08:00:00"))
        assert horizon.horizon(behind, margin=NONE) == at("2026-03-01 07:00:00")
        overlap = timedelta(minutes=1)
        assert horizon.horizon(behind, margin=NONE, overlap=overlap) == at("2026-03-01 07:59:00")

    def test_of_a_copy_whose_clock_is_ahead_it_is_not_in_the_future(self) -> None:
        ahead = replace(clock("2026-03-01 10:00:00"), data_at=at("2026-03-01 10:05:00"))
        assert horizon.horizon(ahead, margin=NONE) == at("2026-03-01 10:00:00")

    def test_the_oldest_open_transaction_holds_it_back(self) -> None:
        result = horizon.horizon(clock("2026-03-01 10:00:00", oldest="2026-03-01 07:30:00"), margin=NONE)
        assert result == at("2026-03-01 07:30:00")

    def test_a_transaction_that_claims_to_begin_later_than_the_clock_does_not_move_it_on(self) -> None:
        result = horizon.horizon(clock("2026-03-01 10:00:00", oldest="2026-03-01 10:05:00"), margin=NONE)
        assert result == at("2026-03-01 10:00:00")

    def test_hidden_transactions_cost_an_hour(self) -> None:
        result = horizon.horizon(clock("2026-03-01 10:00:00", hidden="no right"), margin=NONE)
        assert result == at("2026-03-01 09:00:00")

    def test_a_configured_overlap_holds_where_transactions_are_hidden(self) -> None:
        hidden = clock("2026-03-01 10:00:00", hidden="no right")
        assert horizon.horizon(hidden, margin=NONE, overlap=timedelta(days=1)) == at("2026-02-28 10:00:00")
        assert horizon.horizon(hidden, margin=NONE, overlap=NONE) == at("2026-03-01 10:00:00")

    def test_an_overlap_never_moves_past_an_open_transaction(self) -> None:
        seen = clock("2026-03-01 10:00:00", oldest="2026-03-01 07:30:00", hidden="not all")
        result = horizon.horizon(seen, margin=NONE, overlap=timedelta(minutes=1))
        assert result == at("2026-03-01 07:30:00")


class TestText:
    NOW = clock("2026-07-01 21:30:00.123456")

    @pytest.mark.parametrize(
        ("kind", "zone", "digits", "limit", "up_to"),
        [
            (TIMESTAMPTZ, None, 6, "2026-07-01 21:30:00.123456+00", "2026-07-01 21:30:00.123456+00"),
            (TIMESTAMPTZ, "Europe/Madrid", 0, "2026-07-01 21:30:00+00", "2026-07-01 21:30:01+00"),
            (TIMESTAMP, "UTC", 6, "2026-07-01 21:30:00.123456", "2026-07-01 21:30:00.123456"),
            (TIMESTAMP, "Europe/Madrid", 3, "2026-07-01 23:30:00.123", "2026-07-01 23:30:00.124"),
            (TIMESTAMP, "America/New_York", 0, "2026-07-01 17:30:00", "2026-07-01 17:30:01"),
            (TIMESTAMP, "+05:45", 7, "2026-07-02 03:15:00.123456", "2026-07-02 03:15:00.123456"),
            (TIMESTAMP, None, 0, "2026-07-01 09:30:00", "2026-07-02 11:30:01"),
            (DATE, "America/New_York", 6, "2026-07-01", "2026-07-01"),
            (DATE, "Asia/Tokyo", 6, "2026-07-02", "2026-07-02"),
            (DATE, None, 6, "2026-07-01", "2026-07-02"),
        ],
    )
    def test_limit_is_cut_and_the_clock_rounded_up_in_the_columns_own_form(
        self, kind: Kind, zone: str | None, digits: int, limit: str, up_to: str
    ) -> None:
        assert horizon.watermark_limit(self.NOW, kind, zone=zone, digits=digits, margin=NONE) == limit
        assert horizon.clock_text(self.NOW, kind, zone=zone, digits=digits) == up_to

    def test_limit_takes_off_the_margin_by_default(self) -> None:
        assert horizon.watermark_limit(self.NOW, TIMESTAMP, zone="UTC") == "2026-07-01 21:29:59.123456"

    @pytest.mark.parametrize(
        ("now", "limit"),
        [
            ("2026-10-24 21:59:59", "2026-10-24 23:59:59"),
            (
                "2026-10-25 00:30:00",
                "2026-10-25 01:30:00",
            ),  # 02:30 summer time; 02:00 comes again at 01:00 UTC
            ("2026-10-25 00:59:59", "2026-10-25 01:59:59"),
            ("2026-10-25 01:00:00", "2026-10-25 02:00:00"),
            ("2026-03-29 00:59:59", "2026-03-29 01:59:59"),  # clocks go forward at 01:00 UTC
            ("2026-03-29 01:00:00", "2026-03-29 03:00:00"),
        ],
    )
    def test_limit_is_not_above_the_hour_that_comes_twice(self, now: str, limit: str) -> None:
        assert (
            horizon.watermark_limit(clock(now), TIMESTAMP, zone="Europe/Madrid", digits=0, margin=NONE)
            == limit
        )

    def test_the_clock_is_not_below_the_hour_that_came_first(self) -> None:
        again = clock("2026-10-25 01:10:00")  # 02:10 for the second time; 02:59:59 has been written
        assert horizon.clock_text(again, TIMESTAMP, zone="Europe/Madrid", digits=0) == "2026-10-25 03:10:00"

    def test_a_day_is_passed_only_when_it_is_over_in_its_zone(self) -> None:
        before, after = clock("2026-07-01 21:59:59"), clock("2026-07-01 22:00:00")
        assert horizon.watermark_limit(before, DATE, zone="Europe/Madrid", margin=NONE) == "2026-07-01"
        assert horizon.watermark_limit(after, DATE, zone="Europe/Madrid", margin=NONE) == "2026-07-02"

    def test_years_are_written_with_four_digits(self) -> None:
        assert (
            horizon.watermark_limit(clock("0987-01-02 03:04:05"), DATE, zone="UTC", margin=NONE)
            == "0987-01-02"
        )


instants = st.datetimes(datetime(1996, 1, 1), datetime(2037, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
close = st.timedeltas(NONE, timedelta(hours=5))
apart = st.one_of(close, st.timedeltas(NONE, timedelta(days=500)))


@pytest.mark.parametrize("zone", ZONES)
@given(moment=instants, later=apart, digits=st.integers(0, 6))
@settings(max_examples=60)
@example(moment=at("2026-10-25 00:59:59.999999"), later=timedelta(microseconds=1), digits=6)
@example(moment=at("2026-11-01 05:59:59.9"), later=timedelta(seconds=1), digits=0)
@example(moment=at("2026-04-04 14:59:59"), later=timedelta(seconds=1), digits=3)
@example(moment=at("2020-03-07 13:30:00"), later=timedelta(hours=2, minutes=30), digits=0)
def test_nothing_written_after_the_horizon_is_below_the_limit(
    zone: str, moment: datetime, later: timedelta, digits: int
) -> None:
    written = local(moment + later, zone)
    for known in (zone, None):
        seen = Clock(moment, None)
        limit = horizon.watermark_limit(seen, TIMESTAMP, zone=known, digits=digits, margin=NONE)
        assert cut(written, digits) >= datetime.fromisoformat(limit)
        day = horizon.watermark_limit(seen, DATE, zone=known, digits=digits, margin=NONE)
        assert written.date() >= date.fromisoformat(day)


@pytest.mark.parametrize("zone", ZONES)
@given(moment=instants, earlier=apart, digits=st.integers(0, 6))
@settings(max_examples=60)
@example(moment=at("2026-10-25 01:00:00"), earlier=timedelta(microseconds=1), digits=6)
@example(moment=at("2026-11-01 06:10:00"), earlier=timedelta(minutes=11), digits=0)
def test_nothing_written_before_the_clock_is_above_its_text(
    zone: str, moment: datetime, earlier: timedelta, digits: int
) -> None:
    written = local(moment - earlier, zone)
    unit = timedelta(microseconds=10 ** (6 - digits))
    kept = written - (written - datetime.min) % unit
    rounded = kept if written - kept < unit / 2 else kept + unit
    for known in (zone, None):
        text = horizon.clock_text(Clock(moment, None), TIMESTAMP, zone=known, digits=digits)
        assert rounded <= datetime.fromisoformat(text)
        day = horizon.clock_text(Clock(moment, None), DATE, zone=known, digits=digits)
        assert written.date() <= date.fromisoformat(day)


@given(moment=instants, later=apart, digits=st.integers(0, 6))
@settings(max_examples=60)
def test_a_time_with_zone_is_held_against_utc(moment: datetime, later: timedelta, digits: int) -> None:
    limit = horizon.watermark_limit(Clock(moment, None), TIMESTAMPTZ, zone=None, digits=digits, margin=NONE)
    assert cut(moment + later, digits) >= datetime.fromisoformat(limit)


@pytest.mark.parametrize(
    ("name", "hours"), [("UTC", 0), ("+01:00", 1), ("-03:30", -3.5), ("+14:00", 14), ("Asia/Tokyo", 9)]
)
def test_a_zone_is_a_name_or_an_offset(name: str, hours: float) -> None:
    assert time_zone.parse_time_zone(name).utcoffset(datetime(2026, 1, 1)) == timedelta(hours=hours)


NOT_ZONES = ["", "Mars/Olympus", "America", "+1", "+01:60", "+15:00", "SYSTEM", "../etc/passwd"]
NOT_ZONES += ["/etc/localtime", "localtime", "right/Europe/Madrid", "Europe/Madrid\0"]


@pytest.mark.parametrize("name", NOT_ZONES)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone; write a name such as Europe/Madrid"):
        time_zone.parse_time_zone(name)


def test_an_unknown_zone_is_said_aloud() -> None:
    note = horizon.unknown_zone_note(TIMESTAMP, None, "updated_at")
    assert "set cursor_time_zone" in cast(str, note)
    assert '"updated_at"' in cast(str, note)
    assert horizon.unknown_zone_note(DATE, "UTC", "day") is None
    assert horizon.unknown_zone_note(TIMESTAMPTZ, None, "updated_at") is None


@pytest.mark.parametrize(
    ("type", "digits"),
    [("timestamp(3) without time zone", 3), ("datetime(6)", 6), ("datetime", 0), ("timestamp(0)", 0)],
)
def test_the_decimals_of_a_second_are_read_from_the_type(type: str, digits: int) -> None:
    assert horizon.fraction_digits(type, default=0) == digits
