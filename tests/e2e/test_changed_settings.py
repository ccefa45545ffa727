"""Tables that were loaded, and whose file says another mode, key or cursor since."""

from __future__ import annotations

from .company import Company, Row, Source
from .compare import only_table

TABLE = "public.lines"
PAST = "now() - interval '2 hours'"


def configure(source: Source, settings: str) -> None:
    source.file(f"tables: [{{name: lines, {settings}}}]")


def rows(source: Source) -> list[Row]:
    return source.loaded("lines", "region, number, note", order="1, 2, 3")


def test_another_key_mode_or_cursor_does_what_is_exact_or_says_what_to_do(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE lines (region text NOT NULL, number int NOT NULL, note text, "
        f"at timestamptz NOT NULL DEFAULT {PAST}, made timestamptz NOT NULL DEFAULT {PAST})",
        "INSERT INTO lines VALUES ('eu', 1, 'a'), ('us', 2, 'b')",
    )
    configure(source, "mode: merge, cursor: at, key: number")
    only_table(source.run())

    source.sql("UPDATE lines SET region = 'as' WHERE number = 1", "INSERT INTO lines VALUES ('us', 1, 'c')")
    configure(source, "mode: merge, cursor: at, key: [region, number]")
    table_report = only_table(source.run())
    assert (
        "key of public.lines was number and is now region, number: the whole table is read and replaced"
    ) in table_report["notes"]
    now = [("as", 1, "a"), ("us", 1, "c"), ("us", 2, "b")]
    assert rows(source) == now

    configure(source, "mode: append, cursor: at, key: [region, number]")
    assert "mode of public.lines was merge and is now append" in " ".join(only_table(source.run())["notes"])
    assert rows(source) == now
    source.sql(f"UPDATE lines SET note = 'd', at = {PAST} WHERE region = 'as'")
    only_table(source.run())
    assert rows(source) == [("as", 1, "a"), ("as", 1, "d"), *now[1:]]

    configure(source, "mode: append, cursor: made, key: [region, number]")
    refused = source.run().table(TABLE)["failure"]
    assert 'cursor of public.lines was "at" and is now "made"' in refused["message"]
    assert '"full_refresh": true' in refused["message"]

    source.sql("DELETE FROM lines WHERE number = 2")
    configure(source, "mode: merge, cursor: made, key: [region, number]")
    assert only_table(source.run())["whole"] is True
    assert rows(source) == [("as", 1, "d"), *now[1:]]  # what was appended twice is one row, and none is lost
    assert source.control(TABLE)[-1]["cursor_column"] == "made"
