"""The source of the first day: a SQLite file that is in the layer of source files, under /opt."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

NAME = "first"
TABLES = 3
YAML = f"""engine: sqlite
secret: tributary/{NAME}
defaults: {{mode: merge, cursor: updated_at}}
tables:
  - include: main.*
"""


def write(folder: Path, opt: Path) -> str:
    """Write the source's file and its database into the folder, which is `opt` for functions.

    Return the secret's text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.yaml").write_text(YAML)
    database = sqlite3.connect(folder / f"{NAME}.sqlite")
    with database:
        for number in range(TABLES):
            database.execute(
                f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, note TEXT, updated_at DATETIME NOT NULL)"
            )
            rows = [(row, f"note {row}", f"2026-01-01 00:{row % 60:02d}:00") for row in range(1_000)]
            database.executemany(f"INSERT INTO t{number} VALUES (?, ?, ?)", rows)
    database.close()
    return json.dumps({"dbname": str(opt / f"{NAME}.sqlite")})
