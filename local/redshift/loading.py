"""Running a COPY: the manifest's objects are read from S3, checked, and sent to the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from local.redshift import parquet
from local.redshift.copy_command import Copy
from local.redshift.errors import SqlError, detailed
from local.redshift.names import quote
from local.redshift.parquet import Mismatch, Target
from local.redshift.rewrite import literal
from local.redshift.session import Session

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attidentity,
  CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) THEN a.atttypmod - 4 END,
  (SELECT max(split_part(k.conname, '_', 2)::integer) FROM pg_constraint k
    WHERE k.conrelid = a.attrelid AND k.conkey = ARRAY[a.attnum] AND k.conname LIKE 'varbyte@_%' ESCAPE '@')
FROM pg_attribute a WHERE a.attrelid = {table}::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


class LoadError(SqlError):
    """A COPY that failed on its data, with what SYS_LOAD_ERROR_DETAIL shows beside the text."""

    def __init__(self, text: str, mismatch: Mismatch, file_name: str) -> None:
        super().__init__(text)
        self.mismatch = mismatch
        self.file_name = file_name


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a COPY loaded."""

    rows: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Object:
    """An object to load; `size_bytes` comes from the manifest, None without a manifest."""

    bucket: str
    key: str
    size_bytes: int | None
    mandatory: bool

    @property
    def url(self) -> str:
        """Return the object's address."""
        return f"s3://{self.bucket}/{self.key}"


def load(copy: Copy, session: Session, s3: Any, query: int) -> Loaded:
    """Run the COPY in the session's transaction; raises SqlError, or LoadError if the data is at fault."""
    targets = _targets(copy, session)
    objects = list(_listed(copy, s3))
    for bucket in {item.bucket for item in objects}:
        _check_region(bucket, s3)
    files = [(item, file) for item in objects if (file := read(item, s3, query)) is not None]
    for item, (_, file) in files:
        guarded(
            lambda f=file, i=item: parquet.check(
                f, _filled(copy, targets, f), i.url, to_json=copy.serialize_to_json
            ),
            item,
            query,
        )
    return _send(copy, targets, session, files, query)


def columns(table: str, session: Session) -> list[Target]:
    """Return the columns of a table (quoted name) in order."""
    return _described(session.run(COLUMNS.format(table=literal(table))).rows)


def _described(rows: Sequence[Sequence[str | None]]) -> list[Target]:
    return [
        Target(str(name), str(kind), _size(varchar, varbyte), not_null == "t")
        for name, kind, not_null, _, _, varchar, varbyte in rows
    ]


def _targets(copy: Copy, session: Session) -> list[Target]:
    """Return the columns in the file's order: the list's, else the table's without IDENTITY columns."""
    rows = session.run(COLUMNS.format(table=literal(copy.quoted))).rows
    known = {target.name: target for target in _described(rows)}
    always = {str(row[0]) for row in rows if row[4] == "a"}
    if copy.columns is None:
        return [target for name, target in known.items() if copy.explicit_ids or name not in always]
    for listed in copy.columns:
        if listed not in known:
            raise SqlError(f'column "{listed}" of relation "{copy.table[-1]}" does not exist')
        if listed in always and not copy.explicit_ids:
            raise SqlError(f'cannot set an identity column to a value: "{listed}" needs EXPLICIT_IDS')
    for name, _, not_null, has_default, identity, *_ in rows:
        if not_null == "t" and has_default == "f" and not identity and name not in copy.columns:
            raise SqlError("NOT NULL column without DEFAULT must be included in column list")
    return [known[listed] for listed in copy.columns]


def _size(varchar: str | None, varbyte: str | None) -> int | None:
    size = varchar or varbyte
    return int(size) if size else None


def _filled(copy: Copy, targets: list[Target], file: pq.ParquetFile) -> list[Target]:
    """Return the columns that the file fills: FILLRECORD leaves its missing trailing ones NULL."""
    return targets[: len(file.schema_arrow)] if copy.fill_record else targets


def _listed(copy: Copy, s3: Any) -> Iterator[Object]:
    bucket, key = copy.source.removeprefix("s3://").split("/", 1)
    if copy.manifest:
        yield from manifest(bucket, key, s3)
        return
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    for page in pages:  # a prefix, not a name; one that matches nothing loads nothing
        yield from (Object(bucket, item["Key"], None, True) for item in page.get("Contents", []))


def manifest(bucket: str, key: str, s3: Any) -> Iterator[Object]:
    """Yield the manifest's objects; raises SqlError if it cannot be read."""
    try:
        entries = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["entries"]
    except ClientError as error:
        details = error.response["Error"]
        raise SqlError(
            f"Problem reading manifest file - S3ServiceException:{details['Message']},Error {details['Code']}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SqlError(
            "Problem reading manifest file - the manifest is not valid JSON with entries"
        ) from error
    for entry in entries:
        yield _entry(entry)


def _entry(entry: dict[str, Any]) -> Object:
    unknown = set(entry) - {"url", "mandatory", "meta"}
    match = re.fullmatch(r"s3://([^/]+)/(.+)", str(entry.get("url")))
    if unknown or not match:
        raise SqlError(f"Problem reading manifest file - entry without a valid url: {sorted(entry)}")
    size = (entry.get("meta") or {}).get("content_length")
    if not isinstance(size, int):
        raise SqlError("Problem reading manifest file - columnar data requires meta.content_length")
    return Object(match[1], match[2], size, entry.get("mandatory") is True)


def _check_region(bucket: str, s3: Any) -> None:
    try:
        location = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
    except ClientError as error:
        raise SqlError(f"S3ServiceException:{error.response['Error']['Message']}") from error
    if location != s3.meta.region_name:
        raise SqlError(
            "S3ServiceException:The bucket you are attempting to access must be addressed using the "
            f"specified endpoint: it is in {location}.,Status 301,Error PermanentRedirect"
        )


def read(item: Object, s3: Any, query: int) -> tuple[int, pq.ParquetFile] | None:
    """Return an object's size and file, None if it is missing and not mandatory."""
    try:
        if "//" in item.key:  # seen on Redshift: such keys are not found
            raise FileNotFoundError
        body = s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].read()
    except (s3.exceptions.NoSuchKey, FileNotFoundError):
        if not item.mandatory:
            return None
        raise _load_error(Mismatch("File not found"), item, query) from None
    if item.size_bytes not in (None, len(body)):
        context = f"content_length of the manifest is {item.size_bytes}, the object has {len(body)} bytes"
        raise _load_error(Mismatch(context), item, query)
    try:
        return len(body), pq.ParquetFile(pa.BufferReader(body))
    except pa.ArrowInvalid as error:
        raise _load_error(Mismatch(f"File has an invalid version number: {error}"), item, query) from error


def _load_error(mismatch: Mismatch, item: Object, query: int) -> LoadError:
    error = mismatch.context if mismatch.code != 15007 else f"Spectrum Scan Error: {_first(mismatch.context)}"
    return LoadError(detailed(error, mismatch.code, mismatch.context, query), mismatch, item.url)


def _first(context: str) -> str:
    return "File not found" if context == "File not found" else context.split("\n", maxsplit=1)[0]


def guarded(check: Any, item: Object, query: int) -> None:
    """Run the check; raises its Mismatch as the LoadError of the object."""
    try:
        check()
    except Mismatch as mismatch:
        raise _load_error(mismatch, item, query) from mismatch


def _send(
    copy: Copy,
    targets: list[Target],
    session: Session,
    files: Sequence[tuple[Object, tuple[int, pq.ParquetFile]]],
    query: int,
) -> Loaded:
    rows = 0
    for item, (_, file) in files:
        filled = _filled(copy, targets, file)
        names = ", ".join(quote(target.name) for target in filled)
        try:
            rows += session.copy(
                f"COPY {copy.quoted} ({names}) FROM STDIN (FORMAT csv)", parquet.lines(file, filled)
            )
        except Mismatch as mismatch:
            raise _load_error(mismatch, item, query) from mismatch
    session.run(f"SELECT set_config('stand_in.last_copy_count', '{rows}', false)")
    return Loaded(rows, len(files), sum(size for _, (size, _) in files))
