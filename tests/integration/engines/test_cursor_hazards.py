"""What each server's catalog shows of cursors that stay behind, also beneath views and in partitions."""

from __future__ import annotations

from local.databases.postgres import Postgres
from tests.integration.engines.postgresql_servers import database
from tests.integration.engines.source import Source
from tributary.model.source_catalog import TableName

CASCADES = "changes rows by itself, and no trigger is there to move a cursor"


def hazards(source: Source, *tables: str) -> dict[str, list[tuple[str | None, str]]]:
    """Return the column and the reason of each table's hazards."""
    names = [TableName(source.schema, table) for table in tables]
    with source.session() as connection:
        described = source.engine.describe(connection, names)
    return {
        name.table: [(hazard.column, hazard.reason) for hazard in described[name].cursor_hazards]
        for name in names
    }


def test_postgresql_shows_hazards_of_what_a_view_or_a_partition_is_made_of(server: Postgres) -> None:
    with database(server, "hazards") as source:
        for sql in (
            (
                "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN NEW.at := now(); RETURN NEW; END'"
            ),
            "CREATE TABLE parent (id int PRIMARY KEY)",
            (
                "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE SET NULL, v int, "
                "at timestamptz NOT NULL)"
            ),
            "CREATE VIEW over_child AS SELECT id, at FROM child UNION ALL SELECT id, NULL FROM parent",
            "CREATE VIEW over_view WITH (security_barrier) AS SELECT id, at FROM over_child",
            (
                "CREATE TABLE of_other (LIKE child INCLUDING ALL, FOREIGN KEY (p) REFERENCES parent "
                "ON DELETE SET NULL)"
            ),
            "CREATE TRIGGER touched BEFORE UPDATE OF v ON of_other FOR EACH ROW EXECUTE FUNCTION touch()",
            (
                "CREATE TABLE of_key (LIKE child INCLUDING ALL, FOREIGN KEY (p) REFERENCES parent ON DELETE "
                "SET NULL)"
            ),
            "CREATE TRIGGER touched BEFORE UPDATE OF p, v ON of_key FOR EACH ROW EXECUTE FUNCTION touch()",
            "CREATE TABLE replica_only (LIKE child INCLUDING ALL)",
            "CREATE TRIGGER touched BEFORE UPDATE ON replica_only FOR EACH ROW EXECUTE FUNCTION touch()",
            "ALTER TABLE replica_only ENABLE REPLICA TRIGGER touched",
            "CREATE TABLE ranged (id int PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id)",
            "CREATE TABLE ranged_1 PARTITION OF ranged FOR VALUES FROM (0) TO (10)",
            "CREATE TRIGGER touched BEFORE UPDATE ON ranged FOR EACH ROW EXECUTE FUNCTION touch()",
            "ALTER TABLE ranged_1 DISABLE TRIGGER touched",
            "CREATE SEQUENCE blocks CACHE 50",
            "CREATE SEQUENCE down INCREMENT -1",
            "CREATE SEQUENCE plain",
            (
                "CREATE TABLE counted (id bigint PRIMARY KEY DEFAULT nextval('blocks'), "
                "d bigint DEFAULT nextval('down'), e bigint DEFAULT nextval('plain'), f serial)"
            ),
        ):
            source.execute(sql)

        shown = hazards(
            source, "over_child", "over_view", "of_other", "of_key", "replica_only", "ranged", "counted"
        )

    assert shown == {
        "over_child": [(None, f"foreign key child_p_fkey {CASCADES}")],
        "over_view": [(None, f"foreign key child_p_fkey {CASCADES}")],
        "of_other": [(None, f"foreign key of_other_p_fkey {CASCADES}")],
        "of_key": [],
        "replica_only": [(None, "trigger touched is disabled")],
        "ranged": [(None, "trigger touched is disabled")],
        "counted": [
            ("d", "its sequence counts down"),
            ("id", "its sequence gives each session a block of 50 values (CACHE)"),
        ],
    }


def test_mariadb_shows_hazards_of_what_a_view_reads(maria: Source) -> None:
    for sql in (
        "CREATE TABLE parent (id int PRIMARY KEY)",
        (
            "CREATE TABLE child (id int PRIMARY KEY, p int, at datetime NOT NULL "
            "ON UPDATE CURRENT_TIMESTAMP, "
            "CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL)"
        ),
        "CREATE ALGORITHM = MERGE VIEW over_child AS SELECT id, at FROM child",
        (
            "CREATE ALGORITHM = TEMPTABLE VIEW both_of AS SELECT id, at FROM child "
            "UNION ALL SELECT id, NOW() FROM parent"
        ),
        "CREATE VIEW over_parent AS SELECT id FROM parent",
    ):
        maria.execute(sql)

    shown = hazards(maria, "over_child", "both_of", "over_parent")

    reason = "foreign key to_parent of child changes rows by itself, and moves no cursor"
    assert shown == {"over_child": [(None, reason)], "both_of": [(None, reason)], "over_parent": []}
