"""Which statements there are, and what PostgreSQL runs for each: anything else is a syntax error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.redshift import alter, copy_command, merge, tables
from local.redshift.copy_command import Copy
from local.redshift.errors import Refused
from local.redshift.lexer import END, Reader, tokens
from local.redshift.names import LongNames
from local.redshift.rewrite import dotted, identifier, literal, render

VACUUM_IN_BLOCK = "VACUUM cannot run inside a transaction block"
ELSEWHERE = (
    "UNLOAD",
    "CALL",
    "DECLARE",
    "FETCH",
    "CLOSE",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "REFRESH",
    "USE",
)
TRANSACTIONS = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT")
SETTABLE = ("search_path", "statement_timeout", "timezone")
IGNORED_SETTINGS = (
    *("query_group", "enable_result_cache_for_session", "application_name", "wlm_query_slot_count"),
    *("describe_field_name_in_uppercase", "json_parse_truncate_strings", "analyze_threshold_percent"),
)


@dataclass(frozen=True, slots=True)
class Translated:
    """A statement for PostgreSQL: `sql` gives the answer, '' where there is nothing to run."""

    sql: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    copy: Copy | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement being read: where the reader stands, and whether a transaction block is around it."""

    reader: Reader
    names: LongNames
    in_block: bool

    def render(self) -> str:
        """Return everything that is left as PostgreSQL takes it."""
        return render(self.reader.rest(), self.names)

    def dotted(self) -> str:
        """Pass a name with its schema and return it quoted."""
        return dotted(self.reader.dotted(), self.names)


def translate(sql: str, names: LongNames, *, in_block: bool) -> Translated:
    """Return what to run for a statement of Redshift; raises Refused where Redshift would not run it."""
    source = tokens(sql)
    reader = Reader(source)
    if not source:
        return Translated()
    first = reader.peek()
    if first.word in TRANSACTIONS:
        raise Refused(f"{first.word} is not run by the stand-in: the Data API opens and ends the transaction")
    if first.word in ELSEWHERE:
        raise Refused(f"{first.word} is not part of the stand-in")
    statement = Statement(reader, names, in_block)
    if first.is_("("):
        return Translated(statement.render())
    read = STATEMENTS.get(first.word)
    if read is None:
        reader.unexpected()
    return read(statement)


def _select(statement: Statement) -> Translated:
    return Translated(statement.render())


def _with(statement: Statement) -> Translated:
    reader = Reader(source := statement.reader.rest())
    reader.until("SELECT", "UPDATE", "DELETE", "INSERT", "MERGE")
    if reader.peek().word in ("INSERT", "MERGE"):
        reader.unexpected()
    return Translated(render(source, statement.names))


def _insert(statement: Statement) -> Translated:
    statement.reader.expect("INSERT", "INTO")
    target = statement.dotted()
    if statement.reader.sees("AS"):
        statement.reader.unexpected()
    return Translated(f"INSERT INTO {target} {statement.render()}")


def _update(statement: Statement) -> Translated:
    statement.reader.expect("UPDATE")
    target = statement.dotted()
    return Translated(f"UPDATE {target} {statement.render()}", before=(_lock(target),))


def _delete(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("DELETE")
    reader.take("FROM")
    target = statement.dotted()
    if reader.peek() is not END and not reader.sees("USING") and not reader.sees("WHERE"):
        reader.unexpected()
    return Translated(f"DELETE FROM {target} {statement.render()}", before=(_lock(target),))


def _lock(table: str) -> str:
    """Return the lock that an UPDATE, DELETE or MERGE holds to the end of its transaction.

    Writers that change rows wait for each other and for those who add some, as on Redshift; two
    transactions that both add and then change deadlock there too (c_write_readwrite).
    """
    return f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"


def _merge(statement: Statement) -> Translated:
    statement.reader.expect("MERGE")
    target, statements = merge.merge(statement.reader, statement.names)
    return Translated(statements[-1], before=(_lock(target), *statements[:-1]))


def _copy(statement: Statement) -> Translated:
    statement.reader.expect("COPY")
    return Translated(copy=copy_command.read(statement.reader, statement.names))


def _create(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("CREATE")
    if reader.take("SCHEMA"):
        return _create_schema(statement)
    if reader.take_any("USER", "ROLE", "GROUP"):
        return _create_user(statement)
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
    """Let those who create the same thing wait for each other, as the catalog's locks do on Redshift."""
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


def _create_user(statement: Statement) -> Translated:
    reader = statement.reader
    name = identifier(reader.name(), statement.names)
    options = "".join(" SUPERUSER CREATEROLE" for token in reader.rest() if token.is_("CREATEUSER"))
    return Translated(f"CREATE ROLE {name} LOGIN{options}")


def _create_view(statement: Statement) -> Translated:
    reader = statement.reader
    replace = "OR REPLACE " if reader.take("OR", "REPLACE") else ""
    if reader.take_any("MATERIALIZED", "EXTERNAL", "FUNCTION", "PROCEDURE", "DATABASE", "LIBRARY", "MODEL"):
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


RESTORE_LATE_VIEWS = "SELECT stand_in.restore_late_views()"


def _drop(statement: Statement) -> Translated:
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
        return Translated(sql, before=_release(named), after=(RESTORE_LATE_VIEWS,))
    if kind == "VIEW":
        return Translated(sql, after=tuple(f"SELECT stand_in.forget_late_view({literal(n)})" for n in named))
    return Translated(sql)


def _release(named: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"SELECT stand_in.release_late_views({literal(name)})" for name in named)


def _alter(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("ALTER")
    if reader.take("DEFAULT", "PRIVILEGES"):
        return Translated(f"ALTER DEFAULT PRIVILEGES {_plain(statement)}")
    if reader.take("USER"):
        reader.name()
        reader.expect("PASSWORD")
        reader.next()
        return Translated()
    reader.expect("TABLE")
    name, statements = alter.alter(reader, statement.names, in_block=statement.in_block)
    if not statements:
        return Translated(f"SELECT {literal(name)}::regclass")
    checks = tuple(sql for sql in statements if sql.startswith("SELECT"))
    first, *rest = [sql for sql in statements if sql not in checks]
    return Translated(first, before=(*checks, *_release([name])), after=(*rest, RESTORE_LATE_VIEWS))


def _privileges(statement: Statement) -> Translated:
    """GRANT and REVOKE: the words are PostgreSQL's own, but for roles that are named as such."""
    return Translated(_plain(statement))


def _plain(statement: Statement) -> str:
    source = statement.reader.rest()
    kept = [
        token
        for at, token in enumerate(source)
        if not (token.is_("ROLE") and at and source[at - 1].word in ("TO", "FROM", "GRANT", "REVOKE"))
    ]
    return " ".join(
        identifier(token, statement.names) if token.kind == "quoted" else token.text for token in kept
    )


def _truncate(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("TRUNCATE")
    reader.take("TABLE")
    table = statement.dotted()
    reader.end()
    if statement.in_block:
        raise Refused("TRUNCATE in a batch commits the transaction around it; the stand-in makes it an error")
    return Translated(f"TRUNCATE {table}")


def _vacuum(statement: Statement) -> Translated:
    if statement.in_block:
        raise Refused(VACUUM_IN_BLOCK)
    statement.reader.rest()
    return Translated()


def _analyze(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("ANALYZE")
    reader.take("VERBOSE")
    return Translated(f"ANALYZE {statement.dotted()}") if reader.peek().is_name else Translated()


def _lock_table(statement: Statement) -> Translated:
    statement.reader.expect("LOCK")
    statement.reader.take("TABLE")
    return Translated(f"LOCK TABLE {statement.render()} IN ACCESS EXCLUSIVE MODE")


def _set(statement: Statement) -> Translated:
    reader = statement.reader
    reader.expect("SET")
    reader.take_any("SESSION", "LOCAL")
    setting = reader.next().name
    if not reader.take("TO") and not reader.take("="):
        reader.unexpected()
    if setting in SETTABLE:
        return Translated(f"SET {setting} TO {statement.render()}")
    if setting not in IGNORED_SETTINGS:
        raise Refused(f'setting "{setting}" is not part of the stand-in')
    return Translated()


def _explained(statement: Statement) -> Translated:
    return Translated(statement.render())


STATEMENTS: dict[str, Callable[[Statement], Translated]] = {
    "SELECT": _select,
    "WITH": _with,
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "MERGE": _merge,
    "COPY": _copy,
    "CREATE": _create,
    "DROP": _drop,
    "ALTER": _alter,
    "GRANT": _privileges,
    "REVOKE": _privileges,
    "COMMENT": _privileges,
    "TRUNCATE": _truncate,
    "VACUUM": _vacuum,
    "ANALYZE": _analyze,
    "LOCK": _lock_table,
    "SET": _set,
    "SHOW": _explained,
    "EXPLAIN": _explained,
}
