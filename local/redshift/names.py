"""Identifiers as Redshift treats them, stored in a database with shorter names.

Redshift folds ASCII letters to lower case even inside quotes and cuts a name at 127 bytes (r_names).
PostgreSQL has 63 bytes: a longer name is stored under its start and a digest, and system views, column
labels and error texts show the full name.
"""

from __future__ import annotations

import hashlib
import re
import string
import threading

REDSHIFT_BYTES = 127
POSTGRES_BYTES = 63
DIGEST = 16
STORED = re.compile(rf"[^\s\"'.,()]+~[0-9a-f]{{{DIGEST}}}")
FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold(name: str) -> str:
    """Return the name in lower case (ASCII letters alone) and at most 127 bytes long.

    The user of an IAM role keeps its case, since `IAMR:Loader` is the identity that AWS sends.
    """
    folded = name if name.startswith(("IAM:", "IAMR:")) else name.translate(FOLD)
    return _head(folded, REDSHIFT_BYTES)


def _head(name: str, size_bytes: int) -> str:
    return name.encode()[:size_bytes].decode(errors="ignore")


def quote(name: str) -> str:
    """Return the stored name as an identifier of PostgreSQL."""
    return '"' + name.replace('"', '""') + '"'


class LongNames:
    """The names over 63 bytes that this process has seen, by their stored name."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self._known = dict(known or {})
        self._new: dict[str, str] = {}
        self._lock = threading.Lock()

    def stored(self, name: str) -> str:
        """Return the name that PostgreSQL stores for a folded one."""
        if len(name.encode()) <= POSTGRES_BYTES:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST]
        short = f"{_head(name, POSTGRES_BYTES - DIGEST - 1)}~{digest}"
        with self._lock:
            if short not in self._known:
                self._known[short] = self._new[short] = name
        return short

    def take_new(self) -> dict[str, str]:
        """Return the names that this method has not returned yet, so that they can be stored."""
        with self._lock:
            new, self._new = self._new, {}
        return new

    def restored(self, text: str) -> str:
        """Return the text with every stored name in it replaced by the full one."""
        if "~" not in text:
            return text
        return STORED.sub(lambda match: self._known.get(match[0], match[0]), text)
