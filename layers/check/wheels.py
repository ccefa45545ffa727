"""The wheels of a layer: whether each was built for the function's Python and machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag

from layers.build import Target

GLIBC_MINORS = range(34, 16, -1)  # Amazon Linux 2023 has 2.34; 2.17 is manylinux2014


def faults(folder: Path, target: Target) -> Iterator[str]:
    """Say which wheels installed in the folder do not fit the target."""
    fitting = tags(target)
    for installed in sorted(folder.glob("*.dist-info")):
        wheel = installed / "WHEEL"
        lines = wheel.read_text().splitlines() if wheel.is_file() else []
        made_for = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
        if not made_for:
            yield f"{installed.name} does not name its platform; is it a wheel?"
        elif not any(parse_tag(one) & fitting for one in made_for):
            fits = ", ".join(made_for)
            yield f"{installed.name} is for {fits}, not for {target.runtime} on {target.machine}"


def tags(target: Target) -> frozenset[Tag]:
    """Return the tags that fit the target."""
    major, minor = map(int, target.version.split("."))
    platforms = [f"manylinux_2_{glibc}_{target.machine}" for glibc in GLIBC_MINORS]
    platforms.append(f"manylinux2014_{target.machine}")
    interpreter = f"cp{major}{minor}"
    return frozenset(
        [
            *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
            *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
        ]
    )
