"""Names of everything a run writes on S3: pure functions of source, run, table, range and number.

The raw layer is `<source>/<YYYY>/<MM>/<DD>/<table>/…`, so each table's day is a folder that
Spectrum takes as a partition. Documents are apart, under `_runs/` and `_leases/`.
"""

from __future__ import annotations

import re
import zlib

from tributary.model.run_id import day_folder


def chunk_prefix(source: str, run_id: str, table: str, range_name: str) -> str:
    """Return what the keys of a range's chunks begin with.

    `run_id` is `<YYYYMMDD>_<HHMMSS>`; `table` the warehouse's name; `range_name` the range's
    number, or `<number>-<attempt>` if an attempt reads in one go and shares its chunks with no other.
    """
    folder = _folder(table)
    return f"{source}/{day_folder(run_id)}/{folder}/{folder}_{run_id}_{range_name}_"


def _folder(table: str) -> str:
    """Return the table's name as a key can carry it; odd names get a mark that keeps them apart."""
    plain = re.sub(r"[^a-z0-9_.-]", "-", table)
    return plain if plain == table else f"{plain}-{zlib.crc32(table.encode()):08x}"


def chunk(prefix: str, number: int) -> str:
    """Return the key of a chunk; numbers start at 1 and sort as text."""
    return f"{prefix}{number:06d}.parquet"


def chunk_number(key: str) -> int:
    """Return the number in a chunk's key."""
    return int(key.removesuffix(".parquet").rpartition("_")[2])


def lease(source: str) -> str:
    """Return the key of the source's lease."""
    return f"_leases/{source}.json"


def serials(source: str) -> str:
    """Return the key of the maxima of integer cursors that earlier plans of the source saw."""
    return f"_leases/{source}.serials.json"


def fingerprints(source: str) -> str:
    """Return the key of the catalog fingerprints that the source's tables had when they were loaded."""
    return f"_leases/{source}.fingerprints.json"


def pause_bases(source: str) -> str:
    """Return the key of what the tables' last tries rested on."""
    return f"_leases/{source}.bases.json"


def begun(source: str) -> str:
    """Return the key of which runs began to read the source's tables."""
    return f"_leases/{source}.begun.json"


def loaded(source: str) -> str:
    """Return the key of what the last publishes of the source committed."""
    return f"_leases/{source}.loaded.json"


def source_health(source: str) -> str:
    """Return the key of the source's failure counts and pauses."""
    return f"_leases/{source}.health.json"


def source_health_of_format_3(source: str) -> str:
    """Return the key that the counts had in the first versions: read until the present one exists."""
    return f"_leases/{source}.standing.json"


def raw_tables(source: str) -> str:
    """Return the key of what the external tables of the source show."""
    return f"_leases/{source}.raw_tables.json"


def run(source: str, run_id: str) -> str:
    """Return the folder of a run's documents, with its slash."""
    return f"_runs/{source}/{run_id}/"


def plan(source: str, run_id: str) -> str:
    """Return the key of the plan's head: once it exists, the run is frozen."""
    return f"{run(source, run_id)}plan.json"


def item(prefix: str, number: int) -> str:
    """Return the key of an item under the prefix that the plan names."""
    return f"{prefix}{number}.json"


def replayed(prefix: str, number: int, run: int) -> str:
    """Return the key of a run that a replay loads again, under the prefix that the plan names."""
    return f"{prefix}{number}-run-{run}.json"


def results(source: str, run_id: str) -> str:
    """Return the folder of the tables' results, with its slash."""
    return f"{run(source, run_id)}results/"


def result(source: str, run_id: str, number: int, range_index: int | None = None) -> str:
    """Return the key of what Extract did with a table, or with one of the ranges that it is read in."""
    name = f"{number}" if range_index is None else f"{number}-{range_index}"
    return f"{results(source, run_id)}{name}.json"


def manifest(source: str, run_id: str, table: str) -> str:
    """Return the key of the COPY manifest of a run's chunks of a table; `table` is the warehouse's name.

    It is known without the run's plan: an external table finds a run's chunks by it.
    """
    return f"{run(source, run_id)}manifests/{_folder(table)}.json"


def replayed_manifest(source: str, run_id: str, number: int, run_number: int) -> str:
    """Return the key of the manifest of a run's chunks that a replay loads again."""
    return f"{run(source, run_id)}manifests/{number}-run-{run_number}.json"


def ledger(source: str, run_id: str) -> str:
    """Return the key of the run's load ledger."""
    return f"{run(source, run_id)}load.json"


def report(source: str, run_id: str) -> str:
    """Return the key of the run's report."""
    return f"{run(source, run_id)}report.json"
