"""The columns that Tributary adds to those of a source, by name and type."""

from __future__ import annotations

from typing import Final

from tributary.model.plan import Mode

PREFIX: Final = "_tributary"  # of names that no column of a source may have
SEQUENCE: Final = f"{PREFIX}_seq"  # the order of reading; among rows of equal key the last one read wins
DIGEST: Final = f"{PREFIX}_digest"  # of a staged row of a history, before it is its row_digest
FROM: Final = f"{PREFIX}_from"  # when a staged row's version of a history starts
KIND: Final = f"{PREFIX}_kind"  # a partition column of the raw layer's external tables

SOURCE_SYSTEM: Final = "source_system"
LOAD_TIMESTAMP: Final = "load_timestamp"
RUN_ID: Final = "run_id"
ADDED: Final = {  # to every table of the warehouse
    SOURCE_SYSTEM: "VARCHAR(50)",
    LOAD_TIMESTAMP: "TIMESTAMP",
    RUN_ID: "VARCHAR(15)",
}

VALID_FROM: Final = "valid_from"
VALID_TO: Final = "valid_to"
IS_CURRENT: Final = "is_current"
ROW_DIGEST: Final = "row_digest"
HISTORY: Final = {  # to every history, beside those
    VALID_FROM: "TIMESTAMP",
    VALID_TO: "TIMESTAMP",
    IS_CURRENT: "BOOLEAN",
    ROW_DIGEST: "VARCHAR(32)",
}


def added(mode: Mode) -> dict[str, str]:
    """Return the columns, with their types, that a table of the mode has beside the source's."""
    return ADDED | HISTORY if mode == "history" else ADDED
