"""The raw bucket, as the few operations that the pipeline needs.

Every step may run twice at once, so all writes that matter are conditional: an object is created
once (`create`) or replaced only as it was read (`replace`). S3's own refusals become ours here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from tributary import aws_errors
from tributary.aws_errors import unreachable
from tributary.errors import InternalError, PlanOutdated, StorageUnavailable
from tributary.model import format_3

DocumentT = TypeVar("DocumentT", bound=BaseModel)

CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
MISSING = ("NoSuchKey", "404")
BUSY = aws_errors.BUSY | {
    *("InternalError", "RequestTimeout", "OperationAborted", "503", "500"),
    *(
        "KMS.ThrottlingException",
        "KMS.InternalException",
        "KMS.DependencyTimeoutException",
    ),  # of the bucket's key
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as listed: its key and its size."""

    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """The raw bucket behind a botocore S3 client."""

    client: Any
    name: str

    def create(self, key: str, body: bytes) -> bool:
        """Write the object unless it exists; return whether it was written."""
        return self._put(key, body, IfNoneMatch="*") is not None

    def create_raw(self, key: str, body: BinaryIO) -> bool:
        """Like `create`, for a file and the raw layer: lifecycle rules find its objects by their tag."""
        return self._put(key, body, IfNoneMatch="*", Tagging="layer=raw") is not None

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write the object if it is still the one that was read; return its new ETag, None if it is not."""
        return self._put(key, body, IfMatch=etag)

    def put(self, key: str, body: bytes) -> None:
        """Write an object whose content is the same by every writer."""
        self._put(key, body)

    def _put(self, key: str, body: bytes | BinaryIO, **condition: str) -> str | None:
        try:
            with translated(key):
                answer = self.client.put_object(Bucket=self.name, Key=key, Body=body, **condition)
        except _Conflict:
            return None
        return str(answer["ETag"])

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return the object's content and its ETag, None if it is missing."""
        try:
            with translated(key):
                answer = self.client.get_object(Bucket=self.name, Key=key)
                return answer["Body"].read(), answer["ETag"]
        except _Missing:
            return None

    def read_tail(self, key: str, size_bytes: int) -> bytes:
        """Return the last bytes of an object that exists."""
        with translated(key):
            answer = self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes=-{size_bytes}")
            content: bytes = answer["Body"].read()
            return content

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield the objects under the prefix in key order."""
        with translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", []):
                    yield Stored(entry["Key"], entry["Size"])

    def document(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return the document in the object, None if it is missing.

        Raises PlanOutdated if a version of Tributary wrote it whose documents are not known.
        """
        content = self.read(key)
        return None if content is None else parse(content[0], key, kind)

    def document_of_any_version(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return the document whichever version wrote it, None if it is missing or lacks what is needed."""
        stored = self.read(key)
        if stored is None:
            return None
        try:
            content = format_3.upgraded(json.loads(stored[0]), kind)
            content.pop("format", None)
            return kind.model_validate(content, extra="ignore")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class Documents(Protocol):
    """Where the documents of runs are read: the bucket, or the archive of all versions."""

    def document(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return the document that the object holds, None if it is missing."""


class _Conflict(Exception):
    """The condition of a write did not hold."""


class _Missing(Exception):
    """The object read does not exist."""


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Turn S3's refusals into ours: their code and the key, never their text."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in CONFLICTS:
            raise _Conflict from None
        if code in MISSING:
            raise _Missing from None
        if code in BUSY:
            raise StorageUnavailable(f"S3 answered {code} for {key}") from None
        raise InternalError(f"S3 refused {key}: {code}; check the function's role and the bucket") from None
    except BotoCoreError as error:
        raise StorageUnavailable(f"{key}: {unreachable('S3', error)}") from None


def parse(content: bytes, key: str, kind: type[DocumentT]) -> DocumentT:
    """Return the document in the content; raises PlanOutdated if neither our format nor format 3 fits."""
    try:
        return kind.model_validate_json(content)
    except ValidationError:
        pass
    try:
        return kind.model_validate(format_3.upgraded(json.loads(content), kind))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PlanOutdated(f"{key}: run was planned by another version; start it again") from None


def body(document: BaseModel) -> bytes:
    """Return the document as the bytes to store."""
    return document.model_dump_json(exclude_none=True).encode()
