"""What of earlier runs is carried on, from their documents and chunks on the local S3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from local.aws.clients import client
from local.aws.gateway import Gateway
from tests.builders import put_item, put_result, run_plan, table_plan
from tributary import __version__
from tributary.config.models import TableSettings
from tributary.model.ledger import Ledger, TableLoad
from tributary.model.plan import Column, Failure, Range, TablePlan
from tributary.model.run_id import run_id_at
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.types import Kind
from tributary.planning.checkpoint import BegunRuns, Checkpoints, record_begun
from tributary.planning.load_method import CommittedLoad
from tributary.planning.table_spec import TableSpec
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body

ID = Column(name="id", type="integer", kind=Kind("int32"), nullable=False, target="id")
CHOICE = TableSpec(
    SourceTable(TableName("public", "orders"), ()), TableSettings(), "replace", (ID,), ("id",), True, None, ()
)
WHOLE = (Range(number=0, order=("id",)),)
CUT = (Range(number=0, order=("id",), end=("7",)), Range(number=1, order=("id",), begin=("7",)))


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    gateway = Gateway()
    made = client("s3", gateway.url)
    made.create_bucket(Bucket="raw")
    yield Bucket(made, "raw")
    gateway.stop()


def ago(**time: float) -> str:
    return run_id_at(datetime.now(UTC) - timedelta(**time))


class Past:
    """A source of its own with runs that lie behind it."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket, self.source = bucket, f"s{uuid4().hex[:8]}"

    def run(self, run_id: str, *parts: TablePlan, version: str = __version__) -> None:
        """Freeze a run that read the table in these parts."""
        plan = run_plan(self.source, run_id, version=version, items=len(parts))
        for number, part in enumerate(parts):
            put_item(self.bucket, plan, part, number=number)
        self.bucket.put(object_keys.plan(self.source, run_id), body(plan))
        record_begun(self.bucket, self.source, self.carrier(), parts, run_id)

    def chunks(self, run_id: str, *numbers: int, part: int = 0) -> None:
        prefix = object_keys.chunk_prefix(self.source, run_id, ("orders",), str(part))
        for number in numbers:
            self.bucket.put(object_keys.chunk(prefix, number), b"rows")

    def read(self, run_id: str, failure: Failure | None = None) -> None:
        """Note that the table was read to its end, or failed."""
        put_result(self.bucket, run_plan(self.source, run_id), rows=1, failure=failure)

    def load_failed(self, run_id: str) -> None:
        ledger = Ledger(tables=(TableLoad(number=0, item=0, table="public.orders", phase="failed"),))
        self.bucket.put(object_keys.ledger(self.source, run_id), body(ledger))

    def carrier(self, loaded: CommittedLoad | None = None) -> Checkpoints:
        return Checkpoints.of(self.bucket, self.source, {"public.orders": loaded} if loaded else {})

    def carried(self, fresh: TablePlan, loaded: CommittedLoad | None = None) -> list[str | None]:
        """Return the runs whose chunks a fresh plan continues from, [None] if it starts again."""
        reader: Any = None  # which is asked of tables with a cursor alone
        now: Any = None
        plan = self.carrier(loaded).resume(fresh, CHOICE, reader, now)
        return [part.run_id for part in plan.read.ranges]


@pytest.fixture
def past(s3: Bucket) -> Past:
    return Past(s3)


def test_a_range_goes_on_under_the_run_that_began_it(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1, 2)
    assert past.carried(table_plan()) == [begun]


def test_parts_are_joined_where_one_of_them_has_chunks(past: Past) -> None:
    parts = [table_plan(ranges=(part,), range_index=place, range_count=2) for place, part in enumerate(CUT)]
    past.run(begun := ago(hours=6), *reversed(parts))
    past.chunks(begun, 1, part=1)

    plan = past.carrier().resume(table_plan(), CHOICE, *([None] * 2))  # type: ignore[arg-type]

    assert plan.read.ranges == tuple(part.model_copy(update={"run_id": begun}) for part in CUT)


def test_a_run_that_carried_on_is_carried_on_itself(past: Past) -> None:
    first, second = ago(hours=6), ago(hours=1)
    past.run(first, table_plan())
    past.chunks(first, 1)
    past.run(second, table_plan(ranges=(WHOLE[0].model_copy(update={"run_id": first}),)))
    assert past.carried(table_plan()) == [first]


def test_a_run_whose_plan_was_never_frozen_hides_no_older_one(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1)
    record_begun(past.bucket, past.source, past.carrier(), [table_plan()], ago(hours=1))
    assert past.carried(table_plan()) == [begun]


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": (ID.model_copy(update={"kind": Kind("int64")}),)},
        {"key": ("id", "id")},
        {"mode": "append"},
        {"table_name": "others"},
        {"full_refresh": False},
        {"watermark": "7"},
    ],
)
def test_a_table_that_is_read_otherwise_now_begins_anew(past: Past, changes: dict[str, Any]) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1)
    assert past.carried(table_plan(**changes)) == [None]


def test_what_is_seven_days_old_begins_anew(past: Past) -> None:
    past.run(begun := ago(days=6.9), table_plan())
    past.chunks(begun, 1)
    assert past.carried(table_plan()) == [begun]

    old = Past(past.bucket)
    old.run(begun := ago(days=7.1), table_plan())
    old.chunks(begun, 1)
    assert old.carried(table_plan()) == [None]


def test_chunks_that_are_not_all_there_are_left_alone(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    assert past.carried(table_plan()) == [None]
    past.chunks(begun, 2, 3)
    assert past.carried(table_plan()) == [None]


def test_another_version_begins_anew(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan(), version="0.0.0")
    past.chunks(begun, 1)
    assert past.carried(table_plan()) == [None]


def test_what_was_loaded_since_is_done(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1)
    done = CommittedLoad(run_id=begun, mode="replace", target="shop.orders")
    assert past.carried(table_plan(), done) == [None]

    record_begun(past.bucket, past.source, past.carrier(done), [], ago(hours=1))
    assert past.bucket.document(object_keys.begun(past.source), BegunRuns) == BegunRuns()


def test_a_whole_image_is_read_anew_where_an_older_one_stands(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1)
    assert past.carried(
        table_plan(), CommittedLoad(run_id=ago(days=1), mode="replace", target="shop.orders")
    ) == [None]


def test_rows_that_the_warehouse_refused_are_read_anew(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1)
    past.read(begun)
    assert past.carried(table_plan()) == [begun]  # read to its end, and never come to its load
    past.load_failed(begun)
    assert past.carried(table_plan()) == [None]


def test_a_table_that_failed_while_it_was_read_goes_on(past: Past) -> None:
    past.run(begun := ago(hours=6), table_plan())
    past.chunks(begun, 1)
    past.read(begun, Failure(table="public.orders", error="ValueRefused", message="why"))
    past.load_failed(begun)
    assert past.carried(table_plan()) == [begun]
