"""ALTER TABLE: one change per statement, and only those that Redshift has (r_ALTER_TABLE)."""

from __future__ import annotations

from local.redshift import columns, tables
from local.redshift.errors import Refused
from local.redshift.lexer import Reader
from local.redshift.names import LongNames
from local.redshift.rewrite import dotted, identifier, literal

ALTER_TYPE_IN_BLOCK = "ALTER TABLE ALTER COLUMN cannot run inside a transaction block"
APPEND_IN_BLOCK = "ALTER TABLE APPEND cannot run inside a transaction block"


def alter(reader: Reader, names: LongNames, *, in_block: bool) -> tuple[str, list[str]]:
    """Return the table and the statements for an ALTER TABLE; the reader is after the word TABLE."""
    table = dotted(reader.dotted(), names)
    statements = _change(reader, table, names, in_block=in_block)
    reader.end()
    return table, statements


def _change(reader: Reader, table: str, names: LongNames, *, in_block: bool) -> list[str]:
    if reader.take("ADD"):
        return _add(reader, table, names)
    if reader.take("DROP"):
        return _drop(reader, table, names)
    if reader.take("RENAME"):
        return [_rename(reader, table, names)]
    if reader.take("OWNER", "TO"):
        return [f"ALTER TABLE {table} OWNER TO {identifier(reader.name(), names)}"]
    if reader.take("ROW", "LEVEL", "SECURITY", "ON") or reader.take("ROW", "LEVEL", "SECURITY", "OFF"):
        return []
    if reader.take("APPEND"):
        raise Refused(APPEND_IN_BLOCK if in_block else "ALTER TABLE APPEND is not part of the stand-in")
    reader.expect("ALTER")
    return _alter(reader, table, names, in_block=in_block)


def _rename(reader: Reader, table: str, names: LongNames) -> str:
    if reader.take("TO"):
        return f"ALTER TABLE {table} RENAME TO {identifier(reader.name(), names)}"
    reader.take("COLUMN")
    old = identifier(reader.name(), names)
    reader.expect("TO")
    return f"ALTER TABLE {table} RENAME COLUMN {old} TO {identifier(reader.name(), names)}"


def _add(reader: Reader, table: str, names: LongNames) -> list[str]:
    if reader.peek().word in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT"):
        name = identifier(reader.peek(1), names) if reader.sees("CONSTRAINT") else ""
        keyed = tables.key(reader)
        # A named constraint keeps its name here and checks nothing: it can be listed and dropped.
        named = [f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (TRUE)"] if name else []
        marks = [f"ALTER TABLE {table} ALTER COLUMN {identifier(k, names)} SET ({tables.KEY})" for k in keyed]
        return [*named, *marks]
    reader.take("COLUMN")
    if reader.sees("IF"):
        reader.unexpected()
    column = tables.declared(reader)
    if reader.sees(","):
        reader.unexpected()
    if column.key or column.placed or column.identity:
        raise Refused("ALTER TABLE ADD COLUMN does not support a key, DISTKEY, SORTKEY or IDENTITY column")
    if column.not_null and not column.default:
        raise Refused("ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
    return [f"ALTER TABLE {table} ADD COLUMN {column.sql(names)}", *tables.marks(table, column, names)]


def _drop(reader: Reader, table: str, names: LongNames) -> list[str]:
    if reader.take("CONSTRAINT"):
        name = identifier(reader.name(), names)
        behaviour = reader.take_any("CASCADE", "RESTRICT")
        return [f"ALTER TABLE {table} DROP CONSTRAINT {name} {behaviour}".rstrip()]
    reader.take("COLUMN")
    name = identifier(reader.name(), names)
    behaviour = reader.take_any("CASCADE", "RESTRICT")
    return [f"ALTER TABLE {table} DROP COLUMN {name} {behaviour}".rstrip()]


def _alter(reader: Reader, table: str, names: LongNames, *, in_block: bool) -> list[str]:
    if reader.take("DISTSTYLE") or reader.take("ENCODE"):
        reader.rest()
        return []
    if reader.take("DISTKEY") or reader.take("COMPOUND") or reader.take("SORTKEY"):
        reader.rest()
        return []
    reader.take("COLUMN")
    column = reader.name()
    if reader.take("ENCODE"):
        mark = f"SET ({tables.FIXED})" if tables.encoding(reader) in tables.FIXED_ENCODINGS else None
        reset = mark or f"RESET ({tables.FIXED.split()[0]})"
        return [f"ALTER TABLE {table} ALTER COLUMN {identifier(column, names)} {reset}"]
    reader.expect("TYPE")
    kind = columns.read(reader)
    if in_block:
        raise Refused(ALTER_TYPE_IN_BLOCK)
    if not kind.is_varchar:
        raise Refused("ALTER COLUMN TYPE changes only the size of a VARCHAR column")
    size = kind.sql.removeprefix("varchar(").removesuffix(")")
    name = identifier(column, names)
    checked = f"{literal(table)}, {literal(names.stored(column.name))}, {size}"
    return [
        f"SELECT stand_in.check_new_size({checked})",
        f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind.sql}",
    ]
