"""A run's history stays far below the end that no state can catch, and loads lose no time by it."""

from __future__ import annotations

import pytest

from bench import history
from tributary.loading.load import IN_FLIGHT_AT_MOST
from tributary.loading.pacing import CALL_AT_MOST_S, CallPace


def test_the_page_has_the_table_that_the_simulation_gives_now():
    text = history.PAGE.read_text()
    assert history.page(text) == text


@pytest.mark.parametrize("name", history.DISTRIBUTIONS)
@pytest.mark.parametrize("tables", history.TABLES)
def test_no_run_has_ten_thousand_events(name: str, tables: int):
    for seed in range(3):
        assert history.load(tables, history.DISTRIBUTIONS[name], seed).events(tables) < 10_000


@pytest.mark.parametrize(("seconds", "most"), [(1.0, 1.15), (5.0, 1.05), (20.0, 1.02), (60.0, 1.01)])
def test_a_load_takes_hardly_longer_than_its_statements(seconds: float, most: float):
    ideal_s = 2_000 * history.STATEMENTS * seconds / IN_FLIGHT_AT_MOST
    assert history.load(2_000, history.times(seconds)).seconds < most * ideal_s


def test_a_load_that_waits_for_a_lock_for_a_week_fills_no_history():
    assert history.stuck(604_800).events(1) < 10_000


@pytest.mark.parametrize("idle_calls", [1, 10, 100, 100_000])
@pytest.mark.parametrize("age_s", [0.0, 3_600.0, 604_800.0])
def test_a_wait_is_a_minute_at_most_or_a_hundredth_of_the_time_so_far(idle_calls: int, age_s: float):
    pace = CallPace(began_s=5.0, load_age_s=age_s)
    assert 1 <= pace.wait_s(5.0, idle_calls) <= max(60, age_s / 100)


def test_a_call_stays_while_tables_make_progress_and_ends_before_the_function_does():
    pace = CallPace(began_s=0.0, load_age_s=0.0)
    assert (pace.is_over(1.9), pace.is_over(2.1)) == (False, True)
    pace.made_progress(1.9)
    assert not pace.is_over(3.8)
    pace.made_progress(CALL_AT_MOST_S)
    assert (pace.is_over(CALL_AT_MOST_S), pace.is_over(CALL_AT_MOST_S + 0.1)) == (False, True)
    assert CALL_AT_MOST_S + 60 < 300  # a last poll, and the function's time-out


def test_a_long_load_has_more_patience():
    assert CallPace(began_s=0.0, load_age_s=100.0).ends_s == 2.0
    assert CallPace(began_s=0.0, load_age_s=1_000.0).ends_s == 20.0
    assert CallPace(began_s=0.0, load_age_s=100_000.0).ends_s == 75.0
