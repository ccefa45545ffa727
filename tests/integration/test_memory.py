"""Extraction's memory, measured from outside: it grows neither with a table's rows nor with their width."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.databases.postgres import Postgres

ROOT = Path(__file__).parents[2]
AT_MOST_MB = 159  # 200 above a process that has not imported pyarrow yet, which takes 41


@pytest.mark.parametrize(
    ("rows", "columns", "value"),
    [
        pytest.param(1_500_000, 1, "n::text", id="20 bytes"),
        pytest.param(40, 80, "repeat(md5(n::text), 2040)", id="5 MB"),
    ],
)
def test_memory_is_bounded_for_rows_of_any_width(
    postgres: Postgres, tmp_path: Path, rows: int, columns: int, value: str
) -> None:
    admin = postgres.connect()
    admin.run("CREATE DATABASE bench")
    session = postgres.connect("bench")
    texts = ", ".join(f"{value} AS t{number}" for number in range(columns))
    session.run(f"CREATE TABLE t AS SELECT n AS id, {texts} FROM generate_series(1, {rows}) AS n")
    session.run("ALTER TABLE t ADD PRIMARY KEY (id)")
    session.close()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.tributary", "postgresql", str(postgres.port), "t", str(tmp_path)],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "tributary")]),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        admin.run("DROP DATABASE bench WITH (FORCE)")
        admin.close()

    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["rows"] == rows
    assert figures["peak_mb"] - figures["imported_mb"] < AT_MOST_MB
