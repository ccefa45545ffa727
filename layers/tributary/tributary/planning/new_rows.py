"""Many small questions to a source in a few statements, above all: which tables have new rows.

One statement asks about many tables, each by an expression of its own. If it fails, its halves are
asked, so that one table that cannot be read, or a slow batch, hides no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tributary.engines.protocol import Engine
from tributary.errors import PermanentError, QueryCancelled
from tributary.model.plan import UnchangedTable
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec
from tributary.storage import committed_watermarks
from tributary.storage.committed_watermarks import CommittedWatermarks

EXPRESSIONS_AT_ONCE = 100

NameT = TypeVar("NameT")


def evaluate(engine: Engine, connection: Any, expressions: Mapping[NameT, str]) -> dict[NameT, str | None]:
    """Return the expressions' values as the source's own texts; one that fails alone is missing."""
    names = list(expressions)
    values: dict[NameT, str | None] = {}
    for start in range(0, len(names), EXPRESSIONS_AT_ONCE):
        batch = names[start : start + EXPRESSIONS_AT_ONCE]
        values.update(_evaluate(engine, connection, expressions, batch))
    return values


def _evaluate(
    engine: Engine, connection: Any, expressions: Mapping[NameT, str], names: Sequence[NameT]
) -> dict[NameT, str | None]:
    try:
        listed = ", ".join(expressions[name] for name in names)
        row = engine.ask(connection, f"SELECT {listed}{engine.ONE_ROW}")
    except (PermanentError, QueryCancelled):
        if len(names) == 1:
            return {}  # a later query about this table alone meets the error and reports it
        middle = len(names) // 2
        return {
            **_evaluate(engine, connection, expressions, names[:middle]),
            **_evaluate(engine, connection, expressions, names[middle:]),
        }
    return dict(zip(names, row or (), strict=False))


def unchanged(
    engine: Engine, connection: Any, questions: Mapping[NameT, str], *, stop: bool = False
) -> set[NameT]:
    """Return the names whose question (`SourceProbe.has_new_rows`) was answered with 0.

    `stop`: ask no further batch after one that has new rows.
    """
    names, without_new_rows = list(questions), set[NameT]()
    for start in range(0, len(names), EXPRESSIONS_AT_ONCE):
        batch = names[start : start + EXPRESSIONS_AT_ONCE]
        answers = evaluate(engine, connection, {name: questions[name] for name in batch})
        still = {name for name in batch if answers.get(name) == "0"}
        without_new_rows |= still
        if stop and len(still) < len(batch):
            break
    return without_new_rows


def all_unchanged(
    kept: CommittedWatermarks,
    probe: SourceProbe,
    specs: Mapping[TableName, TableSpec],
    targets: Mapping[TableName, Target],
) -> tuple[UnchangedTable, ...]:
    """Return all tables if none of them has new rows, () if the warehouse must be asked."""
    questions: dict[TableName, str] = {}
    for name, spec in specs.items():
        watermark = committed_watermark(kept, spec, str(targets[name]))
        if watermark is None or spec.cursor is None:
            return ()
        questions[name] = probe.has_new_rows(spec, spec.cursor, watermark)
    if len(unchanged(probe.engine, probe.connection, questions, stop=True)) < len(questions):
        return ()
    return tuple(
        UnchangedTable(table=spec.name, target=str(targets[name]), mode=spec.mode)
        for name, spec in specs.items()
    )


def committed_watermark(kept: CommittedWatermarks, spec: TableSpec, target: str) -> str | None:
    """Return up to which value the table is loaded, None if only the warehouse knows."""
    if spec.cursor is None or spec.cursor.nullable:  # NULLs are read by every run
        return None
    wanted = committed_watermarks.shape(
        spec.mode,
        spec.columns,
        spec.key,
        cursor=spec.cursor.name,
        target=target,
        sql=spec.sql,
        where=spec.settings.where,
    )
    return kept.watermark(spec.name, wanted)
