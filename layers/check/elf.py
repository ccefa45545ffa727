"""The native code of a layer: whether Amazon Linux 2023 and the layers hold all that it links to.

The loader asks for libraries by name, then for versions of their symbols. If one is
missing, the first call fails with an ImportError, which no test on another machine can show.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from layers.build import Target

MACHINES = {"EM_AARCH64": "aarch64", "EM_X86_64": "x86_64"}
TEXTS = {"DT_NEEDED": "needed", "DT_RUNPATH": "runpath", "DT_RPATH": "rpath"}
EXTENSION = re.compile(r"\.cpython-(\d)(\d+)-")

# Lambda's python3.12 and later use the minimal container image of Amazon Linux 2023
# (docs.aws.amazon.com/linux/al2023/ug/lambda.html), which has glibc, libgcc and libstdc++; its
# Python image lists krb5-libs too (amazonlinux/amazon-linux-2023, issue 585).
SYSTEM = frozenset(
    {
        "ld-linux-aarch64.so.1",
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libdl.so.2",
        "libm.so.6",
        "libpthread.so.0",
        "librt.so.1",
        "libutil.so.1",
        "libgcc_s.so.1",
        "libstdc++.so.6",
        "libgssapi_krb5.so.2",
        "libkrb5.so.3",
    }
)
# The newest versions of symbols there: glibc 2.34, and the libraries of GCC 11, which came first.
NEWEST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)}


@dataclass(frozen=True, slots=True)
class Elf:
    """What the loader reads of a library. `search` are its own folders; `$ORIGIN` is its own place."""

    machine: str
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    versions: frozenset[str] = frozenset()


@cache  # functions share layers
def read(path: Path) -> Elf | None:
    """Return what the loader reads of the file, None if it is no ELF file."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
        elf = ELFFile(file)
        needed: list[str] = []
        search: list[str] = []
        versions: set[str] = set()
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                for tag in section.iter_tags():
                    kind = tag.entry.d_tag
                    if attribute := TEXTS.get(kind):  # pyelftools sets it for these kinds alone
                        text = getattr(tag, attribute)
                        (needed if kind == "DT_NEEDED" else search).extend(text.split(":"))
            elif isinstance(section, GNUVerNeedSection):
                versions |= {one.name for _, group in section.iter_versions() for one in group}
        machine = MACHINES.get(elf["e_machine"], str(elf["e_machine"]))
        return Elf(machine, tuple(needed), tuple(search), frozenset(versions))


def faults(place: str, elf: Elf, target: Target, beside: Collection[str]) -> Iterator[str]:
    """Say why the library at this place would not load; `beside` are the places of all the layers' files.

    Places are relative to /opt: `python/pyarrow/libarrow.so.2600`.
    """
    if elf.machine != target.machine:
        yield f"{place} is for {elf.machine}, and the function runs on {target.machine}"
        return
    name = EXTENSION.search(place)
    if name and f"{name[1]}.{name[2]}" != target.version:
        yield f"{place} is for Python {name[1]}.{name[2]}, and the function runs on {target.version}"
    for library in elf.needed:
        if library not in SYSTEM and not any(
            candidate in beside for candidate in _places(place, elf, library)
        ):
            yield f"{place} needs {library}, which is neither in the layers nor in Amazon Linux 2023"
    for version in sorted(elf.versions):
        if not _is_there(version):
            yield f"{place} needs {version}, which is newer than Amazon Linux 2023's"


def _places(place: str, elf: Elf, library: str) -> Iterator[str]:
    yield f"lib/{library}"  # /opt/lib is on Lambda's LD_LIBRARY_PATH
    origin = Path(place).parent
    for folder in elf.search:
        if folder.startswith("$ORIGIN"):
            yield _normal(origin / folder.removeprefix("$ORIGIN").lstrip("/") / library)


def _normal(path: Path) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _is_there(version: str) -> bool:
    name, _, number = version.partition("_")
    newest = NEWEST.get(name)
    if newest is None or not re.fullmatch(r"\d+(\.\d+)*", number):
        return newest is None  # a library of the layers' own, or GLIBC_PRIVATE, which must not be linked to
    return tuple(map(int, number.split("."))) <= newest
