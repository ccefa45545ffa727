"""The stretch of an answer that is in sight: read from the driver's buffered socket, kept in one place.

Memory that is filled again and again costs neither allocation nor copies, which for a fast source is
most of what reading takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SIGHT_BYTES = 2 << 20  # enough rows at once for what is paid per stretch
ENDING_BYTES = 16  # no less than what tells an answer's end
ROOM_BYTES = 1 << 16  # more than the file buffers, so that it reads past its buffer into ours


class Window:
    """`content[start:end]` is what was read and not yet used."""

    def __init__(self, file: Any) -> None:
        self.start = self.end = 0
        self.content = bytearray(SIGHT_BYTES + ROOM_BYTES)
        self._file = file
        self._buffered = True
        self._ending = False

    def read(self, ends: Callable[[bytearray, int, int], bool], *, at_least: int = 0) -> None:
        """Read a whole sight, or `at_least` so many bytes; less where the answer may end before that.

        `ends` says whether something between two places of the content may be an answer's end. A source
        that is slower than its reader would otherwise be read in small pieces, each with its costs.
        """
        left = self.end - self.start
        if self.start:
            self.content[:left] = self.content[self.start : self.end]
        self.start, self.end = 0, left
        # What may be the end and began in the last piece has to come whole, and nothing may come after it.
        full = max(at_least, left + 1, 0 if self._ending else SIGHT_BYTES)
        self._ending = self._ending and not at_least
        if len(self.content) < full + ROOM_BYTES:
            self.content.extend(bytes(full + ROOM_BYTES - len(self.content)))
        while self.end < full:
            seen = max(0, self.end - ENDING_BYTES)  # the end may have come in two pieces
            self.end += self._read_some()
            if ends(self.content, seen, self.end):
                self._ending = True
                return

    def _read_some(self) -> int:
        """Wait for more and read it; raises ConnectionError where there is no more."""
        with memoryview(self.content) as view:
            if self._buffered:  # where a file holds something, readinto1 would wait for more than that
                some = self._file.read1(ROOM_BYTES)
                view[self.end : self.end + len(some)] = some
                count, self._buffered = len(some), False
            else:
                count = self._file.readinto1(view[self.end :])
        if not count:
            raise ConnectionError("the server closed the connection")
        return count
