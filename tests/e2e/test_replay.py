"""Tables replayed from the raw layer: the same rows as before, without a connection to their source."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from .company import Company, Row, Source
from .compare import SERVERS, STAMP, failures, full_name
from .warehouse_catalog import is_masked

STAMPED = ("merge", "append", "history")
TABLES = (*STAMPED, "snapshots", "replaced", "images")
DAY = "2026-01-0{} 10:00:00"
OUT_OF_REACH = {"host": "127.0.0.1", "port": 1, "username": "nobody", "password": "", "dbname": "none"}


def lived(company: Company, engine: str, tables: Sequence[str]) -> Source:
    """Return a source with a table of each mode that runs have loaded, changed and widened."""
    source = company.source(engine)
    for table in tables:
        source.sql(
            f"CREATE TABLE {table} (id varchar(9) PRIMARY KEY, note int, at {STAMP[engine]} NOT NULL)",
            *(f"INSERT INTO {table} VALUES ('{key}', 1, '{DAY.format(1)}')" for key in "abcd"),
        )
    common = "cursor_time_zone: UTC, page_rows: 2, may_vanish: 100%"
    modes = {name: f"mode: {name}, cursor: at" for name in STAMPED}
    modes |= {"snapshots": "mode: append, append: snapshots", "replaced": "mode: replace"}
    modes |= {"images": "mode: history, columns: {exclude: [at]}"}
    for table in ("merge", tables[-1]):  # one that exists when it is replayed, and one that is missing
        modes[table] += ", access: {mask: {note: 'null'}}"
    listed = ", ".join(
        f"{{name: {full_name(source, table)}, {mode}, {common}}}"
        for table, mode in modes.items()
        if table in tables
    )
    source.file(f"tables: [{listed}]")
    whole = {"tables": [full_name(source, table) for table in ("merge", "append")], "full_refresh": True}
    for number, fields in enumerate(({}, {}, whole, {}), start=2):
        ended = source.run(**fields)
        assert ended.status == "SUCCEEDED", failures(ended)
        for table in tables:
            day = DAY.format(number)
            source.sql(
                f"UPDATE {table} SET note = {number}, at = '{day}' WHERE id IN ('a', 'd')",
                f"INSERT INTO {table} (id, note, at) VALUES ('n{number}', NULL, '{day}')",
            )
        if number == 3:
            for table in tables:
                source.sql(f"DELETE FROM {table} WHERE id = 'b'")
        if number == 4:
            source.sql("ALTER TABLE merge ADD COLUMN more varchar(20)", "UPDATE merge SET more = 'more'")
            source.sql("ALTER TABLE history ADD COLUMN more varchar(20)")
            word = {"postgresql": "ALTER note TYPE", "mysql": "MODIFY note"}[engine]
            source.sql(f"ALTER TABLE merge {word} bigint")
    window = {"from": DAY.format(2), "to": DAY.format(4)}
    source.sql(f"INSERT INTO append VALUES ('late', 7, '{DAY.format(3)}')")
    assert source.run(tables=[full_name(source, "append")], **window).status == "SUCCEEDED"
    return source


def rows(source: Source, tables: Sequence[str] = TABLES) -> dict[str, list[Row]]:
    """Return all rows of the tables, except when they were loaded."""
    own = {"history": ", valid_from, valid_to, is_current, row_digest, more", "merge": ", more"}
    own["images"] = ", valid_from, valid_to, is_current, row_digest"
    return {
        table: sorted(source.loaded(table, f"id, note, source_system, run_id{own.get(table, '')}"), key=repr)
        for table in tables
    }


def control(source: Source, table: str) -> Row:
    """Return what the newest control row says of how far a table is."""
    [*_, newest] = source.company.warehouse(
        "SELECT mode, target_table, cursor_column, watermark, key_columns, unread_columns, columns_digest, "
        f"asked_for FROM public.etl_control WHERE source_name = '{source.name}' "
        f"AND table_name = '{full_name(source, table)}' ORDER BY generation, run_id"
    )
    return newest


def changed(source: Source) -> list[Row]:
    """Return what the warehouse says of columns that changed, and the table's number."""
    changes = f"SELECT * FROM public.etl_schema_change WHERE source_name = '{source.name}'"
    number = f"SELECT '\"{source.name}\".merge'::regclass::oid"
    return [*source.company.warehouse(changes), *source.company.warehouse(number)]


def wreck(source: Source, tables: Sequence[str]) -> None:
    """Spoil the tables in the warehouse: rows gone, changed and invented, and the last table dropped."""
    name = f'"{source.name}"'
    source.company.warehouse(f"DELETE FROM {name}.merge WHERE id = 'a'")
    source.company.warehouse(f"UPDATE {name}.append SET note = 99")
    source.company.warehouse(f"INSERT INTO {name}.history (id, note) VALUES ('invented', 1)")
    source.company.warehouse(f"DROP TABLE {name}.{tables[-1]}")


def age_documents(source: Source) -> None:
    """Make the runs' documents ones of another version, which knew a field that this one does not."""
    company = source.company
    bucket, s3 = company.stack.outputs["RawBucketName"], company.client("s3")
    for key in company.keys(f"_runs/{source.name}/"):
        if not key.endswith(("/load.json", "/report.json")):
            older = {**company.document(key), "format": 99, "of_another_version": [1]}
            s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(older))


def rebuilt(company: Company, engine: str, tables: Sequence[str]) -> Source:
    """Return a source whose tables were damaged and replayed while the source was out of reach."""
    source = lived(company, engine, tables)
    before, stood = rows(source, tables), {table: control(source, table) for table in tables}
    company.wait_until(lambda: is_masked(source, "merge"))
    form = changed(source)
    wreck(source, tables)
    age_documents(source)
    source.put_secret(OUT_OF_REACH)

    ended = source.run(replay=True)

    assert ended.status == "SUCCEEDED", failures(ended)
    assert rows(source, tables) == before
    assert changed(source) == form
    assert is_masked(source, "merge")
    company.wait_until(lambda: is_masked(source, tables[-1]))
    for table in tables:
        assert control(source, table) == (*stood[table][:-1], "replay")
    notes = {table: ended.table(full_name(source, table))["notes"][0] for table in tables}
    runs = {"merge": 2, "append": 3, "history": 3, "snapshots": 3, "replaced": 1, "images": 3}
    assert {table: int(note.split()[2]) for table, note in notes.items()} == {
        table: runs[table] for table in tables
    }
    return source


@pytest.mark.parametrize("engine", [engine for engine in SERVERS if engine != "postgresql"])
def test_a_replay_asks_nothing_of_a_server_of_any_kind(company: Company, engine: str) -> None:
    rebuilt(company, engine, STAMPED)


def test_a_replay_makes_the_same_rows_and_refuses_what_is_no_longer_whole(company: Company) -> None:
    source = rebuilt(company, "postgresql", TABLES)
    unreachable = source.run().report
    assert unreachable is not None
    assert unreachable["failure"]["error"] == "SourceUnavailable"

    source.put_secret(source.secret())
    usual = source.run(tables=[full_name(source, table) for table in STAMPED])
    assert [usual.table(full_name(source, table))["rows_read"] for table in STAMPED] == [3, 3, 3]
    then = rows(source)

    messages = spoil_the_raw_layer(source)
    source.put_secret(OUT_OF_REACH)
    refused = source.run(replay=True)
    assert refused.report is not None
    failures_of = {
        one["table"]: one["failure"] for one in refused.report["tables"] if one["status"] == "failed"
    }
    assert failures_of.keys() == messages.keys()
    for table, failure in failures_of.items():
        assert messages[table] in failure["message"], failure
        assert failure["error"] == ("ImageRefused" if table.endswith(".replaced") else "ReplayRefused")
    assert refused.table(full_name(source, "append"))["status"] == "loaded"
    assert rows(source, ["append", "history"]) == {name: then[name] for name in ("append", "history")}
    assert refused.report["paused"] == []
    unknown = source.run(replay=True, tables=["never"]).report
    assert unknown is not None
    assert unknown["failure"]["message"].endswith("has no row in etl_control: it was never loaded")
    left = source.company.warehouse("SELECT table_name FROM svv_tables WHERE table_schema = 'etl_staging'")
    assert [name for (name,) in left if f"{source.name}__" in name] == []


def spoil_the_raw_layer(source: Source) -> dict[str, str]:
    """Take away what a lifecycle would, and more; return what the replay must say, by table."""
    company, names = source.company, {table: full_name(source, table) for table in TABLES}
    bucket, s3 = company.stack.outputs["RawBucketName"], company.client("s3")
    first = {table: source.control(names[table])[0]["run_id"] for table in TABLES}
    chunk = next(key for key in company.keys(f"{source.name}/") if "/history/" in key)
    s3.delete_object(Bucket=bucket, Key=chunk)
    for key in company.keys(f"_runs/{source.name}/{first['images']}/results/"):
        if company.document(key)["table"] == names["images"]:
            s3.delete_object(Bucket=bucket, Key=key)
    company.warehouse(
        f"DELETE FROM public.etl_control WHERE run_id = '{first['snapshots']}' "
        f"AND source_name = '{source.name}' AND table_name = '{names['snapshots']}'"
    )
    for _ in range(7):  # a replay, like every full load, may remove 100 rows whatever share they are
        company.warehouse(f'INSERT INTO "{source.name}".replaced SELECT * FROM "{source.name}".replaced')
    company.warehouse(f'ALTER TABLE "{source.name}".merge RENAME COLUMN note TO old_note')
    company.warehouse(f'ALTER TABLE "{source.name}".merge ADD COLUMN note DATE')
    return {
        names["history"]: f"1 of 2 chunks of run {first['history']} are missing in the raw layer, and",
        names["images"]: f"no longer shows what run {first['images']} read",
        names["snapshots"]: "no run in etl_control read the whole table, so its first rows are unknown",
        names["replaced"]: "the replay would remove too many (may_vanish allows 50%)",
        names["merge"]: 'column "note" was INTEGER in run ',
    }


WIDENINGS = {  # of a column's type, with a value of the narrow type
    "bigger": ("int", "bigint", "7"),
    "decimal": ("int", "numeric(12,2)", "7"),
    "floating": ("int", "double precision", "7"),
    "as_text": ("int", "varchar(40)", "7"),
    "decimal_text": ("numeric(10,2)", "varchar(40)", "7.50"),
    "integral": ("numeric(9,0)", "bigint", "7"),
    "digits": ("numeric(10,2)", "numeric(14,4)", "7.50"),
    "precise": ("real", "double precision", "7.5"),
    "time": ("date", "timestamp", "'2026-01-02'"),
    "longer": ("varchar(5)", "varchar(40)", "'seven'"),
}


def test_a_table_whose_column_was_widened_in_any_way_is_replayed_with_the_same_rows(company: Company) -> None:
    source = company.source("postgresql")
    for name, (narrow, _, value) in WIDENINGS.items():
        source.sql(
            f"CREATE TABLE {name} (id int PRIMARY KEY, v {narrow}, at timestamptz NOT NULL DEFAULT now())",
            f"INSERT INTO {name} VALUES (1, {value}), (2, NULL)",
        )
    source.file("tables: [{include: 'public.*', mode: merge, cursor: at}]")
    assert source.run().status == "SUCCEEDED"
    for name, (_, wide, value) in WIDENINGS.items():
        source.sql(f"ALTER TABLE {name} ALTER v TYPE {wide}", f"INSERT INTO {name} VALUES (3, {value})")
    assert source.run().status == "SUCCEEDED"
    before = {name: sorted(source.loaded(name, "id, v")) for name in WIDENINGS}
    assert all(len(of_table) == 3 for of_table in before.values())
    for name in WIDENINGS:
        company.warehouse(f'DELETE FROM "{source.name}".{name}')

    ended = source.run(replay=True)

    assert ended.status == "SUCCEEDED", failures(ended)
    assert {name: sorted(source.loaded(name, "id, v")) for name in WIDENINGS} == before
