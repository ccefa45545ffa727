"""The lease: one run per source at a time, and a number that distinguishes an old holder from the new.

`_leases/<source>.json` is only ever written by S3's conditional writes. A holder whose execution is
no longer running is taken over, and each take-over raises the generation: from then on the old
holder's steps find the lease lost, and its publishes are refused by the fence in the warehouse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tributary.errors import LeaseLost, PlanOutdated, StorageUnavailable
from tributary.model.documents import Lasting
from tributary.model.plan import Plan
from tributary.model.run_id import next_run_id
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body

ATTEMPTS = 5  # a lost race is read again, and usually won at the second attempt


class Lease(Lasting):
    """The execution that runs a source."""

    source: str
    generation: int  # raised by each take-over
    run_id: str  # of the newest run
    execution_arn: str | None = None  # None: the source is not running
    taken_over: bool = False  # the fence must be raised before a watermark is read; cleared by a release


def acquire(
    bucket: Bucket,
    source: str,
    execution_arn: str,
    *,
    is_running: Callable[[str], bool],
    first_generation: Callable[[], int] = lambda: 1,
) -> Lease | None:
    """Take the source's lease for the execution; None if another execution runs it.

    Taking it twice for one execution gives the same lease, and so the same run.
    """
    key = object_keys.lease(source)
    for _ in range(ATTEMPTS):
        stored = bucket.read(key)
        if stored is None:
            generation = first_generation()
            lease = Lease(
                source=source,
                generation=generation,
                run_id=next_run_id(None),
                execution_arn=execution_arn,
                taken_over=generation > 1,  # another bucket's lease has loaded before: fence its runs
            )
            if bucket.create(key, body(lease)):
                return lease
            continue
        held = Lease.model_validate_json(stored[0])
        if held.execution_arn == execution_arn:
            return held
        if held.execution_arn and is_running(held.execution_arn):
            return None
        lease = _next(held, execution_arn)
        if bucket.replace(key, body(lease), stored[1]):
            return lease
    raise StorageUnavailable(f"the lease of {source} changed hands {ATTEMPTS} times while it was being taken")


def _next(held: Lease, execution_arn: str) -> Lease:
    taken_over = held.execution_arn is not None or held.taken_over
    return Lease(
        source=held.source,
        generation=held.generation + (1 if held.execution_arn else 0),
        run_id=next_run_id(held.run_id),
        execution_arn=execution_arn,
        taken_over=taken_over,
    )


def held_plan(bucket: Bucket, source: str, run_id: str) -> Plan:
    """Return the run's plan; raises LeaseLost unless the run still holds its source."""
    plan = bucket.document(object_keys.plan(source, run_id), Plan)
    if plan is None:
        raise PlanOutdated(f"run {run_id} of {source} has no plan; start it again")
    lease = bucket.document(object_keys.lease(plan.source), Lease)
    held = lease and (lease.run_id, lease.generation, lease.execution_arn)
    if held != (plan.run_id, plan.generation, plan.execution_arn):
        raise LeaseLost(f"run {plan.run_id} of {plan.source} was taken over by a newer run; nothing to do")
    return plan


def release(bucket: Bucket, source: str, execution_arn: str) -> Literal["released", "not held"]:
    """Release the lease if the execution holds it."""
    for _ in range(ATTEMPTS):
        stored = bucket.read(object_keys.lease(source))
        held = stored and Lease.model_validate_json(stored[0])
        if not stored or not held or held.execution_arn != execution_arn:
            return "not held"
        free = held.model_copy(update={"execution_arn": None, "taken_over": False})
        if bucket.replace(object_keys.lease(source), body(free), stored[1]):
            return "released"
    raise StorageUnavailable(f"the lease of {source} could not be released")


def find(bucket: Bucket, source: str) -> Lease | None:
    """Return the source's lease, None if it never ran."""
    return bucket.document(object_keys.lease(source), Lease)
