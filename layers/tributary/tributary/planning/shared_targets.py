"""Shared targets that do not exist yet: Plan creates them, before it decides how their tables are loaded.

If the load created them, two first runs could both plan a new table with different columns, and the second
would load into a table without some of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from tributary.model.plan import PublishPlan, ReadPlan, TableDesign, TablePlan, TargetTable, TextSizes
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target
from tributary.planning.schema_evolution import sizes_texts
from tributary.planning.table_spec import TableSpec
from tributary.planning.warehouse_state import WarehouseState
from tributary.redshift.stage import create_target
from tributary.redshift.text_sizes import size_for


def missing(
    specs: Mapping[TableName, TableSpec], targets: Mapping[TableName, Target], state: WarehouseState
) -> list[str]:
    """Return the statements that create the shared targets which do not exist."""
    return [
        _create(spec, targets[name])
        for name, spec in specs.items()
        if targets[name].shared and state.known(targets[name]) is None
    ]


def _create(spec: TableSpec, target: Target) -> str:
    """Return the statement that creates the target; texts sized by their values get the smallest size."""
    texts = [column.target for column in spec.columns if column.kind.sized_by_values]
    smallest = dict.fromkeys(texts if sizes_texts(spec) else [], size_for(0, shared=True))
    return create_target(
        TablePlan(
            number=0,
            source=spec.table.name,
            target=TargetTable(schema_name=target.schema, table_name=target.table, exists=False),
            mode=spec.mode,
            columns=spec.columns,
            key=spec.key,
            read=ReadPlan(whole_read=True, ranges=()),
            publish=PublishPlan(full_refresh=False),
            design=TableDesign(distkey=spec.distkey, sortkey=spec.sortkey, encode=spec.encode),
            texts=TextSizes(sizes=smallest),
        )
    )
