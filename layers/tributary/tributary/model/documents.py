"""The documents that a run's steps hand to each other through S3, and nothing else does.

A state's input and output only point at them: so state payloads stay small however many tables a
run has, and positions and bounds, which are values of rows, are in S3 objects alone. Each document
carries `format`: those of format 3 are upgraded as they are read (`format_3`), and those of a later one are
refused (`PlanOutdated`). What outlives runs (`Lasting`) is read by older and newer versions alike, which
ignore fields that they do not know.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Final = 4
Format = Literal[4]


class Document(BaseModel):
    """A frozen JSON document with no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Lasting(BaseModel):
    """A frozen JSON document that outlives runs, and so versions: new fields have defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class RunEvent(Document):
    """What the state machine hands to a step of a frozen run."""

    source: str
    run_id: str
