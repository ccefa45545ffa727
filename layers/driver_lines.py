"""Which drivers the drivers layer has, and which of the sources' files lack theirs.

    python -m layers.driver_lines SOURCES      check every source's file; exits with 1 if a driver is missing

A driver beyond those of the native engines is a line of layers/drivers/requirements.txt, `-r oracle.txt`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tributary.config import loader
from tributary.config.models import Source
from tributary.engines.generic import dialects
from tributary.errors import ConfigError
from tributary.model.engine_names import is_generic

REQUIREMENTS = Path(__file__).parent / "drivers" / "requirements.txt"


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        sources = loader.load_all(Path(arguments[0]))
    except ConfigError:
        return 0  # `python -m tributary` reports it
    problems = missing(sources.values(), lines(REQUIREMENTS))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def lines(requirements: Path) -> set[str]:
    """Return the lines that are in effect, without comments."""
    texts = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    return {" ".join(text.split()) for text in texts if text}


def missing(sources: Iterable[Source], included: set[str]) -> list[str]:
    """Return a problem for each source whose driver the layer will not have."""
    problems = []
    for source in sources:
        line = dialects.find(source.reader).line if is_generic(source.reader) else ""
        if line and line not in included:
            problems.append(
                f"{source.name}.yaml, engine: the drivers layer has no driver for {source.engine}; add this "
                f"line to layers/drivers/requirements.txt: {line}"
            )
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
