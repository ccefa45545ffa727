"""COPY's grammar: columnar files only, with the options that they may have.

(copy-usage_notes-copy-from-columnar)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from local.redshift.errors import Refused
from local.redshift.lexer import END, Reader, split
from local.redshift.names import LongNames
from local.redshift.rewrite import dotted

ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+(,arn:aws[a-z-]*:iam::\d{12}:role/\S+)*")
NOT_FOR_PARQUET_WORDS = """
REGION COMPUPDATE TRUNCATECOLUMNS MAXERROR NOLOAD ACCEPTANYDATE BLANKSASNULL EMPTYASNULL DATEFORMAT TIMEFORMAT
DELIMITER IGNOREHEADER NULL ENCODING GZIP ZSTD BZIP2 LZOP ROUNDEC TRIMBLANKS ESCAPE QUOTE REMOVEQUOTES
COMPROWS IGNOREBLANKLINES IGNOREALLERRORS SSH READRATIO MASTER_SYMMETRIC_KEY ENCRYPTED
"""
NOT_FOR_PARQUET = frozenset(NOT_FOR_PARQUET_WORDS.split())


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY that the grammar allows; `columns` is None without a column list."""

    table: tuple[str, ...]
    quoted: str
    columns: tuple[str, ...] | None
    source: str
    manifest: bool
    role: str | None = None  # its ARN; None for the default role or credentials
    fill_record: bool = False
    serialize_to_json: bool = False
    explicit_ids: bool = False


def read(reader: Reader, names: LongNames) -> Copy:
    """Return the COPY; the reader is after its first word."""
    table = reader.dotted()
    columns = tuple(part[0].name for part in split(reader.parens())) if reader.sees("(") else None
    reader.expect("FROM")
    source = reader.string().string
    if not re.fullmatch(r"s3://[^/]+/.+", source):
        raise Refused(f"The specified S3 prefix '{source}' is not part of the stand-in: s3://bucket/key is")
    options, role = _options(reader)
    if "PARQUET" not in options:
        raise Refused("COPY of the stand-in reads FORMAT AS PARQUET only")
    if "AUTHORIZED" not in options:
        raise Refused("COPY requires IAM_ROLE or CREDENTIALS")
    return Copy(
        table=tuple(names.stored(part.name) for part in table),
        quoted=dotted(table, names),
        columns=columns and tuple(map(names.stored, columns)),
        source=source,
        manifest="MANIFEST" in options,
        role=role,
        fill_record="FILLRECORD" in options,
        serialize_to_json="SERIALIZETOJSON" in options,
        explicit_ids="EXPLICIT_IDS" in options,
    )


def _options(reader: Reader) -> tuple[set[str], str | None]:
    """Return the options, and the ARN of the role that COPY reads with."""
    options: set[str] = set()
    role: str | None = None
    while reader.peek() is not END:
        if reader.take("IAM_ROLE"):
            role, option = _role(reader), "AUTHORIZED"
        else:
            option = _option(reader)
        if option in options:
            raise Refused("conflicting or redundant options")
        options.add(option)
    return options, role


def _option(reader: Reader) -> str:
    word = reader.peek().word
    if word in NOT_FOR_PARQUET:
        raise Refused(f"{word} argument is not supported for PARQUET based COPY")
    if reader.take("CREDENTIALS"):
        reader.take("AS")
        reader.string()
        return "AUTHORIZED"
    if reader.take("FORMAT"):
        reader.take("AS")
        if not reader.sees("PARQUET"):
            raise Refused("COPY of the stand-in reads FORMAT AS PARQUET only")
    if reader.take("STATUPDATE"):
        reader.take_any("ON", "OFF", "TRUE", "FALSE")
        return "STATUPDATE"
    option = reader.take_any(
        "PARQUET", "MANIFEST", "FILLRECORD", "SERIALIZETOJSON", "EXPLICIT_IDS", "ACCEPTINVCHARS"
    )
    if not option:
        reader.unexpected()
    if option == "ACCEPTINVCHARS" and reader.take("AS"):
        reader.string()
    return option


def _role(reader: Reader) -> str | None:
    if reader.take("DEFAULT"):
        return None
    arn = reader.string().string
    if not ROLE.fullmatch(arn):
        raise Refused(f"Invalid IAM role ARN: {arn}")
    return arn.split(",")[-1]  # of a chain, the last role reads
