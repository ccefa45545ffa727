"""The statements that exist and PostgreSQL's equivalents: anything else is a syntax error."""

from __future__ import annotations

from collections.abc import Callable

from local.redshift import copy_command, definitions, merge, policies
from local.redshift.errors import Refused
from local.redshift.lexer import END, Reader, tokens
from local.redshift.names import LongNames
from local.redshift.rewrite import identifier, literal, render
from local.redshift.translation import Statement, Translated

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


def translate(sql: str, names: LongNames, *, in_block: bool) -> Translated:
    """Return the translation of a Redshift statement; raises Refused if Redshift would not run it."""
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
    if reader.sees("USING", "("):
        raise Refused('syntax error at or near "("')  # USING table_name, ... and no subquery (DG:r_DELETE)
    return Translated(f"DELETE FROM {target} {statement.render()}", before=(_lock(target),))


def _lock(table: str) -> str:
    """Return the lock that an UPDATE, DELETE or MERGE holds to the end of its transaction.

    Writers that change rows wait for each other and for writers that add rows, as on Redshift; two
    transactions that both add and then change rows deadlock there too (c_write_readwrite).
    """
    return f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"


def _merge(statement: Statement) -> Translated:
    statement.reader.expect("MERGE")
    target, statements = merge.merge(statement.reader, statement.names)
    return Translated(statements[-1], before=(_lock(target), *statements[:-1]))


def _copy(statement: Statement) -> Translated:
    statement.reader.expect("COPY")
    return Translated(copy=copy_command.read(statement.reader, statement.names))


def _privileges(statement: Statement) -> Translated:
    """GRANT and REVOKE: as in PostgreSQL, except for the word ROLE before a role's name.

    The right to ignore row policies has no effect, since row policies have none here.
    """
    if statement.reader.take("GRANT", "IGNORE", "RLS", "TO", "ROLE"):
        return Translated(f"SELECT {literal(identifier(statement.reader.name(), statement.names))}::regrole")
    if statement.reader.sees("GRANT", "ASSUMEROLE") or statement.reader.sees("REVOKE", "ASSUMEROLE"):
        return _assume_role(statement)
    return Translated(statement.plain())


def _assume_role(statement: Statement) -> Translated:
    """Return the translation of GRANT and REVOKE ASSUMEROLE (DG:r_GRANT), which decide who may COPY.

    Which IAM role and what for is read and not kept.
    """
    reader = statement.reader
    verb = reader.take_any("GRANT", "REVOKE")
    reader.expect("ASSUMEROLE", "ON")
    if not reader.take_any("ALL", "DEFAULT"):
        reader.string()
    reader.expect("TO" if verb == "GRANT" else "FROM")
    reader.take_any("ROLE", "GROUP")
    grantee = "public" if reader.take("PUBLIC") else statement.names.stored(reader.name().name)
    reader.expect("FOR")
    if not reader.take_any("ALL", "COPY", "UNLOAD"):
        reader.unexpected()
    reader.end()
    if verb == "REVOKE":
        return Translated(f"DELETE FROM stand_in.assume_role WHERE grantee = {literal(grantee)}")
    return Translated(f"INSERT INTO stand_in.assume_role VALUES ({literal(grantee)}) ON CONFLICT DO NOTHING")


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
    "CREATE": definitions.create,
    "DROP": definitions.drop,
    "ALTER": definitions.change,
    "ATTACH": policies.attach,
    "DETACH": policies.detach,
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
