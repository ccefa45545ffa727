"""The stand-in's front end: tokens, names, and the text that PostgreSQL gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.redshift.errors import Refused
from local.redshift.grammar import translate
from local.redshift.lexer import tokens
from local.redshift.names import LongNames, fold
from local.redshift.requests import substituted
from local.redshift.rewrite import literal


def sql(text: str, *, in_block: bool = False) -> str:
    return translate(text, LongNames(), in_block=in_block).sql


@pytest.mark.parametrize(
    ("redshift", "postgresql"),
    [
        ('SELECT "Id" FROM Shop.T -- comment', 'SELECT "id" FROM Shop . "t"'),
        ("SELECT a::SUPER, CAST(b AS VARBYTE) AS super", "SELECT a :: jsonb , CAST ( b AS bytea ) AS super"),
        ("SELECT NVL(a, 'x''y'), SYSDATE", "SELECT COALESCE ( a , 'x''y' ) , sysdate()"),
        ("SELECT DATEADD(day, 1, day)", "SELECT DATEADD ( 'day' , 1 , day )"),
        ("SELECT 1::DECIMAL, 1::DECIMAL(5,2)", "SELECT 1 :: numeric(18, 0) , 1 :: DECIMAL ( 5 , 2 )"),
        ("DELETE shop.t WHERE a = 1;", 'DELETE FROM "shop"."t" WHERE a = 1'),
        ("DROP TABLE IF EXISTS Shop.T, u CASCADE", 'DROP TABLE IF EXISTS "shop"."t", "u" CASCADE'),
        ('GRANT SELECT ON t TO "IAMR:Load"', 'GRANT SELECT ON t TO "IAMR:Load"'),
        ("GRANT ROLE r TO ROLE q", "GRANT r TO q"),
        ('CREATE USER "IAMR:Load" PASSWORD DISABLE', 'CREATE ROLE "IAMR:Load" LOGIN'),
        ("CREATE SCHEMA IF NOT EXISTS S", 'CREATE SCHEMA IF NOT EXISTS "s"'),
        ("VACUUM FULL t", ""),
        ("/* nothing */", ""),
        (
            "CREATE TABLE t (a INT ENCODE ZSTD DISTKEY, b TEXT, c VARBYTE(9), d SUPER) SORTKEY AUTO",
            (
                'CREATE TABLE "t" ("a" integer, "b" varchar(256), '
                '"c" bytea CONSTRAINT "varbyte_9_c" CHECK (octet_length("c") <= 9), "d" jsonb)'
            ),
        ),
        (
            (
                "MERGE INTO s.t USING u AS x ON t.a = x.a AND OCTET_LENGTH(t.a) = OCTET_LENGTH(x.a) "
                'WHEN MATCHED THEN UPDATE SET "B" = x.b, c = GETDATE() '
                "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (x.a, x.b)"
            ),
            (
                'MERGE INTO "s"."t" USING "u" AS "x" ON t . "a" = x . "a" AND OCTET_LENGTH ( t . "a" ) = '
                'OCTET_LENGTH ( x . "a" ) WHEN MATCHED THEN UPDATE SET "b" = x . "b", "c" = GETDATE ( ) '
                'WHEN NOT MATCHED THEN INSERT ("a", "b") VALUES (x . "a" , x . "b")'
            ),
        ),
    ],
)
def test_a_statement_becomes(redshift: str, postgresql: str) -> None:
    assert sql(redshift) == postgresql


def test_a_writer_locks_its_table_first() -> None:
    for text in ("UPDATE s.t SET a = 1", "DELETE FROM s.t"):
        assert translate(text, LongNames(), in_block=True).before == (
            'LOCK TABLE "s"."t" IN SHARE ROW EXCLUSIVE MODE',
        )


def test_a_copy_is_read_into_its_parts() -> None:
    copy = translate(
        "COPY \"S\".\"T\" (\"A\", b) FROM 's3://k/it''s' IAM_ROLE 'arn:aws:iam::123456789012:role/r' "
        "FORMAT AS PARQUET MANIFEST FILLRECORD STATUPDATE OFF",
        LongNames(),
        in_block=True,
    ).copy
    assert copy is not None
    assert (copy.quoted, copy.columns, copy.source) == ('"s"."t"', ("a", "b"), "s3://k/it's")
    assert (copy.manifest, copy.fill_record, copy.serialize_to_json) == (True, True, False)


@pytest.mark.parametrize(
    "text", ["SELECT 'a", 'SELECT "a', "SELECT 1; SELECT 2", "SELECT :a", "SELECT ''' FROM t"]
)
def test_broken_text_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        sql(text)


@given(st.text().filter(lambda text: "\x00" not in text))
def test_a_literal_is_one_token_that_holds_the_text(text: str) -> None:
    (token,) = tokens(literal(text))
    assert token.string == text


@given(st.text(min_size=1))
def test_a_parameter_never_leaves_its_literal(value: str) -> None:
    (text,) = substituted(["SELECT :a"], [{"name": "a", "value": value}])
    assert [token.kind for token in tokens(text)] == ["word", "string"]


@given(st.text(min_size=1, max_size=200))
def test_a_name_is_folded_once_and_for_all(name: str) -> None:
    folded = fold(name)
    assert fold(folded) == folded
    assert len(folded.encode()) <= 127


@given(st.text(alphabet="ab_é", min_size=64, max_size=127))
def test_a_long_name_is_stored_short_and_given_back(name: str) -> None:
    names = LongNames()
    stored = names.stored(fold(name))
    assert len(stored.encode()) <= 63
    assert names.restored(f'relation "{stored}" does not exist') == f'relation "{fold(name)}" does not exist'
    assert names.take_new() == {stored: fold(name)}
    assert names.take_new() == {}
