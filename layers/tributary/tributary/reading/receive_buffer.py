"""A buffer for a server's answer, filled from the driver's socket file and reused.

A reused buffer needs no allocation and few copies, which are most of the cost of reading a fast source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

SIGHT_BYTES = 2 << 20  # enough rows for what is paid per read
LONGEST_BYTES = 64 << 20  # of a row, unless the source's file sets another bound
ENDING_BYTES = 16  # at least as long as what marks an answer's end
ROOM_BYTES = 1 << 16  # more than the file's own buffer, so that it reads past that into ours


class RowTooLong(Exception):
    """A row's stated length is above the bound: no memory was taken for it."""


class ColumnTooLong(Exception):
    """A row is above the bound because of the column at `place` of the query."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class ReceiveBuffer:
    """`content[start:end]` is what was read and is not used yet."""

    def __init__(self, file: Any, *, longest_bytes: int = LONGEST_BYTES) -> None:
        self._longest_bytes = longest_bytes
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
        if at_least > self._longest_bytes:
            raise RowTooLong
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

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the next bytes of the answer in pieces that are dropped: a row too long to be kept."""
        while size_bytes:
            if self.start == self.end:
                self.start = self.end = 0
                self.end = self._read_some()
            taken = min(size_bytes, self.end - self.start)
            yield bytes(self.content[self.start : self.start + taken])
            self.start += taken
            size_bytes -= taken

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
