"""The shared suite on databases that are read through SQLAlchemy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.engines.conftest import HERE
from tests.integration.engines.conftest import OPEN as NATIVE
from tests.integration.engines.generic_engines import ENGINE_OF, EXCLUDED, OPEN
from tests.integration.engines.source import Source, create_every_type
from tests.integration.engines.test_paging import (
    test_a_key_that_holds_null_is_refused,
    test_an_empty_answer_has_no_page,
    test_bounds_are_exclusive_below_and_inclusive_above,
    test_odd_identifiers_are_read,
    test_pages_by_a_composite_text_key_follow_the_columns_collation,
    test_pages_of_every_size_hold_each_row_once_if_the_cursor_ties_at_their_borders,
    test_rows_without_a_cursor_are_read_apart_and_in_pages,
)
from tests.integration.engines.test_reading import (
    test_a_session_outlives_a_page_that_was_read_whole,
)
from tests.integration.engines.test_values import (
    test_a_value_larger_than_a_block_is_refused_like_any_other,
    test_every_type_arrives_as_it_was_written,
    test_every_type_that_can_be_a_key_pages_by_it,
    test_null_and_the_empty_text_stay_apart_in_a_table_of_one_column,
    test_rendered_texts_are_the_positions_of_pages,
    test_rows_of_many_columns_are_read,
    test_what_the_warehouse_cannot_hold_is_refused_by_column_and_without_the_value,
)
from tributary.engines import registry
from tributary.errors import QueryCancelled, TributaryError, UnsupportedType

__all__ = [  # of the shared suite
    "test_a_key_that_holds_null_is_refused",
    "test_a_session_outlives_a_page_that_was_read_whole",
    "test_a_value_larger_than_a_block_is_refused_like_any_other",
    "test_an_empty_answer_has_no_page",
    "test_bounds_are_exclusive_below_and_inclusive_above",
    "test_every_type_arrives_as_it_was_written",
    "test_every_type_that_can_be_a_key_pages_by_it",
    "test_null_and_the_empty_text_stay_apart_in_a_table_of_one_column",
    "test_odd_identifiers_are_read",
    "test_pages_by_a_composite_text_key_follow_the_columns_collation",
    "test_pages_of_every_size_hold_each_row_once_if_the_cursor_ties_at_their_borders",
    "test_rendered_texts_are_the_positions_of_pages",
    "test_rows_of_many_columns_are_read",
    "test_rows_without_a_cursor_are_read_apart_and_in_pages",
    "test_what_the_warehouse_cannot_hold_is_refused_by_column_and_without_the_value",
]
SOAK = "TRIBUTARY_SOAK_SECONDS" in os.environ
WHOLE = ("duckdb", "sqlite by SQLAlchemy")  # the others get a part of the suite, which takes them longer
PART = (
    "test_every_type_that_can_be_a_key_pages_by_it",
    "test_rendered_texts_are_the_positions_of_pages",
    "test_what_the_warehouse_cannot_hold_is_refused_by_column_and_without_the_value",
)
# Tests that a database does not get, with the reason.
LEFT_OUT = {
    ("mysql by SQLAlchemy", "test_odd_identifiers_are_read"): "SQLAlchemy reflects some names wrongly",
    ("mysql by SQLAlchemy", "test_every_type_arrives_as_it_was_written"): "kinds differ: see the next test",
    ("postgresql by SQLAlchemy", "test_every_type_arrives_as_it_was_written"): "see the next test",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each shared test the databases that it runs on."""
    if "source" in metafunc.fixturenames:
        test = metafunc.function.__name__
        names = [name for name in OPEN if (name, test) not in LEFT_OUT]
        names = [name for name in names if SOAK or name in WHOLE or test in PART]
        metafunc.parametrize("source", names, indirect=True)


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database that is read through SQLAlchemy."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name in ENGINE_OF if name in HERE])
def test_both_engines_give_the_same_values_of_every_type(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    with NATIVE[name](request, tmp_path) as native:
        types = create_every_type(native)
        generic = replace(native, engine=registry.get(ENGINE_OF[name]))
        described, same = native.describe("t"), generic.describe("t")
        kept = [column for column in same.columns if types.get(column.name) not in EXCLUDED[name]]
        refused = {types[column.name] for column in same.columns if column not in kept}
        values = native.read(native.query_of(described, order=("id",)))

        read = generic.read(generic.query_of(replace(same, columns=tuple(kept)), order=("id",)))

        for column in kept:
            type = types.get(column.name)
            assert (type, [row[column.name] for row in read]) == (type, [row[column.name] for row in values])
        for column in same.columns:
            if types.get(column.name) in refused:
                with pytest.raises(UnsupportedType):
                    generic.engine.kind(column)
        assert refused == EXCLUDED[name].keys()


def test_a_statement_that_takes_too_long_is_ended(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for number, name in enumerate(OPEN):
        (folder := tmp_path / str(number)).mkdir()
        with OPEN[name](request, folder) as source:
            source.execute(source.facts.slow)
            slow = source.engine.quote(source.schema, "slow")
            with source.session(timeout_s=1) as connection, pytest.raises(QueryCancelled):
                source.engine.ask(connection, f"SELECT count(*) FROM {slow}")


def test_no_session_writes(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for number, name in enumerate(OPEN):
        (folder := tmp_path / str(number)).mkdir()
        with OPEN[name](request, folder) as source:
            source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
            table = source.engine.quote(source.schema, "t")
            with source.session() as connection, pytest.raises(TributaryError):
                source.engine.ask(connection, f"INSERT INTO {table} VALUES (1)")
            assert [int(count) for (count,) in source.execute("SELECT count(*) FROM t")] == [0]


def test_no_message_about_a_login_has_the_password(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for name in ("postgresql", "mysql"):
        if name not in HERE:
            continue
        with NATIVE[name](request, tmp_path) as native:
            engine = registry.get(ENGINE_OF[name])
            url = f"{name}://x:hunter2@{native.secret.host}:{native.secret.port}/none?sslmode=bad"
            for secret in (
                native.secret.model_copy(update={"username": "x", "password": SecretStr("hunter2")}),
                native.secret.model_copy(update={"url": SecretStr(url)}),
                native.secret.model_copy(update={"url": SecretStr("hunter2")}),
                native.secret.model_copy(update={"url": SecretStr("oracle://x:hunter2@y")}),
            ):
                with pytest.raises(TributaryError) as caught:
                    engine.connect(secret, statement_timeout_s=5)
                assert "hunter2" not in str(caught.value)
                assert caught.value.__cause__ is None
