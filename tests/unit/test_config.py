from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from tributary.config import loader
from tributary.config.models import Columns, Source, TableEntry, TableSettings
from tributary.config.schedule import Schedule
from tributary.errors import ConfigError
from tributary.model.engine_names import NAMES

MINIMAL = "engine: postgresql\nsecret: tributary/shop\n"
ENGINE_CHOICES = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"
TABLES = "tables: [{name: public.orders}]\n"


def read(directory: Path, text: str, name: str = "shop.yaml") -> Source:
    path = directory / name
    path.write_text(dedent(text), "utf-8")
    return loader.load(path)


def faults(directory: Path, text: str, name: str = "shop.yaml") -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(directory, text, name)
    return str(refused.value).splitlines()


def fault(directory: Path, text: str) -> str:
    """Return the only fault of a source that has this text in addition to engine and secret (lines 1, 2)."""
    (message,) = faults(directory, MINIMAL + text)
    return message


class TestFile:
    def test_says_where_when_and_what(self, tmp_path: Path) -> None:
        text = """\
            engine: postgresql
            secret: tributary/shop
            schedule: {cron: "0 7 * * ? *", timezone: Europe/Madrid, window: 15 minutes}
            max_connections: 8
            target_schema: Web_Shop
            statement_timeout: 90 seconds
            defaults: {mode: merge, cursor: updated_at, overlap: 1 hour 30 minutes}
            tables:
              - name: public.orders
                cursor_time_zone: +01:00
                key: [region, id]
                columns: {exclude: [card_number]}
                nulls: include
                on_new_column: "null"
                page_rows: 5000
              - name: public.countries
                mode: replace
                columns: [code, name]
                key: code
                overlap: 1000
              - include: public.*
                exclude: [public.audit_*]
            notify: all
            pause_after: 5
            """
        assert read(tmp_path, text) == Source(
            name="shop",
            engine="postgresql",
            secret="tributary/shop",
            schedule=Schedule(cron="0 7 * * ? *", timezone="Europe/Madrid", window=timedelta(minutes=15)),
            max_connections=8,
            target_schema="web_shop",
            statement_timeout=timedelta(seconds=90),
            defaults=TableSettings(mode="merge", cursor="updated_at", overlap=timedelta(minutes=90)),
            tables=(
                TableEntry(
                    name="public.orders",
                    cursor_time_zone="+01:00",
                    key=("region", "id"),
                    columns=Columns(exclude=("card_number",)),
                    nulls="include",
                    on_new_column="null",
                    page_rows=5000,
                ),
                TableEntry(
                    name="public.countries",
                    mode="replace",
                    columns=Columns(take=("code", "name")),
                    key=("code",),
                    overlap=1000,
                ),
                TableEntry(include="public.*", exclude=("public.audit_*",)),
            ),
            notify="all",
            pause_after=5,
        )

    def test_needs_only_engine_secret_and_tables(self, tmp_path: Path) -> None:
        source = read(tmp_path, MINIMAL + TABLES, "web-shop_2.yaml")
        assert source.model_dump() == {
            "name": "web-shop_2",
            "engine": "postgresql",
            "dialect": None,
            "secret": "tributary/shop",
            "host": None,
            "port": None,
            "dbname": None,
            "schedule": None,
            "max_connections": 4,
            "target_schema": "web_shop_2",
            "statement_timeout": timedelta(minutes=5),
            "rows": "all",
            "defaults": TableSettings().model_dump(),
            "tables": (TableEntry(name="public.orders").model_dump(),),
            "notify": "failures",
            "pause_after": 3,
        }
        assert source.statement_timeout_s == 300

    def test_may_share_parts_by_anchors(self, tmp_path: Path) -> None:
        text = """\
            defaults: &daily {mode: replace, page_rows: 10}
            tables:
              - {<<: *daily, name: a, page_rows: 20}
              - name: b
                exclude: &none []
              - {include: "c_*", exclude: *none}
            """
        first = read(tmp_path, MINIMAL + dedent(text)).tables[0]
        assert first == TableEntry(name="a", mode="replace", page_rows=20)

    def test_may_begin_with_a_byte_order_mark(self, tmp_path: Path) -> None:
        assert read(tmp_path, "\ufeff" + MINIMAL + TABLES).engine == "postgresql"


class TestFaults:
    def test_are_all_named_by_line_and_field(self, tmp_path: Path) -> None:
        text = """\
            engine: mssql
            sekret: x
            max_connections: 0
            tables:
              - name: public.orders
                mode: merg
              - name: no
            """
        assert faults(tmp_path, text) == [
            'shop.yaml, line 1, engine: "mssql" is not an engine; use ' + ENGINE_CHOICES,
            'shop.yaml, line 1, secret: is missing; write the name of a secret, such as "tributary/shop"',
            'shop.yaml, line 2, sekret: unknown key "sekret"; did you mean "secret"?',
            "shop.yaml, line 3, max_connections: 0 is not valid here; write a whole number from 1 to 1000",
            'shop.yaml, line 6, tables[0].mode: "merg" is not a mode; use merge, append, replace or history',
            'shop.yaml, line 7, tables[1].name: no is read as true or false; write "no" in quotes',
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("tabels: []", 'line 3, tabels: unknown key "tabels"; did you mean "tables"?'),
            (
                "xyz: 1",
                'line 3, xyz: unknown key "xyz"; use engine, dialect, secret, host, port, dbname, schedule',
            ),
            ("mode: merge", 'line 3, mode: "mode" belongs to tables; write it under defaults'),
            ("name: shop", "line 3, name: the file's name is the source's name; remove this line"),
            ("engine: mysql", 'line 3, engine: the key "engine" is here again, first on line 1'),
            ("on: x", 'line 3: the key on is not read as text; write "on" in quotes'),
            ("n: x", 'line 3: the key n is not read as text; write "n" in quotes'),
            ("2024: x", 'line 3: the key 2024 is not read as text; write "2024" in quotes'),
            ("? [a]\n: b", "line 3: a key is a plain word; write key: value"),
            ("schedule: hourly", 'line 3, schedule: "hourly" is not a schedule; write rate(1 hour)'),
            ("schedule: {crom: x}", 'line 3, schedule.crom: unknown key "crom"; did you mean "cron"?'),
            ('schedule: {cron: "0 7 * * * *"}', "line 3, schedule.cron: write ? for exactly one of"),
            ('max_connections: "4"', 'line 3, max_connections: "4" in quotes is a text; write 4'),
            ("max_connections: true", "line 3, max_connections: true is not valid here; write a whole"),
            ("max_connections: 1.5", "line 3, max_connections: 1.5 is a number that may be misread"),
            ("max_connections: 010", "line 3, max_connections: 010 is a number that may be misread"),
            ("pause_after: 0", "line 3, pause_after: 0 is not valid here; write a whole number from 1"),
            ("pause_after:", "line 3, pause_after: is empty; write a value, or remove the line"),
            (
                "defaults: {may_vanish: 101%}",
                "line 3, defaults.may_vanish: 101% is not a share; write 0% to 100%",
            ),
            (
                "defaults: {may_vanish: 50}",
                "line 3, defaults.may_vanish: 50 is not a share; write 0% to 100%",
            ),
            ("defaults: {target: a.b}", '"target" belongs to an entry of tables; defaults are for all'),
            ("target_schema: pg_shop", 'line 3, target_schema: "pg_shop" belongs to the warehouse'),
            ("target_schema: 2024", 'line 3, target_schema: 2024 is not read as text; write "2024"'),
            ("statement_timeout: 5m", 'line 3, statement_timeout: "5m" is not a duration; write a number'),
            ("statement_timeout: 60", "line 3, statement_timeout: a duration needs its unit; write"),
            ("statement_timeout: 1 hour", "line 3, statement_timeout: a statement's time-out is 1 second"),
            ("statement_timeout: 99999999 days", "is longer than 3660 days; write a shorter duration"),
            (
                "notify: hardly-ever",
                'line 3, notify: "hardly-ever" is not a choice of notifications; use failures or all',
            ),
            ("defaults: merge", 'line 3, defaults: "merge" is not valid here; write settings for every'),
            ("defaults: {name: a}", 'line 3, defaults.name: "name" belongs to an entry of tables'),
            ("defaults: {cursor: ''}", "line 3, defaults.cursor: is empty; write the name of a column"),
            ("defaults: {key: []}", "line 3, defaults.key: is empty; write the name of a column, or a list"),
            ("defaults: {key: [a, b, a]}", 'line 3, defaults.key: "a" is in the list twice'),
            ("defaults: {columns: {exclud: a}}", 'unknown key "exclud"; did you mean "exclude"?'),
            ("defaults: {columns: 3}", "line 3, defaults.columns: 3 is not valid here; write a list of"),
            ("defaults: {overlap: -1}", "line 3, defaults.overlap: -1 is not an overlap; write a duration"),
            ('defaults: {comments: "yes"}', 'comments: "yes" is not valid here; write true or false'),
            ("defaults: {encode: {a: gzip}}", 'encode.a: "gzip" is not a choice; use raw, az64, lzo or zstd'),
            ("defaults: {sortkey: [a, a]}", 'sortkey: "a" is in the list twice; keep it once'),
            ("defaults: {access: some}", 'access: "some" is not an access; write none, or what may be seen'),
            ("defaults: {access: [a]}", "access: a list is not valid here; write none, or what analysts"),
            (
                "defaults: {access: {colums: [a]}}",
                'access.colums: unknown key "colums"; did you mean "columns"?',
            ),
            ("defaults: {access: {given: false}}", "access: given is not a setting; write access: none"),
            (
                "defaults: {access: {mask: {a: star}}}",
                'mask.a: "star" is not a choice; use hash, null or clear',
            ),
            ("defaults: {access: {mask: hash}}", 'mask: "hash" is not valid here; write columns with what'),
            ("defaults: {access: {rows: {a: 1, b: 2}}}", "access.rows: write one column with the values"),
            ("defaults: {overlap: [1]}", "line 3, defaults.overlap: a list is not valid here; write a dur"),
            ("defaults: {cursor_time_zone: Madrid}", 'cursor_time_zone: "Madrid" is not a time zone; write'),
            ("defaults: {cursor_time_zone: +10:00}", "cursor_time_zone: +10:00 is a number that may be"),
            ("defaults: {nulls: maybe}", 'line 3, defaults.nulls: "maybe" is not a choice; use include or'),
            (
                "defaults: {on_new_column: null}",
                'line 3, defaults.on_new_column: null is not read as text; write "null" in quotes',
            ),
            ("defaults: {engine: mysql}", '"engine" belongs to the source; write it at the left margin'),
            ("schedule: !vault x", 'line 3, schedule: the tag "!vault" means nothing here; remove it'),
            ("x: &a [*a]", "an alias contains itself; write the part out"),
        ],
    )
    def test_say_what_to_write_instead(self, tmp_path: Path, text: str, message: str) -> None:
        lines = faults(tmp_path, f"{MINIMAL}{text}\n{TABLES}")
        assert message in lines[0]
        assert lines[0].startswith("shop.yaml, line 3")

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (
                "{}",
                "tables[0]: write exactly one of name (one table) and include (a pattern such as public.*)",
            ),
            ("{include: a, query: SELECT 1}", "tables[0]: query needs a name, by which the warehouse"),
            (
                "{name: a, query: SELECT 1;}",
                "tables[0].query: this becomes a part of a larger statement; remove the ;",
            ),
            (
                "{name: a, where: 'x = 1 ; '}",
                "tables[0].where: this becomes a part of a larger statement; remove",
            ),
            ("{name: a, rename: {}}", "tables[0].rename: is empty; write names in the source and in the"),
            ("{name: a, target: orders}", 'tables[0].target: "orders" is no table of the warehouse; write'),
            ("{include: a.*, target: x.y}", "tables[0]: target belongs to an entry with a name: one table"),
            ("{name: a, include: b}", "tables[0]: write exactly one of name (one table) and include"),
            ("{name: a, exclude: [b]}", "tables[0]: exclude belongs to include; an entry with a name is"),
            ("{name: public.*}", 'tables[0]: "public.*" is a pattern; write it under include'),
            ("{name: 2024}", 'tables[0].name: 2024 is not read as text; write "2024" in quotes'),
            ("{name: 2024-01-01}", 'tables[0].name: 2024-01-01 is not read as text; write "2024-01-01"'),
            ("{name: true}", 'tables[0].name: true is not read as text; write "true" in quotes'),
            ("{name: Off}", 'tables[0].name: Off is read as true or false; write "Off" in quotes'),
            ("{name: y}", 'tables[0].name: y is read as true or false; write "y" in quotes'),
            ("{name: =}", 'tables[0].name: = is not read as text; write "=" in quotes'),
            ("{include: [a]}", "tables[0].include: a list is not valid here; write a pattern such as"),
            ("{name: a, colums: [x]}", 'tables[0].colums: unknown key "colums"; did you mean "columns"?'),
            ("{name: a, key: [id, 1]}", 'tables[0].key[1]: 1 is not read as text; write "1" in quotes'),
            ("{name: a, columns: [id, no]}", "tables[0].columns[1]: no is read as true or false"),
            (
                "{name: a, policies: {too_long: clamp}}",
                'tables[0].policies: "clamp" does not apply to too_long; use fail, "null" or truncate',
            ),
            (
                "{name: a, policies: {too_lang: clamp}}",
                'tables[0].policies: "too_lang" is not a fault; did you mean',
            ),
            ("{name: a, policies: clamp}", "tables[0].policies: write faults with their policies, such as"),
            ("{name: a, policies: {misfit: null}}", "tables[0].policies.misfit: null is not read as text"),
            (
                "{name: a, column_policies: {x: cut}}",
                'tables[0].column_policies: "cut", for x, is not a policy; use fail, "null", clamp,',
            ),
            (
                "{name: a, column_policies: {x: {date_out_of_range: truncate}}}",
                'tables[0].column_policies: "truncate" does not apply to date_out_of_range; use fail,',
            ),
            ("{name: a, columns: {exclude: [~]}}", "tables[0].columns.exclude[0]: is empty; write a value"),
            ("{name: a, columns: {take: a, exclude: b}}", "tables[0].columns: write a list of column names"),
            ("orders", 'tables[0]: "orders" is not valid here; write a list of tables: - name:'),
        ],
    )
    def test_in_an_entry_say_what_to_write_instead(self, tmp_path: Path, entry: str, message: str) -> None:
        assert fault(tmp_path, f"tables:\n  - {entry}\n").startswith(f"shop.yaml, line 4, {message}")

    def test_say_where_a_target_may_not_be(self, tmp_path: Path) -> None:
        message = fault(tmp_path, "tables: [{name: a, target: shop.a}]\n")
        assert message == (
            'shop.yaml, line 3, tables: target "shop.a" is in the target_schema, which is for the other '
            "tables of this source; write a schema that is no source's target_schema"
        )

    def test_name_the_line_of_an_item_in_a_list(self, tmp_path: Path) -> None:
        message = fault(tmp_path, "tables:\n- include: a.*\n  exclude:\n  - b\n  - 3\n")
        assert (
            message == 'shop.yaml, line 7, tables[0].exclude[1]: 3 is not read as text; write "3" in quotes'
        )

    def test_in_quotes_there_is_none(self, tmp_path: Path) -> None:
        names = ["no", "2024", "true", "y", "~", "*", "1.5", "010"]
        entries = "".join(f'- include: "{name}"\n' for name in names)
        source = read(tmp_path, f"{MINIMAL}tables:\n{entries}")
        assert [entry.include for entry in source.tables] == names

    def test_never_show_what_stands_under_secret(self, tmp_path: Path) -> None:
        for secret in ('{password: "hunter2"}', '"hunter2 "', '\'{"password": "hunter2"}\'', "[hunter2]"):
            (fault_line,) = faults(tmp_path, f"engine: mysql\nsecret: {secret}\n{TABLES}")
            assert fault_line.startswith("shop.yaml, line 2, secret: ")
            assert "hunter2" not in fault_line

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "shop.yaml, line 1: is empty; write engine, secret and tables"),
            ("# nothing\n", "shop.yaml, line 1: is empty; write engine, secret and tables"),
            ("- a\n", "shop.yaml, line 1: is not a mapping; write engine, secret and tables"),
            ("engine\n", "shop.yaml, line 1: is not a mapping; write engine, secret and tables"),
            (
                "a: 1\n\tb: 2\n",
                "shop.yaml, line 2: a tab is used for indentation, where YAML takes spaces only",
            ),
            ("a: 1\n---\nb: 2\n", 'shop.yaml, line 2: a second document begins here ("---"); one file is'),
            ("a:\n  - include: *\n", "shop.yaml, line 2: a text that begins with * is an alias to YAML"),
            ("a: [*_tmp]\n", "shop.yaml, line 1: a text that begins with * is an alias to YAML"),
            ("a: {cron: 0 7 * * ? *}\n", "shop.yaml, line 1: a text with ? in it needs quotes here"),
            ("a: b: c\n", "shop.yaml, line 1: is not YAML: mapping values are not allowed here"),
            ("a: 1\nb: '\n", "shop.yaml, line 3: is not YAML: found unexpected end of stream"),
            ("a: 1\nb: \x01\n", "shop.yaml, line 2: holds a character that YAML does not allow"),
        ],
    )
    def test_of_yaml_itself_name_the_line(self, tmp_path: Path, text: str, message: str) -> None:
        (fault_line,) = faults(tmp_path, text)
        assert fault_line.startswith(message)

    def test_of_nesting_are_found_before_the_parser_gives_up(self, tmp_path: Path) -> None:
        for nested in ("[" * 3_000, "[" * 3_000 + "]" * 3_000, "{a: " * 3_000, "- " * 3_000):
            (problem,) = faults(tmp_path, f"{MINIMAL}x:\n  {nested}\n")
            assert problem == (
                "shop.yaml, line 4: more than 50 lists and mappings are nested here; write fewer"
            )

    def test_of_aliases_that_multiply_are_found_before_they_take_memory(self, tmp_path: Path) -> None:
        levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
        problems = faults(tmp_path, "\n".join([MINIMAL + "a0: &a0 [x]", *levels]))
        assert [one for one in problems if "aliases repeat more than 10000 parts; write the parts out" in one]

    def test_of_merge_keys_that_multiply_are_found_before_they_take_time(self, tmp_path: Path) -> None:
        levels = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10)]
        problems = faults(tmp_path, "\n".join([MINIMAL + "a0: &a0 {x: y}", *levels]))
        assert [one for one in problems if "aliases repeat more than 10000 parts; write the parts out" in one]

    def test_of_size_are_found_before_the_file_is_parsed(self, tmp_path: Path) -> None:
        assert faults(tmp_path, "#" * (3 << 20)) == [
            "shop.yaml: has more than 2 MiB; use include with patterns"
        ]

    @pytest.mark.parametrize(
        "secret", ["shop", "prod/shop", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf"]
    )
    def test_of_a_secret_that_no_function_may_read_are_found_by_the_deploy(
        self, tmp_path: Path, secret: str
    ) -> None:
        (problem,) = faults(tmp_path, f"engine: mysql\nsecret: {secret}\n{TABLES}")
        assert problem == (
            "shop.yaml, line 2, secret: functions may only read secrets whose name begins with tributary/; "
            "rename the secret"
        )

    def test_a_secret_may_be_given_by_its_arn(self, tmp_path: Path) -> None:
        arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tributary/shop-AbCdEf"
        assert read(tmp_path, f"engine: mysql\nsecret: {arn}\n{TABLES}").secret == arn

    def test_of_encoding_are_faults_too(self, tmp_path: Path) -> None:
        (tmp_path / "shop.yaml").write_bytes(b"engine: mysql\nsecret: tributary/\xff\n")
        with pytest.raises(ConfigError, match=r"shop.yaml, line 2: is not UTF-8 text; save it as UTF-8"):
            loader.load(tmp_path / "shop.yaml")

    @pytest.mark.parametrize("name", ["2shop", "my shop", "shop.test", "_shop", "s" * 51, "tienda_ñ"])
    def test_of_the_files_name_are_faults_too(self, tmp_path: Path, name: str) -> None:
        (line,) = faults(tmp_path, MINIMAL + TABLES, f"{name}.yaml")
        assert f'"{name}" is not valid as a name; name the file with letters, digits, _ and -' in line


class TestDirectory:
    def test_is_read_by_name(self, tmp_path: Path) -> None:
        crm = read(tmp_path, MINIMAL + TABLES, "crm.yaml")
        shop = read(tmp_path, MINIMAL + TABLES, "shop.yaml")
        (tmp_path / "README.md").write_text("not a source")
        (tmp_path / "old.yaml.example").write_text("nor is this")
        (tmp_path / "._shop.yaml").write_bytes(b"\0")
        (tmp_path / "python.yaml").mkdir()
        assert loader.load_all(tmp_path) == {"crm": crm, "shop": shop}
        assert loader.find(tmp_path, "shop") == shop

    def test_with_faults_names_those_of_every_file(self, tmp_path: Path) -> None:
        faults(tmp_path, "engine: x\n" + MINIMAL.partition("\n")[2] + TABLES, "a.yaml")
        faults(tmp_path, "", "b.yaml")
        read(tmp_path, MINIMAL + TABLES, "c.yaml")
        with pytest.raises(ConfigError) as refused:
            loader.load_all(tmp_path)
        assert str(refused.value).splitlines() == [
            'a.yaml, line 1, engine: "x" is not an engine; use ' + ENGINE_CHOICES,
            "b.yaml, line 1: is empty; write engine, secret and tables",
        ]

    def test_gives_no_two_sources_one_schema(self, tmp_path: Path) -> None:
        read(tmp_path, MINIMAL + TABLES, "web-shop.yaml")
        read(tmp_path, MINIMAL + TABLES, "web_shop.yaml")
        with pytest.raises(
            ConfigError,
            match=r'^web_shop.yaml, target_schema: "web_shop" is the target_schema of web-shop.yaml',
        ):
            loader.load_all(tmp_path)

    def test_gives_a_shared_target_a_schema_that_no_source_has(self, tmp_path: Path) -> None:
        entry = "tables: [{name: a.orders, target: Company.Orders}]\n"
        shop = read(tmp_path, MINIMAL + entry, "shop.yaml")
        read(tmp_path, MINIMAL + entry, "crm.yaml")
        assert loader.load_all(tmp_path)["shop"] == shop
        assert shop.tables[0].target == "company.orders"
        assert shop.schemas == ["shop", "company"]
        read(tmp_path, MINIMAL + TABLES, "company.yaml")
        with pytest.raises(ConfigError) as refused:
            loader.load_all(tmp_path)
        message = 'tables[0].target: the schema of "company.orders" is the target_schema of company.yaml'
        assert [line[:7] for line in str(refused.value).splitlines()] == ["crm.yam", "shop.ya"]
        assert str(refused.value).count(message) == 2

    def test_finds_a_good_source_beside_a_faulty_one(self, tmp_path: Path) -> None:
        shop = read(tmp_path, MINIMAL + TABLES, "shop.yaml")
        faults(tmp_path, "", "crm.yaml")
        assert loader.find(tmp_path, "shop") == shop

    @pytest.mark.parametrize("name", ["shpo", "../shop", "shop.yaml", ""])
    def test_names_its_sources_where_one_is_unknown(self, tmp_path: Path, name: str) -> None:
        for file in ("shop.yaml", "crm.yaml"):
            read(tmp_path, MINIMAL + TABLES, file)
        with pytest.raises(ConfigError) as refused:
            loader.find(tmp_path, name)
        assert f'source "{name}" is not known; ' in str(refused.value)
        assert str(refused.value).endswith("the sources are crm, shop")

    def test_without_a_source_is_no_fault_until_one_is_asked_for(self, tmp_path: Path) -> None:
        for directory in (tmp_path, tmp_path / "missing"):
            assert loader.load_all(directory) == {}
            message = f"there is no source file in {directory.name}/; copy shop.yaml.example to <name>.yaml"
            with pytest.raises(ConfigError, match=message):
                loader.find(directory, "shop")

    @pytest.mark.parametrize("name", ["shop.yml", "shop.YAML"])
    def test_never_passes_over_a_misnamed_source(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text(MINIMAL + TABLES)
        with pytest.raises(ConfigError, match=f"{name}: a source file ends in .yaml; rename it to shop.yaml"):
            loader.load_all(tmp_path)
        with pytest.raises(ConfigError, match=f"{name}: a source file ends in .yaml"):
            loader.find(tmp_path, "shop")

    def test_a_misnamed_source_hides_no_other_problem_and_stops_no_other_source(self, tmp_path: Path) -> None:
        (tmp_path / "crm.yml").write_text(MINIMAL + TABLES)
        (tmp_path / "erp.yaml").write_text("engine: x\n" + TABLES)
        (tmp_path / "shop.yaml").write_text(MINIMAL + TABLES)
        with pytest.raises(ConfigError) as refused:
            loader.load_all(tmp_path)
        assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
            "crm.yml",
            "erp.yaml, line 1, engine",
            "erp.yaml, line 1, secret",
        ]
        assert loader.find(tmp_path, "shop").name == "shop"


class TestColumns:
    def test_are_taken_in_the_tables_order(self) -> None:
        assert Columns(take=("b", "a", "x")).choose(["a", "b", "c"]) == ("a", "b")
        assert Columns(exclude=("b", "x")).choose(["a", "b", "c"]) == ("a", "c")

    def test_name_those_that_the_table_does_not_have(self) -> None:
        assert Columns(take=("b", "x")).absent(["a", "b"]) == ("x",)
        assert Columns(exclude=("b", "x")).absent(["a", "b"]) == ("x",)


def test_two_sources_whose_names_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    for name, schema in (("Shop", "one"), ("shop", "two")):
        text = f"engine: sqlite\nsecret: tributary/{name}\ntarget_schema: {schema}\ntables: [{{name: t}}]\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"shop.yaml: its name differs from Shop.yaml in case alone"):
        loader.load_all(tmp_path)


def test_a_secret_under_tributary_is_read_under_the_stacks_prefix(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(MINIMAL + "tables: [{name: public.orders}]\n")
    assert loader.find(tmp_path, "shop").secret == "tributary/shop"
    assert loader.find(tmp_path, "shop", secret_prefix="tributary-dev/").secret == "tributary-dev/shop"
    (tmp_path / "shop.yaml").write_text("engine: mysql\nsecret: other/shop\ntables: [{name: a.b}]\n")
    with pytest.raises(ConfigError, match="whose name begins with tributary-dev/"):
        loader.load_all(tmp_path, secret_prefix="tributary-dev/")


class TestDialect:
    TABLES = "secret: tributary/x\ntables: [{name: a.b}]\n"

    def test_a_dialect_that_has_no_name_of_its_own_is_looked_up_by_both_parts(self, tmp_path: Path) -> None:
        source = read(tmp_path, "engine: sqlalchemy\ndialect: informix+ifxpy\n" + self.TABLES)
        assert source.reader == "sqlalchemy:informix+ifxpy"
        assert read(tmp_path, "engine: oracle\n" + self.TABLES).reader == "oracle"

    @pytest.mark.parametrize(
        ("head", "message"),
        [
            ("engine: sqlalchemy\n", "engine: sqlalchemy needs dialect: name+driver"),
            ("engine: oracle\ndialect: oracle+cx\n", "dialect belongs to engine: sqlalchemy; remove it"),
            ("engine: sqlalchemy\ndialect: oracle\n", '"oracle" is not a dialect'),
        ],
    )
    def test_a_dialect_without_its_engine_is_refused(self, tmp_path: Path, head: str, message: str) -> None:
        (line,) = faults(tmp_path, head + self.TABLES)
        assert message in line
