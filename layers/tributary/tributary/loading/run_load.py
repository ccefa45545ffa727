"""The load of one run: its documents on S3, its warehouse, and the names of its batches."""

from __future__ import annotations

from dataclasses import dataclass, field

from tributary.loading.external_tables import ExternalSchema
from tributary.model.ledger import TableLoad
from tributary.model.plan import Item, Plan, TablePlan
from tributary.model.result import TableResult
from tributary.redshift import text_sizes
from tributary.redshift.data_api import Warehouse
from tributary.redshift.stage import staging_name
from tributary.storage import plans, results
from tributary.storage.bucket import Bucket


@dataclass(frozen=True, slots=True)
class RunLoad:
    """What a call of Load works with.

    A document is read from S3 once per call, and only for tables that are due. So the cost of a call
    does not grow with the number of tables, except for the ledger itself.
    """

    plan: Plan
    bucket: Bucket
    warehouse: Warehouse
    copy_role: str  # the ARN of the role that COPY reads S3 with
    external_schema: ExternalSchema | None = None  # None if the raw layer has no external tables
    items: dict[int, Item] = field(default_factory=dict)
    results: dict[int, TableResult | None] = field(default_factory=dict)

    def item(self, number: int) -> Item:
        """Return an item of the plan."""
        if number not in self.items:
            self.items[number] = plans.item(self.bucket, self.plan, number)
        return self.items[number]

    def table(self, load: TableLoad) -> TablePlan:
        """Return the plan of a table, with the text sizes that its values need."""
        table = next(table for table in self.item(load.item).tables if table.number == load.number)
        result = self.result(table) if table.texts.sized_by_values else None
        return text_sizes.with_sizes(table, result.longest, copy=load.deep_copy) if result else table

    def result(self, table: TablePlan) -> TableResult | None:
        """Return what Extract did with a table, None if it did not finish."""
        if table.number not in self.results:
            self.results[table.number] = results.find(self.bucket, self.plan, table)
        return self.results[table.number]

    def staging_name(self, load: TableLoad) -> str:
        """Return the name of the table's staging table."""
        return staging_name(self.plan.source, self.plan.run_id, load.number)

    def statement_name(self, load: TableLoad, step: str) -> str:
        """Return the batch's name; a take-over finds the statements of a source by its prefix."""
        return f"tributary/{self.plan.source}/{self.plan.run_id}/{load.number}/{step}/{load.attempt}"
