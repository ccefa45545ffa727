"""The Data API's answers: statements and results as members and typed fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from local.redshift.requests import next_token
from local.redshift.session import Column, Result, Value
from local.redshift.statements import Part, Statement

BOOLEAN, BYTEA, JSONB, NUMERIC, VARCHAR, BPCHAR, TEXT = 16, 17, 3802, 1700, 1043, 1042, 25
INTEGERS = {20: ("int8", 19), 21: ("int2", 5), 23: ("int4", 10), 26: ("oid", 10)}
FLOATS = {700: ("float4", 8), 701: ("float8", 17)}
WORDS = {
    BOOLEAN: "bool",
    BYTEA: "varbyte",
    JSONB: "super",
    NUMERIC: "numeric",
    BPCHAR: "bpchar",
    19: "name",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    1266: "timetz",
}
JSON_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')


def submitted(statement: Statement, *, waited: bool) -> dict[str, Any]:
    """Return the answer to ExecuteStatement and BatchExecuteStatement."""
    answer: dict[str, Any] = {"Id": statement.id, "CreatedAt": statement.whole.created, **statement.where}
    answer.setdefault("DbUser", statement.user)
    if waited:
        answer |= {"Status": statement.whole.status, "HasResultSet": _has_result_set(statement)}
    return answer


def _has_result_set(statement: Statement) -> bool:
    return any(part.has_result_set for part in statement.parts) and statement.whole.status == "FINISHED"


def described(statement: Statement, part: Part, identifier: str) -> dict[str, Any]:
    """Return the answer to DescribeStatement; `part` is the whole statement or one of its batch."""
    whole = part is statement.whole
    answer = {
        **_part(part, identifier),
        **statement.where,
        "DbUser": statement.where.get("DbUser", statement.user),
        "RedshiftPid": statement.pid,
    }
    if whole:
        answer["HasResultSet"] = _has_result_set(statement)
        if statement.parameters:
            answer["QueryParameters"] = statement.parameters
    if whole and statement.batch:
        numbered = enumerate(statement.parts, start=1)
        answer["SubStatements"] = [_part(each, f"{statement.id}:{number}") for number, each in numbered]
    return answer


def _part(part: Part, identifier: str) -> dict[str, Any]:
    description: dict[str, Any] = {
        "Id": identifier,
        "Status": part.status,
        "CreatedAt": part.created,
        "UpdatedAt": part.updated,
        "Duration": part.duration_ns,
        "HasResultSet": part.has_result_set,
        "QueryString": part.sql,
        "RedshiftQueryId": part.query if part.started_ns else -1,
        "ResultRows": part.result.count,
        "ResultSize": sum(len(value or "") for row in part.result.rows for value in row),
    }
    return {**description, "Error": part.error} if part.error else description


def listed(statements: list[Statement], start: int, most: int) -> dict[str, Any]:
    """Return one page of ListStatements."""
    page = [_entry(statement) for statement in statements[start : start + most]]
    more = start + most < len(statements)
    return {"Statements": page, **({"NextToken": next_token(start + most)} if more else {})}


def _entry(statement: Statement) -> dict[str, Any]:
    texts = [part.sql for part in statement.parts]
    return {
        "Id": statement.id,
        "StatementName": statement.name,
        "Status": statement.whole.status,
        "CreatedAt": statement.whole.created,
        "UpdatedAt": statement.whole.updated,
        "IsBatchStatement": statement.batch,
        **({"QueryStrings": texts} if statement.batch else {"QueryString": texts[0]}),
    }


def page(result: Result, start: int, most: int) -> dict[str, Any]:
    """Return one page of GetStatementResult."""
    rows = result.rows[start : start + most]
    records = [[_field(v, c.type_oid) for v, c in zip(row, result.columns, strict=True)] for row in rows]
    answer: dict[str, Any] = {
        "Records": records,
        "ColumnMetadata": [_metadata(column) for column in result.columns],
        "TotalNumRows": len(result.rows),
    }
    if start + most < len(result.rows):
        answer["NextToken"] = next_token(start + most)
    return answer


def _field(value: Value, type_oid: int) -> dict[str, Any]:
    """Return a cell: decimals, dates, times, binaries and SUPER travel as strings."""
    if value is None:
        return {"isNull": True}
    if type_oid == BOOLEAN:
        return {"booleanValue": value == "t"}
    if type_oid in INTEGERS:
        return {"longValue": int(value)}
    if type_oid in FLOATS:
        return {"doubleValue": float(value) if value[-1].isdigit() else value}  # NaN and Infinity as texts
    return {"stringValue": TEXTS.get(type_oid, str)(value)}


TEXTS: dict[int, Callable[[str], str]] = {
    BYTEA: lambda value: value.removeprefix("\\x"),
    JSONB: lambda value: JSON_BLANKS.sub(lambda match: match[1] or "", value),
}


def _metadata(column: Column) -> dict[str, Any]:
    precision, scale = _size(column)
    numeric = column.type_oid in INTEGERS or column.type_oid in FLOATS or column.type_oid == NUMERIC
    return {
        "name": column.name,
        "label": column.name,
        "typeName": _word(column.type_oid),
        "precision": precision,
        "scale": scale,
        "length": 0,
        "nullable": 1,
        "isCaseSensitive": column.type_oid in (VARCHAR, BPCHAR, TEXT),
        "isCurrency": False,
        "isSigned": numeric,
        "schemaName": "",
        "tableName": "",
    }


def _word(type_oid: int) -> str:
    known = INTEGERS.get(type_oid) or FLOATS.get(type_oid)
    return known[0] if known else WORDS.get(type_oid, "varchar")


def _size(column: Column) -> tuple[int, int]:
    known = INTEGERS.get(column.type_oid) or FLOATS.get(column.type_oid)
    if known:
        return known[1], 0
    if column.type_oid == NUMERIC and column.type_modifier > 0:
        packed = column.type_modifier - 4
        return packed >> 16, packed & 0xFFFF
    if column.type_oid in (VARCHAR, BPCHAR) and column.type_modifier > 0:
        return column.type_modifier - 4, 0
    return 0, 0
