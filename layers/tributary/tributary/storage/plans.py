"""The documents of a run's plan: its head and the items that its tables are in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tributary.errors import PlanOutdated
from tributary.model.plan import Item, Plan, TablePlan
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, Documents

READERS = 16


def item(bucket: Bucket, plan: Plan, number: int) -> Item:
    """Return an item of the plan; raises PlanOutdated if it is missing."""
    stored = bucket.document(object_keys.item(plan.prefix, number), Item)
    if stored is None:
        raise PlanOutdated(f"item {number} of run {plan.run_id} is missing; start the source's run again")
    return stored


def tables(bucket: Documents, plan: Plan) -> list[TablePlan]:
    """Return the tables of all items that exist; a table that is read in ranges is in several."""
    with ThreadPoolExecutor(READERS) as readers:
        keys = [object_keys.item(plan.prefix, number) for number in range(plan.items)]
        items = readers.map(lambda key: bucket.document(key, Item), keys)
        return [table for item in items if item for table in item.tables]
