"""python -m layers.check shipped|here: check what `sam build` left in .aws-sam/build."""

from __future__ import annotations

import sys

from . import here, shipped
from .artifact import NotBuilt
from .room import ROOT

BUILT = ROOT / ".aws-sam" / "build"


def main(arguments: list[str]) -> int:
    """Check, print what is wrong, and return 1 where anything is."""
    if arguments not in (["shipped"], ["here"]):
        print(__doc__, file=sys.stderr)
        return 2
    print("What is shipped:" if arguments == ["shipped"] else "The same build on this machine:", flush=True)
    try:
        found = shipped.check(BUILT) if arguments == ["shipped"] else here.check(BUILT, BUILT.parent / "here")
    except NotBuilt as error:
        found = [str(error)]
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
