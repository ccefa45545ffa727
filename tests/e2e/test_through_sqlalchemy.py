"""Views of a database behind SQLAlchemy, through the whole pipeline."""

from __future__ import annotations

from .company import Company
from .compare import failures


def test_views_behind_sqlalchemy_are_loaded_and_a_broken_one_fails_alone(company: Company) -> None:
    source = company.source("sqlite")
    source.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE VIEW shown AS SELECT id, v FROM t",
        "CREATE TABLE gone (id INTEGER)",
        "CREATE VIEW broken AS SELECT id FROM gone",
        "DROP TABLE gone",
    )
    source.file(
        "tables: [{name: main.shown, mode: replace, key: id, page_rows: 2}, {include: main.*, mode: replace}]"
    )
    generic = source.path.read_text().replace(
        "engine: sqlite", "engine: sqlalchemy\ndialect: sqlite+pysqlite"
    )
    source.path.write_text(generic)

    ended = source.run()

    assert [failure["table"] for failure in failures(ended)] == ["main.broken"]
    assert [len(source.loaded(table)) for table in ("shown", "t")] == [3, 3]
