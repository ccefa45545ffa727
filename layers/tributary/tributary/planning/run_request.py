"""What an execution asks of a run."""

from __future__ import annotations

from dataclasses import dataclass

from tributary.model.plan import ReadRequest


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A source, or some of its tables, or all of their rows, or a part of them."""

    source: str
    execution_arn: str
    started_at: str
    tables: tuple[str, ...] | None = None
    full_refresh: bool = False
    read_request: ReadRequest | None = None
    may_vanish: str | None = None  # overrides the source's file for this run

    @property
    def is_replay(self) -> bool:
        """Return whether tables are rebuilt from the raw layer, without reading the source."""
        return self.read_request is not None and self.read_request.what == "replay"

    @property
    def is_usual(self) -> bool:
        """Return whether the run reads what is new of all tables, as a scheduled run does."""
        return self.tables is None and not self.full_refresh and self.read_request is None
