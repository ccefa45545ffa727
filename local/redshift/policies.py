"""Masks and policies on rows: parsed as on Redshift, stored, and without effect on any query.

Only an administrator may create and attach them, as only sys:secadmin may on Redshift.
"""

from __future__ import annotations

from local.redshift import columns
from local.redshift.errors import Refused
from local.redshift.lexer import Reader, split
from local.redshift.rewrite import literal
from local.redshift.translation import Statement, Translated


def kind(reader: Reader) -> str:
    """Pass the words MASKING POLICY or RLS POLICY and return which, '' if neither comes next."""
    for word in ("MASKING", "RLS"):
        if reader.take(word, "POLICY"):
            return word.lower()
    return ""


def create(statement: Statement, kind: str) -> Translated:
    """Return the translation of CREATE MASKING POLICY and CREATE RLS POLICY after these words."""
    reader = statement.reader
    name = reader.name().name
    if kind == "masking":
        reader.take("IF", "NOT", "EXISTS")
    reader.expect("WITH")
    for declared in split(reader.parens()):
        inside = Reader(declared)
        inside.name()
        columns.read(inside)
        inside.end()
    reader.expect("USING")
    if not reader.parens():
        raise Refused("syntax error at end of input")
    reader.end()
    return Translated(f"INSERT INTO stand_in.policy VALUES ({literal(name)}, {literal(kind)})")


def attach(statement: Statement) -> Translated:
    """Return the translation of an ATTACH."""
    statement.reader.expect("ATTACH")
    named, table, column, grantee = _attachment(statement, "TO")
    values = ", ".join([named, f"{table}::regclass", column, grantee])
    return Translated(f"INSERT INTO stand_in.attached_policy VALUES ({values})")


def detach(statement: Statement) -> Translated:
    """Return the translation of a DETACH; a policy that is not attached is an error."""
    statement.reader.expect("DETACH")
    named, table, column, grantee = _attachment(statement, "FROM")
    return Translated(f"SELECT stand_in.detach_policy({named}, {table}::regclass, {column}, {grantee})")


def _attachment(statement: Statement, preposition: str) -> tuple[str, str, str, str]:
    reader = statement.reader
    which = kind(reader)
    if not which:
        reader.unexpected()
    name = reader.name().name
    reader.expect("ON")
    reader.take("TABLE")
    table = statement.dotted()
    column = ""
    if which == "masking":
        [[token]] = split(reader.parens())
        column = token.name
    reader.expect(preposition)
    reader.take("ROLE")
    grantee = reader.name().name
    if which == "masking" and preposition == "TO" and reader.take("PRIORITY"):
        reader.number()
    reader.end()
    return literal(name), literal(table), literal(column), literal(grantee)
