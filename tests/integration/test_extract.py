"""Extract against a real PostgreSQL and the local S3: one sequence of chunks, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.aws.clients import client
from local.aws.gateway import Gateway
from local.databases.postgres import Postgres
from tests.builders import RUN, changed, column, put_item, run_plan, table_plan
from tributary.engines import registry
from tributary.errors import StorageUnavailable
from tributary.extraction import chunks, extract
from tributary.model import text_lengths
from tributary.model.own_columns import SEQUENCE
from tributary.model.plan import Plan, Range, TablePlan
from tributary.model.result import AlteredValues, TableResult
from tributary.model.source_catalog import TableName
from tributary.model.value_policies import Fault, Policy
from tributary.planning import key_ranges
from tributary.secret import Secret
from tributary.storage import object_keys, results
from tributary.storage.bucket import Bucket

FAR = datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    gateway = Gateway()
    s3 = client("s3", gateway.url)
    s3.create_bucket(Bucket="raw")
    yield Bucket(s3, "raw")
    gateway.stop()


class Workshop:
    """One source table and a run planned over it."""

    def __init__(self, postgres: Postgres, bucket: Bucket, rows: int) -> None:
        self.bucket, self.source = bucket, f"s{uuid4().hex[:8]}"
        with_sql = postgres.connect()
        with_sql.run(f'CREATE SCHEMA "{self.source}"')
        with_sql.run(
            f'CREATE TABLE "{self.source}".orders (id int PRIMARY KEY, stamp timestamptz, note text)'
        )
        with_sql.run(
            f'INSERT INTO "{self.source}".orders SELECT n, '
            "timestamptz '2026-01-01' + (n / 4) * interval '1 second', 'note ' || n "
            f"FROM generate_series(1, {rows}) AS n"
        )
        with_sql.close()
        self.secret = Secret(
            host=postgres.host, port=postgres.port, username="postgres", dbname="postgres", sslmode="disable"
        )

    def plan(
        self,
        *,
        order: tuple[str, ...] = ("stamp", "id"),
        page_rows: int | None = 3,
        policies: dict[str, dict[Fault, Policy]] | None = None,
        cuts: tuple[str, ...] = (),
    ) -> Plan:
        engine = registry.get("postgresql")
        connection = engine.connect(self.secret, statement_timeout_s=30)
        described = engine.describe(connection, [TableName(self.source, "orders")])
        engine.close(connection)
        [table] = described.values()
        columns = tuple(
            column(
                each.name,
                engine.kind(each),
                type=each.type,
                nullable=each.nullable,
            ).model_copy(update={"policies": (policies or {}).get(each.name, {})})
            for each in table.columns
        )
        planned = table_plan(
            source=TableName(self.source, "orders"),
            schema_name=self.source,
            mode="merge",
            columns=columns,
            cursor="stamp",
            ranges=key_ranges.split_at(Range(number=1, order=order), [(cut,) for cut in cuts]),
            page_rows=page_rows,
            full_refresh=False,
        )
        plan = run_plan(self.source, RUN)
        put_item(self.bucket, plan, *key_ranges.per_range(planned))
        self.begun, self.planned = plan, key_ranges.per_range(planned)[0]
        return plan

    def extract(self, plan: Plan, *, chunk_size_bytes: int = 1, seconds: float = 60) -> bool:
        stop_at = time.monotonic() + seconds
        begun = extract.begin(
            plan, self.bucket, self.secret, chunk_size_bytes=chunk_size_bytes, stop_at=stop_at
        )
        return extract.extract_item(begun, 0)

    def result(self) -> TableResult:
        stored = results.find(self.bucket, self.begun, self.planned)
        assert stored is not None
        return stored

    def rows(self) -> list[tuple[object, ...]]:
        """Return the rows of the result's chunks in manifest order."""
        rows: list[tuple[object, ...]] = []
        for chunk in self.result().chunks:
            content = self.bucket.read(chunk.key)
            assert content is not None
            assert len(content[0]) == chunk.size_bytes
            table = pq.read_table(pa.BufferReader(content[0]))
            rows += zip(*(column.to_pylist() for column in table.columns), strict=True)
        return rows


def ids(rows: list[tuple[object, ...]]) -> list[object]:
    return [row[0] for row in rows]


@pytest.mark.parametrize("page_rows", [1, 2, 3, 4, 5, 20, 21, None])
def test_every_row_arrives_once_whatever_the_page(
    postgres: Postgres, bucket: Bucket, page_rows: int | None
) -> None:
    workshop = Workshop(postgres, bucket, rows=20)

    assert workshop.extract(workshop.plan(page_rows=page_rows))

    assert ids(workshop.rows()) == list(range(1, 21))
    assert workshop.result().rows == 20


def test_sequence_numbers_rise_in_reading_order(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=10)
    workshop.extract(workshop.plan())

    numbers = [row[-1] for row in workshop.rows()]

    assert numbers == sorted(set(numbers), key=lambda number: int(str(number)))
    assert SEQUENCE == "_tributary_seq"


def test_an_empty_table_has_a_result_without_chunks(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=0)

    assert workshop.extract(workshop.plan())

    assert (workshop.result().rows, workshop.result().chunks) == (0, ())


def test_a_page_of_far_too_many_bytes_is_left_and_every_row_arrives_once(
    postgres: Postgres, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(postgres, bucket, rows=2_000)
    session = postgres.connect()
    session.run(f'UPDATE "{workshop.source}".orders SET note = repeat(note, 700)')
    session.close()
    monkeypatch.setattr(extract, "PAGE_SIZE_BYTES_AT_MOST", 1 << 20)
    queries = count_of_queries(monkeypatch)

    assert workshop.extract(workshop.plan(page_rows=None))

    assert ids(workshop.rows()) == list(range(1, 2_001))
    assert len(queries) > 2  # of which the first asked for a thousand rows, and was left


def count_of_queries(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Return a list that grows by the limit of each page asked for."""
    limits: list[int | None] = []
    query = TablePlan.query

    def noted(self: TablePlan, part: Range, position: Any, limit: int | None) -> Any:
        limits.append(limit)
        return query(self, part, position, limit)

    monkeypatch.setattr(TablePlan, "query", noted)
    return limits


def test_extract_goes_on_where_an_attempt_ran_out_of_time(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=20)
    plan = workshop.plan()

    calls = 1
    while not workshop.extract(plan, seconds=0):  # one page a call
        calls += 1

    assert calls > 3
    assert ids(workshop.rows()) == list(range(1, 21))


def test_ranges_go_on_each_after_its_own_chunks_and_their_rows_are_joined_in_order(
    postgres: Postgres, bucket: Bucket
) -> None:
    workshop = Workshop(postgres, bucket, rows=20)
    plan = workshop.plan(order=("id",), cuts=("7", "8", "30"))

    calls = 1
    while not workshop.extract(plan, seconds=0):  # one page a call
        assert results.find(bucket, plan, workshop.planned) is None
        calls += 1

    assert calls > 4
    assert ids(workshop.rows()) == list(range(1, 21))
    assert workshop.result().rows == 20
    assert {chunk.key.rsplit("_", 2)[1] for chunk in workshop.result().chunks} == {"1", "2", "3"}
    assert len(list(bucket.list(object_keys.results(workshop.source, RUN)))) == 4


def test_a_range_that_fails_is_the_tables_failure_before_the_others_are_done(
    postgres: Postgres, bucket: Bucket
) -> None:
    workshop = Workshop(postgres, bucket, rows=20)
    plan = workshop.plan(order=("id",), cuts=("10",))
    session = postgres.connect()
    session.run(f"UPDATE \"{workshop.source}\".orders SET stamp = 'infinity' WHERE id = 2")
    session.close()

    assert not workshop.extract(plan, seconds=0)

    failure = workshop.result().failure
    assert failure is not None
    assert failure.error == "ValueRefused"


def test_two_attempts_at_once_build_one_sequence(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=300)
    plan = workshop.plan(page_rows=7)

    with ThreadPoolExecutor(3) as attempts:
        done = list(attempts.map(lambda _: workshop.extract(plan), range(3)))

    assert done == [True, True, True]
    assert ids(workshop.rows()) == list(range(1, 301))


def test_a_second_call_after_the_result_reads_nothing_and_changes_nothing(
    postgres: Postgres, bucket: Bucket
) -> None:
    workshop = Workshop(postgres, bucket, rows=5)
    plan = workshop.plan()
    workshop.extract(plan)
    before = workshop.result()

    assert workshop.extract(plan)

    assert workshop.result() == before


def test_a_table_without_order_is_read_at_once_and_only_the_finished_attempt_counts(
    postgres: Postgres, bucket: Bucket
) -> None:
    workshop = Workshop(postgres, bucket, rows=20)
    plan = workshop.plan(order=())

    with ThreadPoolExecutor(2) as attempts:
        list(attempts.map(lambda _: workshop.extract(plan), range(2)))

    assert sorted(map(int, ids(workshop.rows()))) == list(range(1, 21))  # type: ignore[arg-type]


class Forgetful(Bucket):
    """A bucket whose answer to the first chunk is lost: the next try to store it meets it there."""

    def create_raw(self, key: str, body: Any) -> bool:
        stored = super().create_raw(key, body)
        body.seek(0)
        return super().create_raw(key, body) if key.endswith("000001.parquet") else stored


@pytest.mark.parametrize("order", [("id",), ()])
def test_a_chunk_whose_answer_was_lost_loses_and_doubles_no_row(
    postgres: Postgres, bucket: Bucket, order: tuple[str, ...]
) -> None:
    workshop = Workshop(postgres, bucket, rows=20)
    plan = workshop.plan(order=order)

    workshop.bucket = Forgetful(bucket.client, bucket.name)
    if order:
        assert workshop.extract(plan)
    else:
        with pytest.raises(StorageUnavailable, match="did not answer"):
            workshop.extract(plan)
    workshop.bucket = bucket
    assert workshop.extract(plan)

    assert sorted(map(int, ids(workshop.rows()))) == list(range(1, 21))  # type: ignore[arg-type]


def test_a_failure_that_nobody_foresaw_is_that_tables_own(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=5)
    plan = workshop.plan(order=("id",))
    sound = changed(workshop.planned, number=1)
    broken = changed(workshop.planned, ranges=(Range(number=1 << 20, order=("id",)),))
    put_item(bucket, plan, broken, sound)

    assert workshop.extract(plan)

    failure = workshop.result().failure
    assert failure is not None
    assert failure.error == "InternalError"
    assert failure.message.startswith("OverflowError at ")
    workshop.planned = sound
    assert ids(workshop.rows()) == list(range(1, 6))


def test_altered_values_are_counted_once_whatever_becomes_of_the_attempts(
    postgres: Postgres, bucket: Bucket
) -> None:
    policies: dict[str, dict[Fault, Policy]] = {
        "stamp": {"date_out_of_range": "clamp"},
        "note": {"too_long": "truncate"},
    }
    counted = [
        AlteredValues(column="note", fault="too_long", values=10),
        AlteredValues(column="stamp", fault="date_out_of_range", values=30),
    ]
    for order, calls in ((("id",), "one page a call"), (("id",), "three at once"), ((), "three at once")):
        workshop = Workshop(postgres, bucket, rows=60)
        session = postgres.connect()
        session.run(f"UPDATE \"{workshop.source}\".orders SET stamp = 'infinity' WHERE id % 2 = 0")
        session.run(f"UPDATE \"{workshop.source}\".orders SET note = repeat('x', 65536) WHERE id % 6 = 0")
        session.close()
        plan = workshop.plan(order=order, page_rows=7, policies=policies)
        if calls == "one page a call":
            while not workshop.extract(plan, seconds=0):
                pass
        else:
            with ThreadPoolExecutor(3) as attempts:
                assert all(attempts.map(lambda _, plan=plan, shop=workshop: shop.extract(plan), range(3)))
        assert list(workshop.result().altered) == counted
        assert {row[0]: row[1] == FAR for row in workshop.rows()} == {n: n % 2 == 0 for n in range(1, 61)}


def test_the_longest_text_is_known_whatever_becomes_of_the_attempts(
    postgres: Postgres, bucket: Bucket
) -> None:
    for order, cuts, page_by_page in (
        (("id",), (), True),
        (("id",), (), False),
        (("id",), ("2", "30"), True),
        ((), (), False),
    ):
        workshop = Workshop(postgres, bucket, rows=60)
        session = postgres.connect()
        session.run(f"UPDATE \"{workshop.source}\".orders SET note = repeat('é', 150) WHERE id = 2")
        session.close()
        plan = workshop.plan(order=order, page_rows=7, cuts=cuts)
        if page_by_page:
            while not workshop.extract(plan, seconds=0):
                pass
        else:
            with ThreadPoolExecutor(3) as attempts:
                assert all(attempts.map(lambda _, plan=plan, shop=workshop: shop.extract(plan), range(3)))
        assert workshop.result().longest == (300,)


def test_chunks_of_a_version_that_measured_nothing_leave_the_longest_text_unknown(
    postgres: Postgres, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(postgres, bucket, rows=60)
    plan = workshop.plan(order=("id",), page_rows=7)
    with monkeypatch.context() as earlier:
        earlier.setattr(text_lengths, "longer", lambda one, other: None)
        assert not workshop.extract(plan, seconds=0)

    assert workshop.extract(plan)

    assert (workshop.result().longest, len(workshop.rows())) == (None, 60)


def test_a_value_that_the_warehouse_cannot_hold_fails_the_table_without_showing_it(
    postgres: Postgres, bucket: Bucket
) -> None:
    workshop = Workshop(postgres, bucket, rows=3)
    session = postgres.connect()
    session.run(f"UPDATE \"{workshop.source}\".orders SET stamp = 'infinity' WHERE id = 2")
    session.close()

    assert workshop.extract(workshop.plan(order=("id",)))

    failure = workshop.result().failure
    assert failure is not None
    assert failure.error == "ValueRefused"
    assert "stamp" in failure.message
    assert "infinity" not in failure.message.split("such as")[0]


def test_pages_before_one_that_fails_are_stored(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=9)
    session = postgres.connect()
    session.run(f"UPDATE \"{workshop.source}\".orders SET stamp = 'infinity' WHERE id = 8")
    session.close()

    assert workshop.extract(workshop.plan(order=("id",), page_rows=3), chunk_size_bytes=1 << 20)

    assert workshop.result().failure is not None
    prefix = object_keys.chunk_prefix(workshop.source, RUN, ("orders",), "1")
    stored = chunks.progress(bucket, prefix, workshop.planned.identity)
    assert (stored.footer.position, stored.footer.total_rows, stored.footer.last) == (("6",), 6, False)


def test_a_chunk_of_another_table_is_never_taken_over(postgres: Postgres, bucket: Bucket) -> None:
    workshop = Workshop(postgres, bucket, rows=9)
    plan = workshop.plan(order=("id",))
    assert not workshop.extract(plan, seconds=0)  # its first chunk is stored
    put_item(bucket, plan, workshop.planned.with_changes(schema_name="another"))

    assert workshop.extract(plan)

    failure = workshop.result().failure
    assert failure is not None
    assert failure.error == "InternalError"
    assert "is not a chunk of this table" in failure.message
    assert workshop.result().chunks == ()
