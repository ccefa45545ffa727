"""A buffer for a server's answer, filled from the driver's socket file and reused.

A reused buffer needs no allocation and few copies, which are most of the cost of reading a fast source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SIGHT_BYTES = 2 << 20  # enough rows for what is paid per read
ENDING_BYTES = 16  # at least as long as what marks an answer's end
ROOM_BYTES = 1 << 16  # more than the file's own buffer, so that it reads past that into ours


class ReceiveBuffer:
    """`content[start:end]` is what was read and is not used yet."""

    def __init__(self, file: Any) -> None:
        self.start = self.end = 0
        self.content = bytearray(SIGHT_BYTES + ROOM_BYTES)
        self._file = file
        self._buffered = True
        self._ending = False

    def read(self, ends: Callable[[bytearray, int, int], bool], *, at_least: int = 0) -> None:
        """Read SIGHT_BYTES, or `at_least` that many bytes; fewer if the answer may end before.

        `ends` returns whether the content between two places may hold an answer's end. Without it, a source
        that is slower than its reader would be read in small pieces, each with its own cost.
        """
        left = self.end - self.start
        if self.start:
            self.content[:left] = self.content[self.start : self.end]
        self.start, self.end = 0, left
        # A possible end that started in the last piece must be read whole, and nothing may come after it.
        full = max(at_least, left + 1, 0 if self._ending else SIGHT_BYTES)
        self._ending = self._ending and not at_least
        if len(self.content) < full + ROOM_BYTES:
            self.content.extend(bytes(full + ROOM_BYTES - len(self.content)))
        while self.end < full:
            seen = max(0, self.end - ENDING_BYTES)  # the end may have been read in two pieces
            self.end += self._read_some()
            if ends(self.content, seen, self.end):
                self._ending = True
                return

    def _read_some(self) -> int:
        """Wait for more and read it; raises ConnectionError if there is no more."""
        with memoryview(self.content) as view:
            if self._buffered:  # readinto1 would wait for more, even if the file holds something
                some = self._file.read1(ROOM_BYTES)
                view[self.end : self.end + len(some)] = some
                count, self._buffered = len(some), False
            else:
                count = self._file.readinto1(view[self.end :])
        if not count:
            raise ConnectionError("the server closed the connection")
        return count
