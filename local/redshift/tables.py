"""CREATE TABLE and ALTER TABLE: Redshift's grammar, and the statements that PostgreSQL runs instead.

Distribution, sorting, encoding and keys are read and checked but have no effect, as keys have none on
Redshift. What a later ALTER must know (a key, an encoding that cannot change) is stored in the column's
statistics options, which survive a rename.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from local.redshift import columns
from local.redshift.errors import Refused
from local.redshift.lexer import END, Reader, Token, split
from local.redshift.names import LongNames, quote
from local.redshift.rewrite import dotted, identifier, render

COLUMN_WORDS = (
    "DEFAULT",
    "IDENTITY",
    "GENERATED",
    "ENCODE",
    "DISTKEY",
    "SORTKEY",
    "COLLATE",
    "NOT",
    "NULL",
    "UNIQUE",
    "PRIMARY",
    "REFERENCES",
    ",",
)
FIXED_ENCODINGS = ("BYTEDICT", "RUNLENGTH", "TEXT255", "TEXT32K")
ENCODINGS = (
    *FIXED_ENCODINGS,
    *("AUTO", "RAW", "AZ64", "DELTA", "DELTA32K", "LZO", "MOSTLY8", "MOSTLY16", "MOSTLY32", "ZSTD"),
)
KEY = "n_distinct = -1"  # marks a PRIMARY KEY, UNIQUE or FOREIGN KEY column
FIXED = "n_distinct_inherited = -1"  # marks an encoding under which ALTER TYPE is refused
MOST_COLUMNS = 1_600


@dataclass(slots=True)
class Declared:
    """A column as CREATE TABLE or ADD COLUMN declares it."""

    name: Token
    type: columns.ColumnType
    default: list[Token] = field(default_factory=list)
    identity: str = ""
    not_null: bool = False
    key: bool = False
    placed: bool = False  # DISTKEY or SORTKEY
    fixed: bool = False

    def sql(self, names: LongNames) -> str:
        """Return the column's declaration for PostgreSQL."""
        parts = [identifier(self.name, names), self.type.sql, self.identity]
        if self.default:
            parts.append(f"DEFAULT ({render(self.default, names)})")
        if self.not_null:
            parts.append("NOT NULL")
        if self.type.varbyte:
            column = identifier(self.name, names)
            check = quote(names.stored(f"varbyte_{self.type.varbyte}_{self.name.name}"))
            parts.append(f"CONSTRAINT {check} CHECK (octet_length({column}) <= {self.type.varbyte})")
        return " ".join(filter(None, parts))


def create(reader: Reader, names: LongNames, *, temporary: bool) -> list[str]:
    """Return the statements for a CREATE TABLE; the reader is after the word TABLE."""
    missing_only = reader.take("IF", "NOT", "EXISTS")
    parts = reader.dotted()
    if temporary and len(parts) > 1:
        raise Refused("temporary tables may not specify a schema name")
    table = dotted(parts, names)
    head = (
        f"CREATE {'TEMPORARY ' if temporary else ''}TABLE {'IF NOT EXISTS ' if missing_only else ''}{table}"
    )
    inside = reader.parens() if reader.sees("(") else []
    placed = _attributes(reader)
    if reader.take("AS"):
        listed = f" ({render(inside, names)})" if inside else ""
        return [f"{head}{listed} AS {render(_query(reader), names)}"]
    reader.end()
    if not inside:
        reader.unexpected()
    return _create(head, table, inside, placed, names)


def _create(head: str, table: str, inside: list[Token], placed: list[Token], names: LongNames) -> list[str]:
    items = [_item(part) for part in split(inside)]
    declared = [item for item in items if isinstance(item, Declared)]
    likes = [f"LIKE {dotted(item[0], names)} {item[1]}" for item in items if isinstance(item, tuple)]
    keys = {token.name for item in items if isinstance(item, list) for token in item}
    _check(declared, {token.name for token in placed}, keys, whole=not likes)
    for column in declared:
        column.key |= column.name.name in keys
    body = ", ".join([*(column.sql(names) for column in declared), *likes])
    return [f"{head} ({body})", *(mark for column in declared for mark in marks(table, column, names))]


def marks(table: str, column: Declared, names: LongNames) -> list[str]:
    """Return the statements that store what a later ALTER must know about a column."""
    wanted = [(KEY, column.key), (FIXED, column.fixed)]
    name = identifier(column.name, names)
    return [
        f"ALTER TABLE {table} ALTER COLUMN {name} SET ({mark})" for mark, is_wanted in wanted if is_wanted
    ]


def _check(declared: list[Declared], placed: set[str], keys: set[str], *, whole: bool) -> None:
    known = {column.name.name for column in declared}
    if len(declared) > MOST_COLUMNS:
        raise Refused(f"tables can have at most {MOST_COLUMNS} columns")
    for name in sorted((placed | keys) - known) if whole else []:
        raise Refused(f'column "{name}" named in key does not exist')
    for column in declared:
        if column.type.sql == "jsonb" and (column.placed or column.name.name in placed):
            raise Refused(f'column "{column.name.name}" of type super cannot be a distribution or sort key')


def _query(reader: Reader) -> list[Token]:
    if reader.sees("("):
        inside = reader.parens()
        reader.end()
        return inside
    return reader.rest()


def _item(source: list[Token]) -> Declared | list[Token] | tuple[list[Token], str]:
    """Read one item of the list: a column, the columns of a key, or a LIKE."""
    reader = Reader(source)
    if reader.take("LIKE"):
        return _like(reader)
    if reader.peek().word in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT"):
        return key(reader)
    column = declared(reader)
    reader.end()
    return column


def _like(reader: Reader) -> tuple[list[Token], str]:
    parent = reader.dotted()
    defaults = ""
    if reader.take("INCLUDING", "DEFAULTS"):
        defaults = " INCLUDING DEFAULTS"
    else:
        reader.take("EXCLUDING", "DEFAULTS")
    reader.end()
    return parent, f"INCLUDING CONSTRAINTS{defaults}"


def key(reader: Reader) -> list[Token]:
    """Read a table's key, which is only informational on Redshift, and return its columns."""
    if reader.take("CONSTRAINT"):
        reader.name()
    foreign = reader.take("FOREIGN", "KEY")
    if not foreign and not reader.take("PRIMARY", "KEY"):
        reader.expect("UNIQUE")
    named = [part[0] for part in split(reader.parens()) if part]
    if foreign:
        reader.expect("REFERENCES")
        reader.dotted()
        if reader.sees("("):
            reader.parens()
    reader.end()
    return named


def declared(reader: Reader) -> Declared:
    """Read a column's declaration up to a comma or the end."""
    column = Declared(reader.name(), columns.read(reader))
    while reader.peek() is not END and not reader.sees(","):
        _attribute(reader, column)
    return column


def _attribute(reader: Reader, column: Declared) -> None:
    if reader.take("DEFAULT"):
        column.default = [reader.next(), *reader.until(*COLUMN_WORDS)]
    elif reader.take("NOT", "NULL"):
        column.not_null = True
    elif reader.take("IDENTITY"):
        column.identity = _identity(reader, "ALWAYS")
    elif reader.take("GENERATED", "BY", "DEFAULT", "AS", "IDENTITY"):
        column.identity = _identity(reader, "BY DEFAULT")
    elif reader.take("ENCODE"):
        column.fixed = encoding(reader) in FIXED_ENCODINGS
    elif reader.take("DISTKEY") or reader.take("SORTKEY"):
        column.placed = True
    elif reader.take("COLLATE"):
        reader.next()
    elif not reader.take("NULL"):
        _key_attribute(reader, column)


def _key_attribute(reader: Reader, column: Declared) -> None:
    column.key = True
    if reader.take("PRIMARY", "KEY"):
        column.not_null = True
    elif not reader.take("UNIQUE"):
        reader.expect("REFERENCES")
        reader.dotted()
        if reader.sees("("):
            reader.parens()


def _identity(reader: Reader, when: str) -> str:
    reader.expect("(")
    seed = reader.number()
    reader.expect(",")
    step = reader.number()
    reader.expect(")")
    return f"GENERATED {when} AS IDENTITY (START WITH {seed} INCREMENT BY {step})"


def encoding(reader: Reader) -> str:
    """Read the name of a compression."""
    word = reader.next().word
    if word not in ENCODINGS:
        raise Refused(f'encoding type "{word.lower()}" is not valid')
    return word


def _attributes(reader: Reader) -> list[Token]:
    """Read a table's attributes and return the columns of its distribution and sort keys."""
    placed: list[Token] = []
    while True:
        if reader.take("BACKUP"):
            if not reader.take_any("YES", "NO"):
                reader.unexpected()
        elif reader.take("DISTSTYLE"):
            if not reader.take_any("AUTO", "EVEN", "KEY", "ALL"):
                reader.unexpected()
        elif reader.take("DISTKEY"):
            placed += _listed(reader)
        elif reader.take("SORTKEY", "AUTO") or reader.take("ENCODE", "AUTO"):
            pass
        elif reader.sees("COMPOUND") or reader.sees("INTERLEAVED") or reader.sees("SORTKEY"):
            reader.take_any("COMPOUND", "INTERLEAVED")
            reader.expect("SORTKEY")
            placed += _listed(reader)
        else:
            return placed


def _listed(reader: Reader) -> list[Token]:
    return [part[0] for part in split(reader.parens()) if part]
