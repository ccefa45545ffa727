"""What commit 52fccad stored, recorded by its own code (`make fixtures`), moved to a source and a time.

Run ids are times, and checkpoints are only taken from recent runs: so all of them are shifted, with the names
of folders and objects that hold them.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tributary.model.run_id import day_folder, run_id_at, started_at

FOLDER = Path(__file__).parent / "fixtures" / "format_3"
SOURCE = "format3"
RUN_ID = re.compile(r"(\d{4}/\d\d/\d\d/[^/\"]+/[^/\"]+?_)?(\d{8}_\d{6})")


@dataclass(frozen=True)
class Recording:
    """The recorded objects and statements, of a source by another name, whose last run was `ago`."""

    source: str = SOURCE
    ago: timedelta = timedelta(hours=1)

    @cached_property
    def _shift(self) -> timedelta:
        text = (FOLDER / "broken.json").read_text()
        newest = max(run_id for _, run_id in RUN_ID.findall(text))
        return datetime.now(UTC).replace(microsecond=0) - self.ago - started_at(newest)

    def _moved(self, text: str) -> str:
        def moved(match: re.Match[str]) -> str:
            run_id = run_id_at(started_at(match[2]) + self._shift)
            return (f"{day_folder(run_id)}{match[1][10:]}" if match[1] else "") + run_id

        return RUN_ID.sub(moved, text).replace(SOURCE, self.source)

    def _read(self, name: str) -> Any:
        return json.loads(self._moved((FOLDER / name).read_text()))

    def documents(self, *, broken: bool = False) -> dict[str, Any]:
        """Return the JSON objects by key; `broken`: with those of the run that was broken off."""
        documents: dict[str, Any] = self._read("documents.json")
        return {**documents, **self._read("broken.json")["documents"]} if broken else documents

    def objects(self, *, broken: bool = False) -> dict[str, bytes]:
        """Return all objects of the raw bucket by key."""
        chunks = {**self._read("chunks.json"), **(self._read("broken.json")["chunks"] if broken else {})}
        documents = self.documents(broken=broken).items()
        return {key: json.dumps(document).encode() for key, document in documents} | {
            key: base64.b64decode(content) for key, content in chunks.items()
        }

    def warehouse(self) -> list[str]:
        """Return the statements that make the warehouse's tables, their rows and control rows."""
        statements: list[str] = self._read("warehouse.json")
        return statements

    def file(self, name: str, *, broken: bool = False) -> str:
        """Return the file of a recorded source."""
        text: str = self._read("sources.json")["files"][name]
        return text if broken else re.sub(r".*name: late.*\n", "", text)

    def statements(self, name: str, *, broken: bool = False) -> list[str]:
        """Return the statements that make a recorded source's database."""
        statements: list[str] = self._read("sources.json")["statements"][name]
        first = [place for place, sql in enumerate(statements) if sql.startswith("CREATE TABLE late")]
        return statements if broken or not first else statements[: first[0]]
