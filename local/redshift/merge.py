"""MERGE in Redshift's grammar (r_MERGE), which is narrower than PostgreSQL's."""

from __future__ import annotations

from local.redshift.errors import Refused
from local.redshift.lexer import Reader, Token, split
from local.redshift.names import LongNames
from local.redshift.rewrite import dotted, identifier, render

SELF_REFERENCE = "Source view/subquery in Merge statement cannot reference target table."


def merge(reader: Reader, names: LongNames) -> tuple[str, list[str]]:
    """Return the target and the statements; the reader is after the word MERGE.

    Refuses a target alias, a qualified SET column, a missing, doubled or conditional WHEN, WITH, and a
    source that is or reads the target.
    """
    reader.expect("INTO")
    parts = reader.dotted()
    target = dotted(parts, names)
    reader.expect("USING")
    source, alias = _source(reader, parts, names)
    reader.expect("ON")
    condition = reader.until("WHEN", "REMOVE")
    _check_condition(condition)
    on = render(condition, names)
    if reader.take("REMOVE", "DUPLICATES"):
        reader.end()
        return target, _remove_duplicates(target, source, alias, on)
    whens = _whens(reader, names)
    return target, [f"MERGE INTO {target} USING {source}{alias and f' AS {alias}'} ON {on} {whens}"]


def _source(reader: Reader, target: list[Token], names: LongNames) -> tuple[str, str]:
    if reader.sees("("):
        query = reader.parens()
        _check_subquery(query, target)
        source = f"({render(query, names)})"
    else:
        parts = reader.dotted()
        if [part.name for part in parts] == [part.name for part in target]:
            raise Refused(SELF_REFERENCE)
        source = dotted(parts, names)
    named = reader.take("AS")
    if named or (reader.peek().is_name and not reader.sees("ON")):
        return source, identifier(reader.name(), names)
    return source, ""


def _check_subquery(query: list[Token], target: list[Token]) -> None:
    if query and query[0].is_("WITH"):
        raise Refused('syntax error at or near "WITH"')
    wanted = [part.name for part in target]
    for at, token in enumerate(query):
        if token.is_("FROM") or token.is_("JOIN") or token.is_(","):
            named = [part.name for part in query[at + 1 : at + 4 : 2] if part.is_name]
            if named == wanted or (len(wanted) == 1 and named[:1] == wanted):
                raise Refused(SELF_REFERENCE)


def _check_condition(condition: list[Token]) -> None:
    """Require equalities joined by AND: a MERGE matches by equality predicates."""
    if not condition:
        raise Refused("syntax error at end of input")
    for part in split(condition, "AND"):
        equals = sum(token.is_("=") for token in part)
        others = [token.text for token in part if token.text in ("<", ">", "<=", ">=", "<>", "!=")]
        if others or any(token.is_("OR") or token.is_("BETWEEN") for token in part) or not equals:
            raise Refused("MERGE ON condition must consist of equality predicates joined by AND")


def _whens(reader: Reader, names: LongNames) -> str:
    reader.expect("WHEN", "MATCHED", "THEN")  # Redshift allows no AND condition here
    if reader.take("DELETE"):
        matched = "DELETE"
    else:
        reader.expect("UPDATE", "SET")
        matched = f"UPDATE SET {_assignments(reader, names)}"
    reader.expect("WHEN", "NOT", "MATCHED", "THEN", "INSERT")
    listed = ""
    if reader.sees("("):
        listed = f" ({', '.join(identifier(_single(part), names) for part in split(reader.parens()))})"
    reader.expect("VALUES")
    values = render(reader.parens(), names)
    reader.end()
    return f"WHEN MATCHED THEN {matched} WHEN NOT MATCHED THEN INSERT{listed} VALUES ({values})"


def _assignments(reader: Reader, names: LongNames) -> str:
    assigned = []
    for part in split(reader.until("WHEN")):
        inner = Reader(part)
        column = inner.name()
        inner.expect("=")  # a dot here is a qualified column, which SET does not take
        assigned.append(f"{identifier(column, names)} = {render(inner.rest(), names)}")
    return ", ".join(assigned)


def _single(part: list[Token]) -> Token:
    reader = Reader(part)
    name = reader.name()
    reader.end()
    return name


def _remove_duplicates(target: str, source: str, alias: str, on: str) -> list[str]:
    named = f"{source} AS {alias}" if alias else source
    return [
        f"DELETE FROM {target} USING {named} WHERE {on}",
        f"INSERT INTO {target} SELECT DISTINCT * FROM {named}",
    ]
