"""Names of everything a run writes on S3: pure functions of source, run, table, range and number.

The raw layer is `<source>/<YYYY>/<MM>/<DD>/<table>/…`, so each table's day is a folder that
Spectrum takes as a partition. Documents are apart, under `_runs/` and `_leases/`.
"""

from __future__ import annotations

import hashlib
import json
import re

from tributary.model.plan import RawName
from tributary.model.run_id import day_folder


def chunk_prefix(
    source: str, run_id: str, table: RawName, range_name: str, *, folder: str | None = None
) -> str:
    """Return what the keys of a range's chunks begin with.

    `folder`: the table's, if it is not the usual one; `range_name`: the range's number, or
    `<number>-<attempt>` if an attempt reads in one go and shares its chunks with no other.
    """
    folder = folder or table_folder(table)
    return f"{source}/{day_folder(run_id)}/{folder}/{folder}_{run_id}_{range_name}_"


def table_folder(table: RawName) -> str:
    """Return the table's name as a key can hold it, another one for each table.

    Usual names are kept. Others get a digest, since a user of the source chooses the name of a table;
    no usual name contains the `!` before it.
    """
    name = "-".join(table)
    usual = re.sub(r"[^a-z0-9_.-]", "-", name)
    if len(table) == 1 and usual == name and name.strip("."):
        return name
    return f"{usual}!{hashlib.sha256(json.dumps(table).encode()).hexdigest()[:32]}"


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


def manifest(source: str, run_id: str, folder: str) -> str:
    """Return the key of the COPY manifest of a run's chunks of a table, by the folder of the table.

    It is known without the run's plan: an external table finds a run's chunks by it.
    """
    return f"{run(source, run_id)}manifests/{folder}.json"


def replayed_manifest(source: str, run_id: str, number: int, run_number: int) -> str:
    """Return the key of the manifest of a run's chunks that a replay loads again."""
    return f"{run(source, run_id)}manifests/{number}-run-{run_number}.json"


def ledger(source: str, run_id: str) -> str:
    """Return the key of the run's load ledger."""
    return f"{run(source, run_id)}load.json"


def report(source: str, run_id: str) -> str:
    """Return the key of the run's report."""
    return f"{run(source, run_id)}report.json"
