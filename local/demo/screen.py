"""The demo's output: a line per step with the seconds since the start, and narrow tables."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence

WIDTH = 100

Cell = str | int | float


class Screen:
    """Plain lines on standard output; each is one write."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Print a step, with the seconds since the demo's start."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def detail(self, text: str) -> None:
        """Add to the last step, wrapped."""
        indent = " " * 12
        print(
            textwrap.fill(f"- {text}", WIDTH, initial_indent=" " * 10, subsequent_indent=indent), flush=True
        )

    def quote(self, text: str) -> None:
        """Show a file as it is."""
        print(textwrap.indent(text.rstrip(), " " * 12), flush=True)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Show a table: numbers on the right of their columns, texts on the left."""
        texts = [[_text(value) for value in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
        numbers = [all(isinstance(row[place], int | float) for row in rows) for place in range(len(head))]

        def line(cells: Sequence[str]) -> str:
            aligned = (
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(cells, widths, numbers, strict=True)
            )
            return "  ".join(aligned).rstrip()

        shown = [line(head), line(["-" * width for width in widths]), *map(line, texts)]
        print("\n" + textwrap.indent("\n".join(shown), "  ") + "\n", flush=True)


def _text(value: Cell) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else value
