"""Expressions and queries of Redshift, translated to PostgreSQL token by token.

Most of the difference is inside the database (functions.sql, catalog.sql). This module translates names,
type words and a few functions with their own grammar, and refuses what only PostgreSQL has.
"""

from __future__ import annotations

from local.redshift.errors import Refused
from local.redshift.lexer import END, Token
from local.redshift.names import POSTGRES_BYTES, LongNames, quote
from local.redshift.words import ONLY_REDSHIFT

DATE_PART_FUNCTIONS = ("DATEADD", "DATE_ADD", "DATEDIFF", "DATE_DIFF", "DATE_TRUNC", "DATE_PART")
RENAMED = {
    "NVL": "COALESCE",
    "JSON_SERIALIZE": "pg_catalog.json_serialize",  # a keyword since 17
    "FORMAT_TYPE": "stand_in.format_type",
}
CATALOG = ("PG_CLASS", "PG_NAMESPACE", "PG_ATTRIBUTE")  # with full names (catalog.sql)
TYPES = {
    "SUPER": "jsonb",
    "VARBYTE": "bytea",
    "VARBINARY": "bytea",
    "DATETIME": "timestamp",
    "NVARCHAR": "varchar",
    "STRING": "text",
}
NOT_IN_REDSHIFT: tuple[tuple[str, ...], ...] = (  # sequences of keywords that PostgreSQL would run
    ("ON", "CONFLICT"),
    ("RETURNING",),
    ("DISTINCT", "ON"),
    ("FILTER", "("),
    ("IS", "DISTINCT", "FROM"),
    ("IS", "NOT", "DISTINCT", "FROM"),
    ("LATERAL",),
    ("FOR", "UPDATE"),
    ("FOR", "SHARE"),
    ("TABLESAMPLE",),
    ("ARRAY", "["),
    ("EXCEPT", "ALL"),
    ("INTERSECT", "ALL"),
    ("FETCH", "FIRST"),
    ("OVERRIDING",),
    ("MATERIALIZED",),
    ("(", "INSERT"),
    ("(", "UPDATE"),
    ("(", "DELETE"),
    ("(", "MERGE"),
)


def render(source: list[Token], names: LongNames) -> str:
    """Return the tokens as text for PostgreSQL; raises Refused for what Redshift does not have."""
    for at in range(len(source)):
        _refuse(source, at)
    return " ".join(_written(source, at, names) for at in range(len(source)))


def literal(text: str) -> str:
    """Return the text as a literal of the warehouse's sessions, where a backslash escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(token: Token, names: LongNames) -> str:
    """Return a name, folded and quoted."""
    return quote(names.stored(token.name))


def dotted(parts: list[Token], names: LongNames) -> str:
    """Return a name with its schema, folded and quoted."""
    return ".".join(identifier(part, names) for part in parts)


def _refuse(source: list[Token], at: int) -> None:
    token, before = source[at], source[at - 1] if at else END
    if token.kind == "parameter":
        raise Refused(f'syntax error at or near "{token.text[0]}"')
    if before.is_("."):
        return
    if token.word in ONLY_REDSHIFT and not before.is_("AS"):
        raise Refused(f'syntax error at or near "{token.text}"')
    for words in NOT_IN_REDSHIFT:
        if token.is_(words[0]) and _comes(source, at, words):
            raise Refused(f'syntax error at or near "{source[at + len(words) - 1].text}"')


def _comes(source: list[Token], at: int, words: tuple[str, ...]) -> bool:
    return len(source) >= at + len(words) and all(source[at + n].is_(word) for n, word in enumerate(words))


def _written(source: list[Token], at: int, names: LongNames) -> str:
    token = source[at]
    before = source[at - 1] if at else END
    after = source[at + 1] if at + 1 < len(source) else END
    if token.kind == "word" and (before.is_("::") or (before.is_("AS") and _in_cast(source, at))):
        return _type(token, after)
    if token.kind == "quoted" or (token.kind == "word" and before.is_(".")):
        return identifier(token, names)
    if token.kind == "word":
        return _word(source, at, names, after)
    return token.text


def _word(source: list[Token], at: int, names: LongNames, after: Token) -> str:
    token = source[at]
    if token.word == "SYSDATE" and not after.is_("("):
        return "sysdate()"
    if token.word in CATALOG:
        return f"stand_in.{token.word.lower()}"
    if after.is_("(") and token.word in RENAMED:
        return RENAMED[token.word]
    if after.is_(",") and at > 1 and source[at - 1].is_("(") and source[at - 2].word in DATE_PART_FUNCTIONS:
        return f"'{token.name}'"
    return token.text if len(token.text.encode()) <= POSTGRES_BYTES else identifier(token, names)


def _type(token: Token, after: Token) -> str:
    if token.word in ("DECIMAL", "NUMERIC") and not after.is_("("):
        return "numeric(18, 0)"
    return TYPES.get(token.word, token.text)


def _in_cast(source: list[Token], at: int) -> bool:
    """Say whether the AS before this place belongs to CAST( ... AS type)."""
    depth = 0
    for place in range(at - 2, 0, -1):
        depth += source[place].is_(")") - source[place].is_("(")
        if depth < 0:
            return source[place - 1].word == "CAST"
    return False
