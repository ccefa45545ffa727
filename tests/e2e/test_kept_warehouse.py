"""A stack is deployed again on the warehouse of a deleted one, with another user and a new bucket."""

from __future__ import annotations

from pathlib import Path

from local.databases.postgres import Postgres
from local.stack import Spawned, spawn
from tributary.redshift import control

from .company import Company, Source
from .written_output import Mailbox, WrittenOutput

LOADER = "IAMR:tributary-WarehouseRole"  # CloudFormation ends a role's name with random letters
TABLES = """tables:
  - {name: orders, mode: merge, cursor: id, overlap: 0}
  - {name: states, mode: replace}
"""


def company(stack: Spawned, postgres: Postgres, directory: Path) -> Company:
    mailbox = Mailbox.open(stack)
    return Company(
        stack, directory / "sources", postgres, None, directory, mailbox, WrittenOutput(stack, mailbox)
    )


def loaded(source: Source) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    return source.loaded("orders", "id"), source.loaded("states", "name")


def test_a_stack_deployed_again_on_a_kept_warehouse_loads_every_row(
    postgres: Postgres, tmp_path: Path
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    with spawn(tmp_path / "stack", sources=sources) as stack:
        old = company(stack, postgres, tmp_path)
        source = old.source("sqlite")
        source.sql(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY)",
            "CREATE TABLE states (name VARCHAR(9) PRIMARY KEY)",
            "INSERT INTO orders VALUES (1), (2)",
            "INSERT INTO states VALUES ('new')",
        )
        source.file(TABLES)
        assert source.run().status == "SUCCEEDED"
        old.warehouse(control.raise_fence(source.name, 7, "20260101_000000"))  # as take-overs leave it
        stack.delete()
        with old.warehouse_server() as server:
            server.run(f'ALTER ROLE "{LOADER}" RENAME TO "{LOADER}-OLD"')

    source.sql("INSERT INTO orders VALUES (3)", "UPDATE states SET name = 'sent'")
    with spawn(tmp_path / "stack", sources=sources) as stack:
        source.company = company(stack, postgres, tmp_path)
        source.put_secret(source.secret())
        ended = source.run()
        assert ended.status == "SUCCEEDED", ended.report
        assert loaded(source) == ([(1,), (2,), (3,)], [("sent",)])
        source.sql("INSERT INTO orders VALUES (4)")
        assert source.run().status == "SUCCEEDED"
        assert loaded(source) == ([(1,), (2,), (3,), (4,)], [("sent",)])
        generations = source.company.warehouse(
            "SELECT DISTINCT generation FROM public.etl_control "
            f"WHERE source_name = '{source.name}' ORDER BY 1"
        )
        assert generations == [(1,), (8,)]
