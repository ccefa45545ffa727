"""When a full load or a replay removes too many rows."""

import pytest

from tests.builders import orders
from tributary.loading.failures import too_many_removed
from tributary.model.plan import ReplayPlan, TablePlan

REFRESHED = orders(full_refresh=True, may_vanish=50)
REPLAYED = orders(replay=ReplayPlan(runs=2), may_vanish=50)


@pytest.mark.parametrize("table", [REFRESHED, REPLAYED])
def test_a_hundred_rows_may_be_removed_whatever_share_they_are(table: TablePlan) -> None:
    assert too_many_removed(table, arrived=1, existing=101) is None
    assert too_many_removed(table, arrived=1, existing=102) is not None
    assert too_many_removed(table, arrived=51, existing=102) is None


@pytest.mark.parametrize("table", [REFRESHED, REPLAYED])
def test_an_empty_result_never_empties_a_table_unasked(table: TablePlan) -> None:
    failure = too_many_removed(table, arrived=0, existing=2)
    assert failure is not None
    assert failure.error == "ImageRefused"
    assert too_many_removed(table.with_changes(may_vanish=100), arrived=0, existing=2) is None
