"""The same build for this machine, run: every function, from built folders alone.

It finds what otherwise only Lambda would: a package that no layer carries, one that was trimmed too
far, a handler that cannot be found, a start that is too slow.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from layers.check import answers, cold_start, emulator, room
from layers.check.artifact import NotBuilt, functions

IMPORT_ALL = """
import importlib, json, pkgutil, tributary
reasons = {}
for module in pkgutil.walk_packages(tributary.__path__, "tributary."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            reasons[module.name] = [str(error), getattr(error, "name", None)]
print(json.dumps(reasons))
"""

OPTED_IN = {
    "tributary.engines.generic.": "sqlalchemy"
}  # a package's modules, and what lines of the drivers bring


def check(built: Path, into: Path) -> list[str]:
    """Build into the folder, run every function, print the results, and return what is wrong."""
    target = room.this_machine()
    rie = emulator.find(target)
    built_functions = functions(built)
    shutil.rmtree(into, ignore_errors=True)
    print(f"  Building the layers for {target.runtime} on {target.architecture}", flush=True)
    shipped = {name: folder for function in built_functions for name, folder in function.layers.items()}
    layers = room.build_layers(shipped, into / "layers", target)
    runtime = room.install_runtime(into / "runtime")
    rooms = [room.furnish(function, layers, into, runtime) for function in built_functions]
    problems = unimportable(max(rooms, key=lambda one: len(one.function.layers)))
    for furnished in rooms:
        problems += of_room(furnished, rie, into / f"{furnished.function.name}.log")
    return problems


def unimportable(furnished: room.Room) -> list[str]:
    """Say which modules of our package cannot be imported where all the layers are, and why.

    A module may lack what only a line that was left out of the drivers layer would bring (OPTED_IN).
    """
    done = furnished.run(IMPORT_ALL)
    reasons: dict[str, tuple[str, str | None]] = json.loads(done.stdout)
    with_all = f"with all of {furnished.function.name}'s layers"
    return [
        f"{name} cannot be imported {with_all}: {reason}"
        for name, (reason, lacking) in reasons.items()
        if not any(name.startswith(package) and lacking == brought for package, brought in OPTED_IN.items())
    ]


def of_room(furnished: room.Room, rie: Path, log: Path) -> list[str]:
    """Run one function, print its times, and return what is wrong with it."""
    name = furnished.function.name
    needs = cold_start.NEEDS.get(name, cold_start.Needs())
    try:
        taken = cold_start.measure(furnished, needs)
        problems, answered_s = answers.ask(rie, furnished, log)
    except NotBuilt as error:
        return [str(error)]
    late = cold_start.fault(name, taken, needs)
    print(
        f"  {name:<20} imported {taken.imported_s:.2f} s, ready {taken.ready_s:.2f} s "
        f"(under {needs.bar_s * taken.slowness:.2f} s), first answer after {answered_s:.2f} s",
        flush=True,
    )
    return [*problems, *([late] if late else [])]
