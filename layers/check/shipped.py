"""The artifact that `sam deploy` uploads, checked as files: it is for another machine than this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from layers.check import elf, files, wheels
from layers.check.artifact import Function, functions

MIB = 1024 * 1024


def check(built: Path) -> list[str]:
    """Print what was built, and return what is wrong with it."""
    built_functions = functions(built)
    layers = {name: folder for function in built_functions for name, folder in function.layers.items()}
    for name, folder in sorted(layers.items()):
        slow = (folder / "python").is_dir() and not files.is_compiled(folder)
        note = "  without .pyc files, so starts are slower" if slow else ""
        print(f"  {name:<20} {files.size(folder) / MIB:6.1f} MiB{note}")
    problems = [problem for function in built_functions for problem in of_function(function)]
    for function in built_functions:
        target, total = function.target, carried(function)
        print(
            f"  {function.name:<20} {total / MIB:6.1f} MiB  with {len(function.layers)} layers, "
            f"{target.runtime} on {target.architecture}"
        )
    return list(dict.fromkeys(problems))  # functions share layers, and so their faults


def of_function(function: Function) -> Iterator[str]:
    """Say what would prevent the function from running in Lambda."""
    if len(function.layers) > files.LAYERS_AT_MOST:
        yield f"{function.name} has {len(function.layers)} layers; Lambda takes {files.LAYERS_AT_MOST}"
    if carried(function) >= files.LIMIT_BYTES:
        yield (
            f"{function.name} and its layers are {carried(function) / MIB:.0f} MiB; "
            f"keep them under {files.LIMIT_BYTES // MIB}, since Lambda takes 250 MB"
        )
    yield from (f"{function.name}: {fault}" for fault in files.shadowed(function.layers))
    yield from (f"{function.name}: {fault}" for fault in files.stray(function.code, function.target))
    opt = {place for folder in function.layers.values() for place in files.places(folder)}
    for layer, folder in function.layers.items():
        for fault in of_layer(folder, function, opt):
            yield f"{layer}: {fault}"


def of_layer(folder: Path, function: Function, opt: set[str]) -> Iterator[str]:
    """Say what is wrong with the layer in that function, whose other layers it may need."""
    yield from files.stray(folder, function.target)
    yield from wheels.faults(folder / "python", function.target)
    for place, path in files.places(folder).items():
        library = elf.read(path)
        if library:
            yield from elf.faults(place, library, function.target, opt)


def carried(function: Function) -> int:
    """Return the unzipped size of the function with its layers."""
    return files.size(function.code) + sum(map(files.size, function.layers.values()))
