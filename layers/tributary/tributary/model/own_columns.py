"""The columns that Tributary adds to those of a source, by name and type."""

from __future__ import annotations

from tributary.model.plan import Mode

SEQUENCE = "_tributary_seq"  # the order of reading; among rows of equal key the last one read wins
DIGEST, FROM = "_tributary_digest", "_tributary_from"  # what a staged row of a history has besides
ADDED = {  # the columns that every table of the warehouse gets
    "source_system": "VARCHAR(50)",
    "load_timestamp": "TIMESTAMP",
    "run_id": "VARCHAR(15)",
}
HISTORY = {  # and those that tell its versions apart, where it is a history
    "valid_from": "TIMESTAMP",
    "valid_to": "TIMESTAMP",
    "is_current": "BOOLEAN",
    "row_digest": "VARCHAR(32)",
}


def added(mode: Mode) -> dict[str, str]:
    """Return the columns, with their types, that a table of the mode has beside the source's."""
    return ADDED | HISTORY if mode == "history" else ADDED
