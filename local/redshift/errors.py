"""The stand-in's errors, with Redshift's messages if they are known.

- `ApiError`: the Data API refuses the request itself, an exception at the caller.
- `SqlError`: a statement fails, which the caller sees as Status=FAILED with this text.
    - `Refused`: it fails before the database sees it, by a rule of Redshift's grammar.
"""

from __future__ import annotations

from collections.abc import Callable

from pg8000.exceptions import DatabaseError

RULE = "-" * 47
MULTIPLE_MATCHES = "Found multiple matches to update the same tuple."


class ApiError(Exception):
    """An exception of the Data API: its type's name, its message and its other members."""

    def __init__(self, kind: str, message: str, **members: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.members = {"Message": message, **members}

    @property
    def status(self) -> int:
        """Return the HTTP status: 500 for the API's faults, 400 for refused requests."""
        return 500 if self.kind.endswith(("ServerException", "StatementException")) else 400


class SqlError(Exception):
    """A statement's failure; the message is what DescribeStatement shows after ``ERROR: ``."""


class Refused(SqlError):
    """A statement that Redshift's grammar or rules do not allow."""


class Cancelled(SqlError):
    """A statement that was cancelled while it ran."""


def detailed(error: str, code: int, context: str, query: int | None = None) -> str:
    """Return an error in the block that Redshift's compute nodes print."""
    lines = [error, "  Detail:", f"  {RULE}", f"  error:  {error}", f"  code:      {code}"]
    lines.append(f"  context:   {context}")
    if query is not None:
        lines.append(f"  query:     {query}")
    return "\n".join([*lines, f"  {RULE}"])


def translated(error: DatabaseError) -> SqlError:
    """Return PostgreSQL's error with Redshift's message."""
    fields: dict[str, str] = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    if fields.get("C") == "57014":
        return Cancelled(fields["M"])
    worded = WORDED.get(fields.get("C", ""))
    text = worded(fields) if worded else None
    return SqlError(text or _plain(fields, str(error)))


def _plain(fields: dict[str, str], default: str) -> str:
    message = fields.get("M", default).replace(
        "permission denied for table", "permission denied for relation"
    )
    return f"{message}\n  Detail: {fields['D']}" if "D" in fields else message


def _conflict(fields: dict[str, str]) -> str:
    return (
        "1023\n  Detail: Serializable isolation violation on table, transactions forming the cycle are "
        f"not known to the stand-in ({fields['M']})"
    )


def _null(fields: dict[str, str]) -> str:
    text = f"Cannot insert a NULL value into column {fields.get('c')}"
    return detailed(text, 8007, text)


def _too_long(fields: dict[str, str]) -> str:
    context = fields["M"].replace("value too long", "Value too long", 1)
    return detailed("Value too long for character type", 8001, context)


def _check(fields: dict[str, str]) -> str | None:
    constraint = fields.get("n", "")
    if not constraint.startswith("varbyte_"):
        return None
    return f"value too long for type binary varying({constraint.split('_')[1]})"


def _user(fields: dict[str, str]) -> str | None:
    return fields["M"].replace("role", "user", 1) if fields["M"].startswith("role") else None


WORDED: dict[str, Callable[[dict[str, str]], str | None]] = {  # by SQLSTATE
    "40001": _conflict,
    "21000": lambda fields: MULTIPLE_MATCHES if "MERGE" in fields["M"] else None,
    "22001": _too_long,
    "23502": _null,
    "23514": _check,
    "22023": _user,  # SET SESSION AUTHORIZATION to a user that does not exist
    "42704": _user,
    "42710": _user,
    "428C9": lambda fields: "cannot set an identity column to a value",
}
