"""The lease, by S3's real conditional writes: one holder at a time, and a generation that rises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from local.aws.clients import client
from local.aws.gateway import Gateway
from tests.builders import run_plan
from tributary.errors import LeaseLost, PlanOutdated
from tributary.model.documents import FORMAT
from tributary.storage import lease, object_keys
from tributary.storage.bucket import Bucket, body
from tributary.storage.lease import Lease


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    gateway = Gateway()
    s3 = client("s3", gateway.url)
    s3.create_bucket(Bucket="raw")
    yield Bucket(s3, "raw")
    gateway.stop()


@pytest.fixture
def source() -> str:
    return f"s{uuid4().hex[:8]}"


def running(*executions: str) -> Callable[[str], bool]:
    return lambda arn: arn in executions


def take(bucket: Bucket, source: str, execution: str, *others: str) -> Lease | None:
    return lease.acquire(bucket, source, execution, is_running=running(*others))


def test_one_of_many_executions_at_once_gets_the_lease(bucket: Bucket, source: str) -> None:
    executions = [f"arn:{number}" for number in range(8)]

    with ThreadPoolExecutor(8) as takers:
        taken = list(takers.map(lambda arn: take(bucket, source, arn, *executions), executions))

    assert sum(held is not None for held in taken) == 1


def test_an_execution_that_asks_twice_gets_the_same_run(bucket: Bucket, source: str) -> None:
    assert take(bucket, source, "arn:1") == take(bucket, source, "arn:1")


def test_a_lease_given_back_keeps_its_generation_and_never_repeats_a_run_id(
    bucket: Bucket, source: str
) -> None:
    runs = []
    for number in range(5):
        held = take(bucket, source, f"arn:{number}")
        assert held is not None
        assert (held.generation, held.taken_over) == (1, False)
        runs.append(held.run_id)
        assert lease.release(bucket, source, f"arn:{number}") == "released"

    assert runs == sorted(set(runs))


def test_a_holder_that_no_longer_runs_is_taken_over_with_a_higher_generation(
    bucket: Bucket, source: str
) -> None:
    take(bucket, source, "arn:old")

    held = take(bucket, source, "arn:new")

    assert held is not None
    assert (held.generation, held.taken_over) == (2, True)


def test_a_take_over_that_broke_off_is_still_a_take_over_for_the_next(bucket: Bucket, source: str) -> None:
    take(bucket, source, "arn:1")
    take(bucket, source, "arn:2")  # ended before it could raise the fence

    held = take(bucket, source, "arn:3")

    assert held is not None
    assert (held.generation, held.taken_over) == (3, True)


def test_only_the_holder_gives_the_lease_back(bucket: Bucket, source: str) -> None:
    take(bucket, source, "arn:1")

    assert lease.release(bucket, source, "arn:2") == "not held"
    assert take(bucket, source, "arn:2", "arn:1") is None


def test_a_step_of_a_run_that_was_taken_over_is_stopped(bucket: Bucket, source: str) -> None:
    old = take(bucket, source, "arn:old")
    assert old is not None
    plan = run_plan(source, old.run_id, generation=old.generation, execution_arn="arn:old")
    bucket.put(object_keys.plan(source, old.run_id), body(plan))
    assert lease.held_plan(bucket, source, old.run_id) == plan

    take(bucket, source, "arn:new")

    with pytest.raises(LeaseLost):
        lease.held_plan(bucket, source, old.run_id)


def test_a_lease_that_another_version_wrote_is_honoured(bucket: Bucket, source: str) -> None:
    held = {"source": source, "generation": 7, "run_id": "20260101_000000", "execution_arn": "arn:1"}
    bucket.put(
        object_keys.lease(source), json.dumps({**held, "format": 9, "a_field_of_later": True}).encode()
    )

    assert take(bucket, source, "arn:2", "arn:1") is None
    taken = take(bucket, source, "arn:2")
    assert taken is not None
    assert (taken.generation, taken.taken_over) == (8, True)


def test_a_plan_of_another_format_ends_the_run_that_meets_it(bucket: Bucket, source: str) -> None:
    plan = run_plan(source, version="9.0.0")
    other = {**plan.model_dump(), "format": FORMAT + 1}
    bucket.put(object_keys.plan(source, plan.run_id), json.dumps(other).encode())

    with pytest.raises(PlanOutdated, match="planned by another version; start it again"):
        lease.held_plan(bucket, source, plan.run_id)
