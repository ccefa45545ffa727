"""The Redshift Data API over HTTP: JSON 1.1 requests in, its answers and exceptions out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from local.databases.postgres import Postgres
from local.redshift import answers, bootstrap, requests
from local.redshift.errors import ApiError
from local.redshift.names import fold
from local.redshift.requests import Caller
from local.redshift.statements import Part, Statement, Statements

ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")


class DataApi:
    """The stand-in as a WSGI application.

    `identify` maps an access key to the caller's IAM role, None for an administrator. `s3` returns the
    boto3 client that COPY reads through, by the ARN of COPY's role. `endpoints` are the names of the
    workgroups and clusters that exist, None for any name. `throttle` is called before each operation and
    may return the name of an exception to raise. `user_of_secret` returns the database user of a secret,
    None for an administrator.
    """

    def __init__(
        self,
        postgres: Postgres,
        *,
        identify: Callable[[str], str | None] = lambda key: None,
        s3: Callable[[str | None], Any] | None = None,
        database: str = "warehouse",
        endpoints: Collection[str] | None = None,
        throttle: Callable[[str], str | None] = lambda operation: None,
        user_of_secret: Callable[[str], str | None] = lambda arn: None,
        page_rows: int = 1000,
    ) -> None:
        self.database = database
        self.throttle = throttle
        self._identify = identify
        self._user_of_secret = user_of_secret
        self._endpoints = endpoints
        self._page_rows = page_rows
        self._s3 = s3
        self._statements = Statements(postgres, database)
        self._operations: dict[str, Callable[[dict[str, Any], Caller], dict[str, Any]]] = {
            "ExecuteStatement": self._execute,
            "BatchExecuteStatement": self._batch_execute,
            "DescribeStatement": self._describe,
            "GetStatementResult": self._result,
            "ListStatements": self._list,
            "CancelStatement": self._cancel,
        }

    def close(self) -> None:
        """Cancel running statements and close their sessions."""
        self._statements.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            status, body = 200, self._answer(environ)
        except ApiError as error:
            status, body = error.status, {"__type": error.kind, **error.members}
        except Exception as error:
            status, body = (
                500,
                {"__type": "InternalServerException", "Message": f"{type(error).__name__}: {error}"},
            )
        content = json.dumps(body).encode()
        kind = body.get("__type", "")
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(content)))]
        start_response(f"{status} {'OK' if status == 200 else kind}", headers)
        return [content]

    def _answer(self, environ: WSGIEnvironment) -> dict[str, Any]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("RedshiftData.")
        if operation not in self._operations:
            raise ApiError("UnknownOperationException", f"{operation} is not part of the stand-in")
        refused = self.throttle(operation)
        if refused:
            raise ApiError(refused, "Rate exceeded", StatementId="")
        caller = self._caller(environ.get("HTTP_AUTHORIZATION", ""))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        request = json.loads(environ["wsgi.input"].read(length) or b"{}")
        return self._operations[operation](request, caller)

    def _caller(self, authorization: str) -> Caller:
        match = ACCESS_KEY.search(authorization)
        if not match:
            raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
        return Caller(match[1], self._identify(match[1]))

    def s3(self, role: str | None) -> Any:
        """Return the client through which a role, by its ARN, reads for COPY; None for the default role."""
        return self._s3(role) if self._s3 else None

    def _execute(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        sqls = requests.substituted([requests.sql(request.get("Sql"))], request.get("Parameters"))
        return self._submit(sqls, request, caller, batch=False)

    def _batch_execute(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        sqls = requests.substituted(requests.sqls(request.get("Sqls")), request.get("Parameters"))
        return self._submit(sqls, request, caller, batch=True)

    def _submit(
        self, sqls: list[str], request: dict[str, Any], caller: Caller, *, batch: bool
    ) -> dict[str, Any]:
        where = requests.where(request, self._endpoints)
        user = self._user(where, caller)

        def build(identifier: str) -> Statement:
            parts = [self._statements.new_part(sql) for sql in sqls]
            return Statement(
                id=identifier,
                owner=caller.name,
                user=user,
                name=request.get("StatementName", ""),
                parts=parts,
                whole=Part(sqls[0] if not batch else "", parts[0].query),
                where=where,
                batch=batch,
                one_transaction=request.get("ExecutionMode", "TRANSACTION") == "TRANSACTION",
                parameters=request.get("Parameters", []),
            )

        statement = self._statements.submit(build, caller.name, requests.token(request), self.s3)
        self._wait(statement, request)
        return answers.submitted(statement, waited="WaitTimeSeconds" in request)

    def _user(self, where: dict[str, str], caller: Caller) -> str:
        """Return the database user: the secret's, the named one, or the IAM role's."""
        if "SecretArn" in where:
            name = self._user_of_secret(where["SecretArn"])
            if name:
                self._statements.ensure_admin(self._statements.names.stored(fold(name)))
            name = name or bootstrap.ADMIN
        elif "DbUser" in where:
            name = where["DbUser"]
        else:
            name = f"IAMR:{caller.role}" if caller.role else bootstrap.ADMIN
        return self._statements.names.stored(fold(name))

    def _wait(self, statement: Statement, request: dict[str, Any]) -> None:
        seconds = request.get("WaitTimeSeconds")
        if seconds is None:
            return
        if not isinstance(seconds, int) or not 1 <= seconds <= 30:
            raise ApiError("ValidationException", "WaitTimeSeconds must be between 1 and 30")
        self._statements.wait(statement, seconds)

    def _found(self, request: dict[str, Any], caller: Caller) -> tuple[Statement, Part]:
        """Return the statement of the request's Id and the named part; without ``:n`` the whole."""
        identifier, _, number = requests.identifier(request.get("Id")).partition(":")
        statement = self._statements.get(identifier, caller.name)
        if not statement or (number and not 1 <= int(number) <= len(statement.parts)):
            raise ApiError("ResourceNotFoundException", "Query does not exist.", ResourceId=request["Id"])
        return statement, statement.parts[int(number) - 1] if number else statement.whole

    def _describe(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        statement, part = self._found(request, caller)
        self._wait(statement, request)
        return answers.described(statement, part, request["Id"])

    def _result(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        statement, part = self._found(request, caller)
        self._wait(statement, request)
        if not part.has_result_set or (statement.batch and part is statement.whole):
            raise ApiError(
                "ResourceNotFoundException",
                "Query does not have result. Please check query status with DescribeStatement.",
                ResourceId=request["Id"],
            )
        return answers.page(part.result, requests.offset(request.get("NextToken")), self._page_rows)

    def _list(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        status = request.get("Status", "FINISHED")
        prefix = request.get("StatementName", "")
        wanted = [
            statement
            for statement in self._statements.of(caller.name)
            if status in ("ALL", statement.whole.status) and statement.name.startswith(prefix)
        ]
        return answers.listed(
            wanted, requests.offset(request.get("NextToken")), request.get("MaxResults") or 100
        )

    def _cancel(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        statement, _ = self._found(request, caller)
        if not self._statements.cancel(statement):
            raise ApiError(
                "ValidationException",
                f"Could not cancel a query that is already in {statement.whole.status} state "
                f"with ID: {statement.id}.",
            )
        return {"Status": True}
