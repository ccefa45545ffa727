"""SQL that means on the stand-in what it means on Redshift, where PostgreSQL alone would differ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.databases.postgres import Postgres
from tests.integration.redshift_warehouse import Failed, Warehouse, serve
from tributary.redshift import control


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as served:
        served.run("CREATE SCHEMA shop")
        yield served


def test_trailing_blanks_do_not_count_in_comparisons(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.blanks (k VARCHAR(10), n INT)")
    warehouse.run(
        "INSERT INTO shop.blanks VALUES ('a', 1), ('a ', 2), ('b', 3), (' b', 4), ('', 5), ('  ', 6)"
    )
    for sql, rows in {
        "SELECT COUNT(*) FROM shop.blanks WHERE k = 'a  '": [(2,)],
        "SELECT COUNT(DISTINCT k) FROM shop.blanks": [(4,)],
        "SELECT COUNT(*) FROM (SELECT DISTINCT k FROM shop.blanks) AS d": [(4,)],
        "SELECT COUNT(*) FROM shop.blanks GROUP BY k ORDER BY 1 DESC": [(2,), (2,), (1,), (1,)],
        "SELECT COUNT(*) FROM shop.blanks AS x JOIN shop.blanks AS y ON x.k = y.k": [(10,)],
        "SELECT COUNT(*) FROM shop.blanks WHERE k IN ('a', 'x')": [(2,)],
        "SELECT MAX(c) FROM (SELECT COUNT(*) OVER (PARTITION BY k) AS c FROM shop.blanks) AS p": [(2,)],
        "SELECT 'a' = 'a ', 'a' <> 'a ', 'a' < 'a '": [(True, False, False)],
        "SELECT COUNT(*) FROM shop.blanks WHERE LOWER(k) = 'a' AND OCTET_LENGTH(k) = OCTET_LENGTH('a ')": [
            (1,)
        ],
    }.items():
        assert warehouse.run(sql) == rows, sql


def test_trailing_blanks_stay_in_values(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.kept (k VARCHAR(5))", "INSERT INTO shop.kept VALUES ('a  ')")
    assert warehouse.run(
        "SELECT k, LEN(k), OCTET_LENGTH(k), '[' || k || ']', MD5(k) = MD5('a') FROM shop.kept"
    ) == [("a  ", 3, 3, "[a  ]", False)]


def test_a_merge_matches_across_trailing_blanks_unless_told_otherwise(warehouse: Warehouse) -> None:
    warehouse.run(
        "CREATE TABLE shop.target (k VARCHAR(10), v INT)", "CREATE TABLE shop.news (k VARCHAR(10), v INT)"
    )
    warehouse.run("INSERT INTO shop.target VALUES ('a', 1)", "INSERT INTO shop.news VALUES ('a ', 2)")
    plain = "MERGE INTO shop.target USING shop.news ON target.k = news.k"
    exact = f"{plain} AND OCTET_LENGTH(target.k) = OCTET_LENGTH(news.k)"
    rest = (
        "WHEN MATCHED THEN UPDATE SET v = news.v WHEN NOT MATCHED THEN INSERT (k, v) VALUES (news.k, news.v)"
    )
    warehouse.run(f"{exact} {rest}")
    assert warehouse.run("SELECT k, v FROM shop.target ORDER BY v") == [("a", 1), ("a ", 2)]
    assert "Found multiple matches" in warehouse.error(
        "INSERT INTO shop.news VALUES ('a', 3)", f"{plain} {rest}"
    )


def test_a_merge_deletes_or_removes_duplicates(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.t1 (k INT, v INT)", "CREATE TABLE shop.s1 (k INT, v INT)")
    warehouse.run(
        "INSERT INTO shop.t1 VALUES (1, 1), (1, 1), (2, 2)", "INSERT INTO shop.s1 VALUES (1, 10), (3, 30)"
    )
    warehouse.run("MERGE INTO shop.t1 USING shop.s1 AS s ON t1.k = s.k REMOVE DUPLICATES")
    assert warehouse.run("SELECT k, v FROM shop.t1 ORDER BY k") == [(1, 10), (2, 2), (3, 30)]
    warehouse.run(
        "MERGE INTO shop.t1 USING (SELECT k FROM shop.s1) AS s ON t1.k = s.k "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, 0)"
    )
    assert warehouse.run("SELECT k, v FROM shop.t1") == [(2, 2)]


def test_a_null_key_never_matches(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.t2 (k INT, v INT)", "INSERT INTO shop.t2 VALUES (NULL, 1)")
    warehouse.run(
        "MERGE INTO shop.t2 USING (SELECT NULL::INT AS k, 2 AS v) AS s ON t2.k = s.k "
        "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"
    )
    assert warehouse.run("SELECT COUNT(*) FROM shop.t2") == [(2,)]


def test_keys_are_not_enforced(warehouse: Warehouse) -> None:
    warehouse.run(
        "CREATE TABLE shop.keys (a INT PRIMARY KEY, b INT UNIQUE, c INT REFERENCES shop.nowhere (x))"
    )
    warehouse.run("CREATE TABLE shop.keys2 (a INT, b INT, PRIMARY KEY (a, b), UNIQUE (b))")
    warehouse.run(
        "INSERT INTO shop.keys VALUES (1, 1, 9), (1, 1, 9)", "INSERT INTO shop.keys2 VALUES (1, 1), (1, 1)"
    )
    assert warehouse.run("SELECT COUNT(*) FROM shop.keys") == [(2,)]


def test_a_null_in_a_not_null_column_is_refused(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.mandatory (a INT NOT NULL)")
    error = warehouse.error("INSERT INTO shop.mandatory VALUES (NULL)")
    assert "Cannot insert a NULL value into column a" in error
    assert "8007" in error


def test_names_fold_to_lower_case_even_in_quotes(warehouse: Warehouse) -> None:
    warehouse.run('CREATE TABLE "Shop"."Folded" ("Id" INT, "Größe" INT, "ÄB" INT)')
    assert warehouse.run(
        "SELECT column_name FROM svv_columns WHERE table_name = 'folded' ORDER BY ordinal_position"
    ) == [
        ("id",),
        ("größe",),
        ("Äb",),
    ]
    assert 'column "id" specified more than once' in warehouse.error(
        'CREATE TABLE shop.two ("Id" INT, "ID" INT)'
    )


def test_names_may_have_127_bytes_and_are_cut_there(warehouse: Warehouse) -> None:
    table, column = "t" * 127, "é" * 63
    warehouse.run(f'CREATE TABLE shop."{table}cut" ("{column}" INT)')
    warehouse.run(f'INSERT INTO shop."{table}" ({column}) VALUES (1)')
    statement = warehouse.submit(f"SELECT x.{column} FROM shop.{table} AS x")
    label = warehouse.client().get_statement_result(Id=statement["Id"])["ColumnMetadata"][0]["name"]
    assert label == column
    assert warehouse.run("SELECT table_name, column_name FROM svv_columns WHERE table_name LIKE 'ttt%'") == [
        (table, column)
    ]
    assert f'relation "{"u" * 127}" does not exist' in warehouse.error(f"SELECT * FROM {'u' * 130}")


def test_varchar_counts_bytes(warehouse: Warehouse) -> None:
    warehouse.run(
        "CREATE TABLE shop.bytes (v VARCHAR(4))", "INSERT INTO shop.bytes VALUES ('éé'), ('abc   ')"
    )
    assert warehouse.run("SELECT v FROM shop.bytes ORDER BY v") == [("abc ",), ("éé",)]
    for sql in ("INSERT INTO shop.bytes VALUES ('ééé')", "UPDATE shop.bytes SET v = v || 'x'"):
        assert "Value too long for type character varying(4)" in warehouse.error(sql)
    assert warehouse.run("SELECT 'ééé'::VARCHAR(4), CAST('aéé' AS VARCHAR(4))") == [("éé", "aé")]


def test_a_varchar_widens_and_its_values_stay(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.wide (v VARCHAR(3))", "INSERT INTO shop.wide VALUES ('abc')")
    warehouse.run("ALTER TABLE shop.wide ALTER COLUMN v TYPE VARCHAR(6)")
    warehouse.run("INSERT INTO shop.wide VALUES ('ééé')")
    assert "Value too long" in warehouse.error("INSERT INTO shop.wide VALUES ('éééé')")
    assert warehouse.run(
        "SELECT data_type, character_maximum_length FROM svv_columns WHERE table_name = 'wide'"
    ) == [("character varying", 6)]


def test_types_are_named_as_redshift_names_them(warehouse: Warehouse) -> None:
    declared = {
        "a SMALLINT": ("smallint", None, 16, 0),
        "b INT8": ("bigint", None, 64, 0),
        "c DECIMAL(19,4)": ("numeric", None, 19, 4),
        "d DECIMAL": ("numeric", None, 18, 0),
        "e REAL": ("real", None, 24, None),
        "f DOUBLE PRECISION": ("double precision", None, 53, None),
        "g VARCHAR": ("character varying", 256, None, None),
        "h TEXT": ("character varying", 256, None, None),
        "i VARCHAR(MAX)": ("character varying", 65535, None, None),
        "j VARBYTE": ("binary varying", None, None, None),
        "k VARBYTE(20)": ("binary varying", None, None, None),
        "l SUPER": ("super", None, None, None),
        "m TIMESTAMP": ("timestamp without time zone", None, None, None),
        "n TIMESTAMP WITH TIME ZONE": ("timestamp with time zone", None, None, None),
        "o BOOL": ("boolean", None, None, None),
        "p DATE": ("date", None, None, None),
        "q CHAR(3)": ("character", 3, None, None),
    }
    warehouse.run(f"CREATE TABLE shop.types ({', '.join(declared)})")
    assert warehouse.run(
        "SELECT data_type, character_maximum_length, numeric_precision, numeric_scale FROM svv_columns "
        "WHERE table_schema = 'shop' AND table_name = 'types' ORDER BY ordinal_position"
    ) == list(declared.values())


def test_the_catalog_tables_show_full_names_and_redshifts_types(warehouse: Warehouse) -> None:
    long = "x" * 100
    declared = {
        "a DECIMAL(19,4)": "numeric(19,4)",
        "b VARCHAR(20)": "character varying(20)",
        "c VARCHAR": "character varying(256)",
        "d VARBYTE(20)": "binary varying",
        "e SUPER": "super",
        "f TIMESTAMP": "timestamp without time zone",
    }
    warehouse.run("CREATE SCHEMA catalog", f"CREATE TABLE catalog.{long} ({', '.join(declared)})")
    rows = warehouse.run(control.columns(["catalog"]))
    assert [row[:4] for row in rows] == [("catalog", long, name[0], type) for name, type in declared.items()]


def test_a_table_takes_redshifts_attributes(warehouse: Warehouse) -> None:
    warehouse.run(
        "CREATE TABLE IF NOT EXISTS shop.placed (a INT ENCODE AZ64 DISTKEY, b INT SORTKEY, "
        "c BIGINT IDENTITY(5, 2), d INT GENERATED BY DEFAULT AS IDENTITY(1, 1), e INT DEFAULT 1 + 2 NOT NULL)"
        " BACKUP NO DISTSTYLE KEY COMPOUND SORTKEY (a, b) ENCODE AUTO"
    )
    warehouse.run("CREATE TABLE shop.automatic (a INT) DISTSTYLE AUTO SORTKEY AUTO")
    warehouse.run("INSERT INTO shop.placed (a) VALUES (1), (2)")
    assert warehouse.run("SELECT c, d, e FROM shop.placed ORDER BY c") == [(5, 1, 3), (7, 2, 3)]
    assert "cannot set an identity column to a value" in warehouse.error(
        "INSERT INTO shop.placed (c) VALUES (1)"
    )
    for change in (
        "ALTER DISTSTYLE ALL",
        "ALTER SORTKEY (a)",
        "ALTER COLUMN a ENCODE ZSTD",
        "ADD PRIMARY KEY (a)",
    ):
        warehouse.run(f"ALTER TABLE shop.placed {change}")


def test_tables_come_from_tables_and_queries(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.parent (a INT NOT NULL, b VARCHAR(3) DEFAULT 'x', c VARBYTE(2))")
    assert warehouse.run(
        "CREATE TEMP TABLE child (LIKE shop.parent INCLUDING DEFAULTS)",
        "INSERT INTO child (a) VALUES (1)",
        "CREATE TEMP TABLE grandchild AS (SELECT a + 1 AS a, b FROM child)",
        "SELECT * FROM grandchild",
    ) == [(2, "x")]
    warehouse.run("CREATE TABLE shop.ctas DISTSTYLE EVEN SORTKEY (a) AS SELECT a FROM shop.parent")
    assert "Cannot insert a NULL" in warehouse.error("INSERT INTO shop.parent (b) VALUES ('y')")


def test_tables_change_one_thing_at_a_time(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.changing (a INT)", "INSERT INTO shop.changing VALUES (1)")
    warehouse.run(
        "ALTER TABLE shop.changing ADD COLUMN b VARCHAR(5) DEFAULT 'x' NOT NULL",
        "ALTER TABLE shop.changing ADD c DECIMAL(5,2)",
        "ALTER TABLE shop.changing RENAME COLUMN c TO d",
        "ALTER TABLE shop.changing DROP COLUMN a",
        "ALTER TABLE shop.changing RENAME TO changed",
    )
    assert warehouse.run("SELECT * FROM shop.changed") == [("x", None)]
    assert "does not exist" in warehouse.error("SELECT * FROM shop.changing")


def test_a_delete_by_a_subquery_keeps_the_row_read_last_and_using_takes_tables_only(
    warehouse: Warehouse,
) -> None:
    warehouse.run(
        'CREATE TABLE shop.x ("id" INT, "_seq" BIGINT)', "INSERT INTO shop.x VALUES (1, 1), (1, 2), (2, 3)"
    )
    warehouse.run(
        'DELETE FROM "shop"."x" WHERE "_seq" IN (SELECT x."_seq" FROM "shop"."x" AS x JOIN (SELECT "id", '
        'MAX("_seq") AS newest FROM "shop"."x" GROUP BY "id") AS repeated ON x."id" = repeated."id" '
        'WHERE x."_seq" < repeated.newest)'
    )
    assert warehouse.run("SELECT id, _seq FROM shop.x ORDER BY id") == [(1, 2), (2, 3)]
    by_query = "DELETE FROM shop.x USING (SELECT 1 AS id) AS other WHERE x.id = other.id"
    assert 'syntax error at or near "("' in warehouse.error(by_query)


def test_a_late_binding_view_outlives_its_table(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.base (a INT)", "INSERT INTO shop.base VALUES (1)")
    warehouse.run("CREATE OR REPLACE VIEW shop.late AS SELECT a FROM shop.base WITH NO SCHEMA BINDING")
    warehouse.run("CREATE VIEW shop.bound AS SELECT a FROM shop.base")
    assert warehouse.run("SELECT a FROM shop.late") == [(1,)]
    assert "other objects depend on it" in warehouse.error("DROP TABLE shop.base")
    warehouse.run("DROP VIEW shop.bound")
    warehouse.run("DROP TABLE shop.base")
    assert "does not exist" in warehouse.error("SELECT a FROM shop.late")
    warehouse.run("CREATE TABLE shop.base (a VARCHAR(5))", "INSERT INTO shop.base VALUES ('new')")
    assert warehouse.run("SELECT a FROM shop.late") == [("new",)]
    warehouse.run("DROP VIEW shop.late")
    assert "does not exist" in warehouse.error("SELECT a FROM shop.late")


def test_transactions_that_find_a_late_binding_view_whole_again_do_not_meet(
    postgres: Postgres, warehouse: Warehouse
) -> None:
    warehouse.run("CREATE TABLE shop.gone (a INT)")
    warehouse.run("CREATE VIEW shop.seen AS SELECT a FROM shop.gone WITH NO SCHEMA BINDING")
    warehouse.run("DROP TABLE shop.gone")
    first = postgres.connect(warehouse.api.database)
    first.run("CREATE TABLE shop.gone (a int)")
    first.run("BEGIN")
    first.run("SELECT stand_in.restore_late_views()")
    with ThreadPoolExecutor(1) as second:
        other = second.submit(warehouse.run, "CREATE TABLE shop.other (a INT)")  # which waits for the view
        waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
        while first.run(waiting) == [[0]]:
            assert not other.done()
            time.sleep(0.01)
        first.run("COMMIT")
        other.result()
    first.close()
    assert warehouse.run("SELECT a FROM shop.seen") == []


def test_functions_of_redshift_are_there(warehouse: Warehouse) -> None:
    for sql, value in {
        "SELECT LEN('é ')": 2,
        "SELECT NVL(NULL, 2)": 2,
        "SELECT STRTOL('ff', 16)": 255,
        "SELECT SHA2('a', 256)": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        'SELECT JSON_SERIALIZE(JSON_PARSE(\'{"a": [1, "x y"]}\'))': '{"a":[1,"x y"]}',
        "SELECT CAN_JSON_PARSE('{')": False,
        "SELECT DATEADD(day, 1, '2026-02-28'::TIMESTAMP)": "2026-03-01 00:00:00",
        "SELECT DATEDIFF(hour, '2026-01-01 00:59:00', '2026-01-01 02:01:00')": 2,
        "SELECT CONVERT_TIMEZONE('UTC', 'Asia/Tokyo', '2026-07-01 00:00'::TIMESTAMP)": "2026-07-01 09:00:00",
        "SELECT 7 / 2": 3,
        "SELECT 'a\\\\b' || CHR(92)": "a\\b\\",
        "SELECT SYSDATE <= SYSDATE AND GETDATE() <= SYSDATE": True,
        "SELECT DATE_TRUNC('second', GETDATE()) = GETDATE()": True,
    }.items():
        assert warehouse.run(sql) == [(value,)], sql
    assert "invalid input syntax" in warehouse.error("SELECT JSON_PARSE('{')")


def test_json_parse_refuses_what_a_super_does_not_hold(warehouse: Warehouse) -> None:
    twice = """SELECT JSON_PARSE('{"a": [{"b": 1, "b": 2}]}')"""
    assert "Duplicate attribute names" in warehouse.error(twice)
    text = f'"[{"[" * 2000}"'
    for depth, outcome in ((1000, None), (1001, "maximum nesting depth of 1000")):
        sql = f"SELECT JSON_TYPEOF(JSON_PARSE('{'[' * (depth - 1)}[{text}]{']' * (depth - 1)}'))"
        if outcome:
            assert outcome in warehouse.error(sql)
        else:
            assert warehouse.run(sql) == [("array",)]
    assert warehouse.run("""SELECT JSON_SERIALIZE(JSON_PARSE('{"a": {"b": 1}, "b": 2}'))""") == [
        ('{"a":{"b":1},"b":2}',)
    ]


def test_rights_are_what_was_granted(warehouse: Warehouse) -> None:
    user = '"IAMR:Loader"'
    warehouse.run("SELECT 1", role="Loader")
    warehouse.run("CREATE SCHEMA granted", "CREATE TABLE granted.t (a INT)")
    warehouse.run(
        f"GRANT CREATE ON DATABASE {warehouse.api.database} TO {user}",
        f"GRANT USAGE, CREATE ON SCHEMA granted TO {user}",
        f"GRANT SELECT, INSERT ON granted.t TO {user}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA granted TO {user}",
    )
    warehouse.run("CREATE SCHEMA IF NOT EXISTS own", "CREATE TABLE own.t (a INT)", role="Loader")
    warehouse.run("INSERT INTO granted.t VALUES (1)", role="Loader")
    assert "permission denied for relation t" in warehouse.error("DELETE FROM granted.t", role="Loader")
    assert warehouse.run(
        "SELECT table_schema FROM svv_tables WHERE table_name = 't' ORDER BY 1", role="Loader"
    ) == [
        ("granted",),
        ("own",),
    ]
    warehouse.run(f"REVOKE ALL ON granted.t FROM {user}")
    with pytest.raises(Failed, match="permission denied"):
        warehouse.run("SELECT * FROM granted.t", role="Loader")


def test_a_user_is_created_before_its_first_call(warehouse: Warehouse) -> None:
    warehouse.run('CREATE USER "IAMR:early" PASSWORD DISABLE')
    assert warehouse.run("SELECT current_user", role="early") == [("IAMR:early",)]
    assert 'user "IAMR:early" already exists' in warehouse.error('CREATE USER "IAMR:early" PASSWORD DISABLE')
    assert warehouse.run("SELECT usename FROM pg_user WHERE usename = 'IAMR:early'") == [("IAMR:early",)]
    assert 'user "never" does not exist' in warehouse.error("GRANT USAGE ON SCHEMA shop TO never")
