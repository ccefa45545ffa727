"""CREATE, DROP and ALTER: of schemas, tables, views and users."""

from __future__ import annotations

from collections.abc import Sequence

from local.redshift import alter, external, policies, tables
from local.redshift.errors import Refused
from local.redshift.lexer import Reader
from local.redshift.rewrite import identifier, literal, render
from local.redshift.translation import Statement, Translated

RESTORE_LATE_VIEWS = "SELECT stand_in.restore_late_views()"


def create(statement: Statement) -> Translated:
    """Return the translation of a CREATE."""
    reader = statement.reader
    reader.expect("CREATE")
    if reader.take("SCHEMA"):
        return _create_schema(statement)
    if kind := reader.take_any("USER", "ROLE", "GROUP"):
        return _create_user(statement, kind)
    policy = policies.kind(reader)
    if policy:
        return policies.create(statement, policy)
    if reader.take("EXTERNAL"):
        return external.create(statement)
    local = reader.take("LOCAL")
    temporary = bool(reader.take_any("TEMP", "TEMPORARY"))
    if reader.take("TABLE"):
        name = _peek_name(reader)
        first, *rest = tables.create(reader, statement.names, temporary=temporary)
        return Translated(first, before=_one_at_a_time(name), after=(*rest, RESTORE_LATE_VIEWS))
    if local or temporary:
        reader.unexpected()
    return _create_view(statement)


def _peek_name(reader: Reader) -> str:
    start = 3 if reader.sees("IF", "NOT", "EXISTS") else 0
    return ".".join(part.name for part in (reader.peek(start), reader.peek(start + 2)) if part.is_name)


def _one_at_a_time(name: str) -> tuple[str, ...]:
    """Make sessions that create the same thing wait for each other, as Redshift's catalog locks do."""
    return (f"SELECT pg_advisory_xact_lock(hashtextextended({literal(name)}, 0))",)


def _create_schema(statement: Statement) -> Translated:
    reader = statement.reader
    missing_only = "IF NOT EXISTS " if reader.take("IF", "NOT", "EXISTS") else ""
    token = reader.name()
    name = identifier(token, statement.names)
    owner = (
        f" AUTHORIZATION {identifier(reader.name(), statement.names)}" if reader.take("AUTHORIZATION") else ""
    )
    if reader.take("QUOTA"):
        reader.rest()
    reader.end()
    return Translated(f"CREATE SCHEMA {missing_only}{name}{owner}", before=_one_at_a_time(token.name))


def _create_user(statement: Statement, kind: str) -> Translated:
    """Return the translation of CREATE USER, ROLE and GROUP: only users can log in.

    A role's name must be unique and cannot be a user's name (DG:r_CREATE_ROLE). PostgreSQL has one
    namespace for all of them, and so refuses the second one.
    """
    reader = statement.reader
    name = identifier(reader.name(), statement.names)
    options = "".join(" SUPERUSER CREATEROLE" for token in reader.rest() if token.is_("CREATEUSER"))
    return Translated(f"CREATE ROLE {name} {'LOGIN' if kind == 'USER' else 'NOLOGIN'}{options}")


def _create_view(statement: Statement) -> Translated:
    reader = statement.reader
    replace = "OR REPLACE " if reader.take("OR", "REPLACE") else ""
    if reader.take_any("MATERIALIZED", "FUNCTION", "PROCEDURE", "DATABASE", "LIBRARY", "MODEL"):
        raise Refused("this kind of CREATE is not part of the stand-in")
    reader.expect("VIEW")
    name = statement.dotted()
    listed = f" ({render(reader.parens(), statement.names)})" if reader.sees("(") else ""
    reader.expect("AS")
    query = reader.rest()
    late = [token.word for token in query[-4:]] == ["WITH", "NO", "SCHEMA", "BINDING"]
    body = render(query[:-4] if late else query, statement.names)
    if late:
        if "." not in name:
            raise Refused("late binding views must name their schema")
        return Translated(
            f"SELECT stand_in.define_late_view({literal(name)}, {literal(f'{listed} AS {body}')})"
        )
    return Translated(f"CREATE {replace}VIEW {name}{listed} AS {body}", before=_one_at_a_time(name))


def drop(statement: Statement) -> Translated:
    """Return the translation of a DROP."""
    reader = statement.reader
    reader.expect("DROP")
    kind = reader.take_any("TABLE", "VIEW", "SCHEMA", "USER", "ROLE", "GROUP")
    if not kind:
        reader.unexpected()
    present_only = "IF EXISTS " if reader.take("IF", "EXISTS") else ""
    named = [statement.dotted()]
    while reader.take(","):
        named.append(statement.dotted())
    behaviour = reader.take_any("CASCADE", "RESTRICT")
    reader.end()
    word = "ROLE" if kind in ("USER", "ROLE", "GROUP") else kind
    sql = f"DROP {word} {present_only}{', '.join(named)} {behaviour}".rstrip()
    if kind == "TABLE":
        alone = _alone(statement, named, "DROP EXTERNAL TABLE")
        return Translated(sql, before=(*alone, *_release(named)), after=(RESTORE_LATE_VIEWS,))
    if kind == "VIEW":
        return Translated(sql, after=tuple(f"SELECT stand_in.forget_late_view({literal(n)})" for n in named))
    return Translated(sql)


def _release(named: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"SELECT stand_in.release_late_views({literal(name)})" for name in named)


def _alone(statement: Statement, named: Sequence[str], what: str) -> tuple[str, ...]:
    """Return checks that refuse the statement in a transaction block if it concerns an external table."""
    if not statement.in_block:
        return ()
    return tuple(f"SELECT stand_in.refuse_external({literal(name)}, {literal(what)})" for name in named)


def change(statement: Statement) -> Translated:
    """Return the translation of an ALTER."""
    reader = statement.reader
    reader.expect("ALTER")
    if reader.take("DEFAULT", "PRIVILEGES"):
        return Translated(f"ALTER DEFAULT PRIVILEGES {statement.plain()}")
    if reader.take("USER"):
        reader.name()
        reader.expect("PASSWORD")
        reader.next()
        return Translated()
    if reader.take("ROLE"):
        return _change_role(statement)
    if reader.take("SCHEMA"):
        return _change_schema(statement)
    return _change_table(statement)


def _change_role(statement: Statement) -> Translated:
    """Return the translation of ALTER ROLE (DG:r_ALTER_ROLE); who has the role keeps it."""
    reader = statement.reader
    name = identifier(reader.name(), statement.names)
    reader.expect("RENAME", "TO")
    new = identifier(reader.name(), statement.names)
    reader.end()
    return Translated(f"ALTER ROLE {name} RENAME TO {new}")


def _change_schema(statement: Statement) -> Translated:
    reader = statement.reader
    name = identifier(reader.name(), statement.names)
    reader.expect("OWNER", "TO")
    owner = identifier(reader.name(), statement.names)
    reader.end()
    return Translated(f"ALTER SCHEMA {name} OWNER TO {owner}")


def _change_table(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("TABLE")
    if partitions := external.partitions(statement):
        return partitions
    name, statements = alter.alter(reader, statement.names, in_block=statement.in_block)
    if not statements:
        return Translated(f"SELECT {literal(name)}::regclass")
    checks = tuple(sql for sql in statements if sql.startswith("SELECT"))
    first, *rest = [sql for sql in statements if sql not in checks]
    alone = _alone(statement, [name], "ALTER EXTERNAL TABLE")
    return Translated(first, before=(*alone, *checks, *_release([name])), after=(*rest, RESTORE_LATE_VIEWS))
