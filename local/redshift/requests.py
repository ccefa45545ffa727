"""The checks of a request's members, as the Data API makes them."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from local.redshift.errors import ApiError
from local.redshift.lexer import TOKEN
from local.redshift.rewrite import literal

STATEMENTS_AT_MOST = 40
STATEMENT_BYTES = 100_000
IDENTIFIER = re.compile(r"[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\d{0,2})?")


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: the access key and its IAM role, None for an administrator."""

    key: str
    role: str | None

    @property
    def name(self) -> str:
        """Return the owner of statements: the role, regardless of its key."""
        return f"role/{self.role}" if self.role else f"user/{self.key}"


def refuse(message: str) -> NoReturn:
    """Raise the API's ValidationException."""
    raise ApiError("ValidationException", message)


def sql(text: object) -> str:
    """Return a statement's text, at most 100 KB of it."""
    if not isinstance(text, str) or not text.strip():
        refuse("Sql statement must not be empty")
    if len(text.encode()) >= STATEMENT_BYTES:
        refuse("Cannot process query string larger than 100kB")
    return text


def sqls(texts: object) -> list[str]:
    """Return a batch's statements, 1 to 40 of them."""
    if not isinstance(texts, list) or not texts:
        refuse("Sqls must hold at least one statement")
    if len(texts) > STATEMENTS_AT_MOST:
        refuse(
            "1 validation error detected: Value at 'sqls' failed to satisfy constraint: "
            f"Member must have length less than or equal to {STATEMENTS_AT_MOST}"
        )
    return [sql(text) for text in texts]


def where(request: dict[str, Any], endpoints: Collection[str] | None) -> dict[str, str]:
    """Return the request's fields for the warehouse and its user; raises ApiError for a wrong combination."""
    kept = ("Database", "WorkgroupName", "ClusterIdentifier", "DbUser", "SecretArn")
    members = {name: str(request[name]) for name in kept if request.get(name)}
    if request.get("SessionId") or request.get("SessionKeepAliveSeconds"):
        refuse("sessions that outlive a call are not part of the stand-in")
    if ("WorkgroupName" in members) == ("ClusterIdentifier" in members):
        refuse("Exactly one of WorkgroupName and ClusterIdentifier must be given")
    if "Database" not in members:
        refuse("Database is required")
    if "DbUser" in members and ("SecretArn" in members or "WorkgroupName" in members):
        refuse("DbUser is allowed with ClusterIdentifier and without SecretArn only")
    name = members.get("WorkgroupName") or members["ClusterIdentifier"]
    if endpoints is not None and name not in endpoints:
        refuse(f"Redshift endpoint doesn't exist in this region: {name}")
    return members


def token(request: dict[str, Any]) -> str:
    """Return the client's token, '' if it has none."""
    given = request.get("ClientToken")
    if given is not None and not 1 <= len(given) <= 64:
        refuse("ClientToken must have 1 to 64 characters")
    return given or ""


def identifier(given: object) -> str:
    """Return a statement's id, with its ``:n`` if it names a part."""
    if not isinstance(given, str) or not IDENTIFIER.fullmatch(given):
        refuse("id must satisfy regex pattern: " + IDENTIFIER.pattern)
    return given


def offset(next_token: str | None) -> int:
    """Return the place where a page begins."""
    if not next_token:
        return 0
    try:
        return int(base64.b64decode(next_token, validate=True))
    except ValueError:
        refuse("Invalid NextToken")


def next_token(place: int) -> str:
    """Return the token of the page that begins at a place."""
    return base64.b64encode(str(place).encode()).decode()


def substituted(texts: Sequence[str], parameters: object) -> list[str]:
    """Return the statements with ``:name`` replaced by its value, an untyped literal.

    A value is text, never NULL and never empty, and each must be used by one statement at least.
    """
    if parameters is None:
        return list(texts)
    if not isinstance(parameters, list) or not parameters:
        refuse("Parameters list contains less than 1 item; omit it instead")
    values = {given["name"]: _value(given) for given in parameters}
    if len(values) != len(parameters):
        refuse("Parameters list contains duplicate names")
    used: set[str] = set()
    replaced = [_replaced(text, values, used) for text in texts]
    if unused := sorted(set(values) - used):
        refuse(f"Parameters list contains unused parameters. Unused parameters: {unused}")
    return replaced


def _value(given: dict[str, Any]) -> str:
    value = given.get("value")
    if not isinstance(value, str) or not value:
        refuse(f"the value of parameter {given.get('name')!r} must be a string of at least one character")
    if not re.fullmatch(r"[0-9a-zA-Z_]+", str(given.get("name"))):
        refuse(f"the name of parameter {given.get('name')!r} must match [0-9a-zA-Z_]+")
    return value


def _replaced(text: str, values: dict[str, str], used: set[str]) -> str:
    written = []
    for match in TOKEN.finditer(text):
        name = match[0][1:]
        if match.lastgroup == "parameter":
            if name not in values:
                refuse(f"Parameters list is missing parameter: {name}")
            used.add(name)
        written.append(literal(values[name]) if match.lastgroup == "parameter" else match[0])
    return "".join(written)
