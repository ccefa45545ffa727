"""python -m layers.check shipped|here: check what `sam build` left in .aws-sam/build."""

from __future__ import annotations

import sys

from layers.check import here, shipped
from layers.check.artifact import NotBuilt
from layers.check.room import ROOT

BUILT = ROOT / ".aws-sam" / "build"


def main(arguments: list[str]) -> int:
    """Check, print what is wrong, and return 1 where anything is."""
    if arguments not in (["shipped"], ["here"]):
        print(__doc__, file=sys.stderr)
        return 2
    print("What is shipped:" if arguments == ["shipped"] else "The same build on this machine:", flush=True)
    try:
        problems = (
            shipped.check(BUILT) if arguments == ["shipped"] else here.check(BUILT, BUILT.parent / "here")
        )
    except NotBuilt as error:
        problems = [str(error)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
