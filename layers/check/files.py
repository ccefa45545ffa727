"""The files of an artifact: their size, and files that have no use in Lambda."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from layers.build import Target

LIMIT_BYTES = 240 * 1024 * 1024  # Lambda's own limit is 250 MB for the function and its layers
LAYERS_AT_MOST = 5  # of one function
STRAY_FOLDERS = frozenset({"tests", "test", "bin", "include", ".git", ".pytest_cache", ".mypy_cache"})
STRAY_FILES = re.compile(r"(?:\.(?:a|c|h|la|log|o|orig|pxd|pxi|pyo|pyx|rej|swp)|^\.env|^\.DS_Store|~)$")
CACHED = re.compile(r"\.cpython-(\d)(\d+)(?:\.opt-\d)?\.pyc$")


def size(folder: Path) -> int:
    """Return the size of all files under the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def places(folder: Path) -> dict[str, Path]:
    """Return all files under the folder by their place in it."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def stray(folder: Path, target: Target) -> Iterator[str]:
    """Say which files are not for Lambda: tests, sources of native code, caches of another Python."""
    for place in sorted(places(folder)):
        *folders, name = place.split("/")
        if STRAY_FOLDERS.intersection(folders) or STRAY_FILES.search(name):
            yield f"{place} has no use in Lambda"
        elif name.endswith(".pyc"):
            cached = CACHED.search(name)
            if cached is None or f"{cached[1]}.{cached[2]}" != target.version or folders[-1] != "__pycache__":
                yield f"{place} is not a cache of {target.runtime}"


def shadowed(layers: Mapping[str, Path]) -> Iterator[str]:
    """Say which files are in two layers: /opt has only one of them."""
    owner: dict[str, str] = {}
    for layer, folder in layers.items():
        for place in sorted(places(folder)):
            if place in owner:
                yield f"{place} is in {owner[place]} and in {layer}"
            owner.setdefault(place, layer)


def is_compiled(folder: Path) -> bool:
    """Say whether the folder has caches of compiled Python."""
    return next(folder.rglob("*.pyc"), None) is not None
