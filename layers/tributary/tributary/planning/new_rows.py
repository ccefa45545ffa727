"""Many small questions to a source in a few statements, above all: which tables have anything new.

A statement asks so many tables at once, each by an expression of its own. Where it fails, its
halves are asked, so that one table which cannot be read, or a batch too slow, hides no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tributary.engines.protocol import Engine
from tributary.errors import PermanentError, QueryCancelled
from tributary.model.plan import UnchangedTable
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target
from tributary.planning.read_bounds import SourceProbe
from tributary.planning.table_spec import TableSpec
from tributary.storage import committed_watermarks
from tributary.storage.committed_watermarks import CommittedWatermarks

ASKED_AT_ONCE = 100

NameT = TypeVar("NameT")


def ask(engine: Engine, connection: Any, expressions: Mapping[NameT, str]) -> dict[NameT, str | None]:
    """Return the expressions' values as the source's texts; one that cannot be had alone is left out."""
    names = list(expressions)
    answers: dict[NameT, str | None] = {}
    for start in range(0, len(names), ASKED_AT_ONCE):
        answers.update(_ask(engine, connection, expressions, names[start : start + ASKED_AT_ONCE]))
    return answers


def _ask(
    engine: Engine, connection: Any, expressions: Mapping[NameT, str], names: Sequence[NameT]
) -> dict[NameT, str | None]:
    try:
        row = engine.ask(connection, f"SELECT {', '.join(expressions[name] for name in names)}")
    except (PermanentError, QueryCancelled):
        if len(names) == 1:
            return {}  # whoever needs it asks for it alone, and meets the error there
        middle = len(names) // 2
        return {
            **_ask(engine, connection, expressions, names[:middle]),
            **_ask(engine, connection, expressions, names[middle:]),
        }
    return dict(zip(names, row or (), strict=False))


def still(
    engine: Engine, connection: Any, questions: Mapping[NameT, str], *, stop: bool = False
) -> set[NameT]:
    """Return whose question was answered with 0: whether there is anything new (`Reader.is_news`).

    `stop`: nothing further is asked once there is.
    """
    names, quiet = list(questions), set[NameT]()
    for start in range(0, len(names), ASKED_AT_ONCE):
        asked = names[start : start + ASKED_AT_ONCE]
        answers = ask(engine, connection, {name: questions[name] for name in asked})
        found = {name for name in asked if answers.get(name) == "0"}
        quiet |= found
        if stop and len(found) < len(asked):
            break
    return quiet


def still_quiet(
    kept: CommittedWatermarks,
    reader: SourceProbe,
    chosen: Mapping[TableName, TableSpec],
    targets: Mapping[TableName, Target],
) -> tuple[UnchangedTable, ...]:
    """Return all the tables where the source has nothing new in any, () where the warehouse must be asked."""
    questions: dict[TableName, str] = {}
    for name, choice in chosen.items():
        watermark = committed_watermark(kept, choice, str(targets[name]))
        if watermark is None or choice.cursor is None:
            return ()
        questions[name] = reader.is_news(choice, choice.cursor, watermark)
    if len(still(reader.engine, reader.connection, questions, stop=True)) < len(questions):
        return ()
    return tuple(
        UnchangedTable(table=choice.name, target=str(targets[name]), mode=choice.mode)
        for name, choice in chosen.items()
    )


def committed_watermark(kept: CommittedWatermarks, choice: TableSpec, target: str) -> str | None:
    """Return up to where the table is loaded; None where only the warehouse can say."""
    if choice.cursor is None or choice.cursor.nullable:  # NULLs are read by every run
        return None
    wanted = committed_watermarks.shape(
        choice.mode,
        choice.columns,
        choice.key,
        cursor=choice.cursor.name,
        target=target,
        sql=choice.sql,
        where=choice.settings.where,
    )
    return kept.watermark(choice.name, wanted)
