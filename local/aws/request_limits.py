"""Refuses requests that AWS's services refuse: lengths, ranges, patterns and enums of their own models.

A client of botocore checks types and required members, and leaves the other rules of its service models to
the service. moto has few of them. What is in no model has its page beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import botocore.session
import regex
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel, Shape

SIGNED_AS = {"states": "stepfunctions"}  # services whose signatures have another name than their models
READ = ("json", "rest-json", "query")  # protocols whose requests are read here; S3's has rules of its own
QUOTED_AT_MOST = 80  # characters of a value in a message


class Request(NamedTuple):
    """A request as HTTP has it: header names in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, environ: Mapping[str, Any], *, with_body: bool) -> Request:
        """Return the request of a WSGI environment; a body that is read is put back."""
        body = b""
        if with_body:
            body = environ["wsgi.input"].read()
            environ["wsgi.input"].seek(0)
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        path = environ.get("RAW_URI") or environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        return cls(environ["REQUEST_METHOD"], path.partition("?")[0], query, headers, body)


def refusal(service: str, environ: Mapping[str, Any]) -> tuple[str, str, bytes] | None:
    """Return the answer to a request that the service would refuse: status, content type, body; else None."""
    request = Request.of(environ, with_body=service != "s3")
    faults = list(_s3_faults(request) if service == "s3" else _faults(service, request))
    if not faults:
        return None
    message = f"{len(faults)} validation error{'s' * (len(faults) > 1)} detected: {'; '.join(faults)}"
    if service in ("s3", "sns"):
        code = "InvalidArgument" if service == "s3" else "InvalidParameter"
        error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
        whole = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        body = f"<Error>{error}</Error>" if service == "s3" else whole
        return "400 Bad Request", "application/xml", body.encode()
    body = json.dumps({"__type": "ValidationException", "message": message, "Message": message})
    return "400 Bad Request", "application/x-amz-json-1.1", body.encode()


def _faults(service: str, request: Request) -> Iterator[str]:
    model = _model(SIGNED_AS.get(service, service))
    if model is None:
        return
    operation, given = _parsed(model, request)
    if operation is None or operation.input_shape is None:
        return
    yield from shape_faults(operation.input_shape, given, "")
    yield from RULES.get((model.service_name, operation.name), _no_faults)(given)


@cache
def _model(service: str) -> ServiceModel | None:
    """Return the service's model, None if its requests are not read here."""
    try:
        model = _session().get_service_model(service)
    except UnknownServiceError:
        return None
    return model if model.metadata["protocol"] in READ else None


@cache
def _session() -> Any:
    return botocore.session.get_session()


# How each protocol writes the members of an operation


def _parsed(model: ServiceModel, request: Request) -> tuple[OperationModel | None, dict[str, Any]]:
    """Return the operation and its members, as far as they are read."""
    if model.metadata["protocol"] == "rest-json":
        return _of_rest_json(model, request)
    if model.metadata["protocol"] == "query":
        fields = {name: values[0] for name, values in parse_qs(request.body.decode(errors="replace")).items()}
        return _operation(model, fields.get("Action", "")), fields
    name = request.headers.get("x-amz-target", "").rpartition(".")[2]
    return _operation(model, name), _object(request.body)


def _operation(model: ServiceModel, name: str) -> OperationModel | None:
    return model.operation_model(name) if name in model.operation_names else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _of_rest_json(model: ServiceModel, request: Request) -> tuple[OperationModel | None, dict[str, Any]]:
    for method, pattern, name in _paths(model.service_name):
        if method == request.method and (match := pattern.fullmatch(request.path)):
            operation = model.operation_model(name)
            labels = {label: unquote(text) for label, text in match.groupdict().items()}
            return operation, dict(_members(operation, request, labels))
    return None, {}


@cache
def _paths(service: str) -> list[tuple[str, Any, str]]:
    """Return method, pattern of the path and name of each operation, the longest path first."""
    model = _model(service)
    assert model is not None
    paths = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = regex.escape(http["requestUri"].partition("?")[0], special_only=True)
        pattern = regex.sub(r"\\\{(\w+)(\\\+)?\\\}", _label, path)
        paths.append((http["method"], regex.compile(pattern), name))
    return sorted(paths, key=lambda one: -len(one[1].pattern))


def _label(match: Any) -> str:
    """Return the group that takes a label of a path: `{Name}` ends at a slash, `{Key+}` does not."""
    return f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"


def _members(
    operation: OperationModel, request: Request, labels: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Yield the members by their own names, from the path, the query and the body."""
    shape: Any = operation.input_shape
    body = {} if shape is None or "payload" in shape.serialization else _object(request.body)
    for name, member in (shape.members if shape else {}).items():
        written = member.serialization.get("name", name)
        location = member.serialization.get("location")
        if location == "uri" and written in labels:
            yield name, labels[written]
        elif location == "querystring" and written in request.query and member.type_name == "string":
            yield name, request.query[written][0]
        elif location is None and written in body:
            yield name, body[written]


# The rules of a model


def shape_faults(shape: Shape, value: Any, place: str) -> Iterator[str]:
    """Yield what the shape and the shapes inside it refuse of a value, each with its place."""
    if value is None:
        return
    kind, rules = shape.type_name, _rules(shape)
    if kind == "structure" and isinstance(value, dict):
        for name, member in shape.members.items():  # type: ignore[attr-defined]
            yield from shape_faults(member, value.get(name), f"{place}.{name}" if place else name)
    elif kind == "list" and isinstance(value, list):
        yield from _size_faults(rules, len(value), place)
        for number, one in enumerate(value, start=1):
            yield from shape_faults(shape.member, one, f"{place}.{number}.member")  # type: ignore[attr-defined]
    elif kind == "map" and isinstance(value, dict):
        yield from _size_faults(rules, len(value), place)
        for key, one in value.items():
            yield from shape_faults(shape.key, key, f"{place}.key")  # type: ignore[attr-defined]
            yield from shape_faults(shape.value, one, f"{place}.{key}")  # type: ignore[attr-defined]
    elif kind == "string" and isinstance(value, str):
        yield from _size_faults(rules, len(value), place)
        yield from _text_faults(rules, value, place)
    elif kind in ("integer", "long", "float", "double") and isinstance(value, int | float):
        yield from _number_faults(rules, value, place)


def _rules(shape: Shape) -> Mapping[str, Any]:
    raw: Mapping[str, Any] = shape._shape_model  # type: ignore[attr-defined]  # min and pattern have no accessor
    return raw


def _fault(place: str, value: object, must: str) -> str:
    shown, where = str(value)[:QUOTED_AT_MOST], f"{place[:1].lower()}{place[1:]}"
    return f"Value '{shown}' at '{where}' failed to satisfy constraint: Member must {must}"


def _size_faults(rules: Mapping[str, Any], size: int, place: str) -> Iterator[str]:
    if size < rules.get("min", 0):
        yield _fault(place, "", f"have length greater than or equal to {rules['min']}")
    if size > rules.get("max", size):
        yield _fault(place, f"of length {size}", f"have length less than or equal to {rules['max']}")


def _text_faults(rules: Mapping[str, Any], value: str, place: str) -> Iterator[str]:
    if "enum" in rules and value not in rules["enum"]:
        yield _fault(place, value, f"satisfy enum value set: {rules['enum']}")
    pattern = _compiled(rules["pattern"]) if "pattern" in rules else None
    if pattern is not None and not pattern.fullmatch(value):
        yield _fault(place, value, f"satisfy regular expression pattern: {rules['pattern']}")


def _number_faults(rules: Mapping[str, Any], value: float, place: str) -> Iterator[str]:
    if value < rules.get("min", value):
        yield _fault(place, value, f"have value greater than or equal to {rules['min']}")
    if value > rules.get("max", value):
        yield _fault(place, value, f"have value less than or equal to {rules['max']}")


@cache
def _compiled(pattern: str) -> Any:
    """Return the pattern, None if it is written in a way that only Java reads."""
    try:
        return regex.compile(pattern, regex.DOTALL)
    except regex.error:
        return None


# Rules that are in no model


def _no_faults(given: Mapping[str, Any]) -> Iterator[str]:
    yield from ()


def _publish_faults(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what SNS refuses of a message (docs.aws.amazon.com/sns/latest/api/API_Publish.html)."""
    subject = given.get("Subject")
    if subject is not None:
        if not 1 <= len(subject) <= 100:
            yield _fault("subject", subject, "have 1 to 100 characters")
        if not regex.fullmatch(r"[!-~][ -~]*", subject):
            yield _fault("subject", subject, "be ASCII text without line breaks that begins with no space")
    size = sum(len(value.encode()) for name, value in given.items() if name.startswith("Message"))
    if not given.get("Message") or size > 262_144:
        yield _fault("message", f"of {size} bytes", "have 1 to 262144 bytes with its attributes")


def _name_faults(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what Step Functions refuses of an execution's name (apireference/API_StartExecution.html)."""
    name = given.get("name") or ""
    if regex.search(r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\p{Cc}]', name):
        yield _fault("name", name, 'have no space and none of <>{}[]?*"#%\\^|~`$&,;:/')


RULES: dict[tuple[str, str], Callable[[Mapping[str, Any]], Iterator[str]]] = {
    ("sns", "Publish"): _publish_faults,
    ("stepfunctions", "StartExecution"): _name_faults,
}


def _s3_faults(request: Request) -> Iterator[str]:
    """Yield what S3 refuses (AmazonS3/latest/userguide: bucketnamingrules, object-keys, object-tagging)."""
    bucket, _, key = request.path.lstrip("/").partition("/")
    bucket, key = unquote(bucket), unquote(key)
    if bucket and not regex.fullmatch(r"(?!xn--)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        yield _fault("bucket", bucket, "have 3 to 63 lower-case letters, digits, dots and hyphens")
    if len(key.encode()) > 1024:
        yield _fault("key", key, "have at most 1024 bytes of UTF-8")
    tags = parse_qs(request.headers.get("x-amz-tagging", ""), keep_blank_values=True)
    if len(tags) > 10:
        yield _fault("tagging", f"of {len(tags)} tags", "have at most 10 tags")
    for name, (value, *_) in tags.items():
        if (
            len(name) > 128
            or len(value) > 256
            or not regex.fullmatch(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", name + value)
        ):
            yield _fault(
                "tagging", f"{name}={value}", "have names of 128 and values of 256 characters at most"
            )
