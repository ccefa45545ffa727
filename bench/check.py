"""What a contender wrote, read back: its rows, and a checksum that only equal values in equal order have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from local.demo.tables import LINEITEM


@dataclass(frozen=True, slots=True)
class Written:
    """Rows, checksum, size, and the type in which the decimals arrived."""

    rows: int
    checksum: str
    size_bytes: int
    decimals: str


def written(place: Path) -> Written:
    """Read the file, or every file of the folder in the order of their names."""
    files = sorted(place.rglob("*.parquet")) if place.is_dir() else [place]
    sums: dict[tuple[str, int], int] = {}
    rows, decimals = 0, "none"
    for file in files:
        parquet = pq.ParquetFile(file)
        decimals = str(parquet.schema_arrow.field("l_quantity").type)
        for batch in parquet.iter_batches(65_536, columns=list(LINEITEM.columns)):
            rows += batch.num_rows
            for name, type in LINEITEM.columns.items():
                for number, part in enumerate(_canonical(batch.column(name), type)):
                    sums[name, number] = crc32(part, sums.get((name, number), 0))
    total = crc32(repr(sorted(sums.items())).encode())
    return Written(rows, f"{total:08x}", sum(file.stat().st_size for file in files), decimals)


def _canonical(values: pa.Array, type: str) -> list[bytes]:
    """Return the values' bytes in one form, whatever type and batches a contender chose for them.

    A decimal of 15 digits is counted in hundredths, which a double holds exactly.
    """
    if type.startswith("DECIMAL"):
        cents = pc.round(pc.multiply(values.cast(pa.float64()), 100.0))
        return [_bytes(cents.cast(pa.int64()))]
    if type == "DATE":
        return [_bytes(values.cast(pa.date32()).cast(pa.int32()))]
    if type in ("BIGINT", "INTEGER"):
        return [_bytes(values.cast(pa.int64()))]
    texts = values.cast(pa.string())
    joined = "".join(texts.to_pylist()).encode()
    return [_bytes(pc.binary_length(texts)), joined]


def _bytes(values: pa.Array) -> bytes:
    if values.null_count:
        raise ValueError("lineitem has no NULL in these columns")
    width = values.type.bit_width // 8
    return values.buffers()[1].slice(values.offset * width, len(values) * width).to_pybytes()
