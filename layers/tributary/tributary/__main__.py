"""`python -m tributary DIRECTORY`: check a folder of source files as a deploy does, and list the sources."""

from __future__ import annotations

import sys
from pathlib import Path

from tributary.config import loader
from tributary.config.models import Source
from tributary.errors import ConfigError


def main(arguments: list[str]) -> int:
    """Print a line per source, or every problem of every file; return 1 if there is a problem."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[0])
    try:
        sources = loader.load_all(directory)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for source in sources.values():
        print(line(source))
    if not sources:
        print(f"{directory}/ has no source file: a stack without sources, to which they can be added later")
    return 0


def line(source: Source) -> str:
    """Return the source as one line: `shop: postgresql, secret tributary/shop, rate(1 hour)`."""
    when = "started by hand"
    if source.schedule:
        zone = "" if source.schedule.timezone == "UTC" else f" in {source.schedule.timezone}"
        when = f"{source.schedule.expression}{zone}"
    return f"{source.name}: {source.engine}, secret {source.secret}, {when}, into {source.target_schema}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
