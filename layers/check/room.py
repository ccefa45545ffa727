"""A function's room, laid out as on Lambda: its code, its layers in one folder, Python, and nothing else.

Lambda unpacks the layers of a function over each other into /opt. Here that is a folder of hard
links, which needs neither root nor a mount. Python starts isolated (`-I -S`): neither this project's
environment nor the user's can provide a package that the layers lack.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layers.build import MACHINES, Target
from layers.check import files
from layers.check.artifact import Function, NotBuilt

ROOT = Path(__file__).parents[2]
START = Path(__file__).with_name("start.py")
REGION = "eu-west-1"


@dataclass(frozen=True, slots=True)
class Room:
    """Where a function runs: `opt` stands for /opt, `runtime` holds Lambda's own runtime client."""

    function: Function
    opt: Path
    runtime: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs a module, or code after `-c`, in the room's Python."""
        python = [sys.executable, "-I", "-S", "-B"]
        return [*python, str(START), str(self.opt / "python"), str(self.runtime), *arguments]

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run the code in a fresh process of the room."""
        return subprocess.run(
            self.command("-c", code),
            cwd=self.function.code,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that Lambda sets, and of the function's own only the place of its sources.

        AWS is at a closed port, so every call fails at once.
        """
        return {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "LD_LIBRARY_PATH": str(self.opt / "lib"),
            "LAMBDA_TASK_ROOT": str(self.function.code),
            "AWS_LAMBDA_FUNCTION_NAME": self.function.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "POWERTOOLS_SERVICE_NAME": "tributary",
            "SOURCES_DIR": str(self.opt),
        }


def this_machine() -> Target:
    """Return this machine's target; raises NotBuilt if Lambda has no such target."""
    machines = {machine: architecture for architecture, machine in MACHINES.items()}
    if sys.platform != "linux" or platform.machine() not in machines:
        raise NotBuilt(f"functions run on Linux, on {' or '.join(machines)}; here is {platform.platform()}")
    version = "{}.{}".format(*sys.version_info[:2])
    return Target(f"python{version}", machines[platform.machine()])


def build_layers(names: Mapping[str, Path], into: Path, target: Target) -> dict[str, Path]:
    """Build the layers for the target by the Makefile that `sam build` calls; return their folders.

    `names` are the shipped layers by logical id. One without a rule ships as it is.
    """
    rules = (ROOT / "layers" / "Makefile").read_text()
    settings = [f"LAYER_RUNTIME={target.runtime}", f"LAYER_ARCHITECTURE={target.architecture}"]
    folders = dict(names)
    for name in names:
        if f"build-{name}:" not in rules:
            continue
        folders[name] = into / name
        folders[name].mkdir(parents=True)
        make = ["make", "--silent", "-C", str(ROOT / "layers"), f"build-{name}", f"PYTHON={sys.executable}"]
        done = subprocess.run([*make, f"ARTIFACTS_DIR={folders[name]}", *settings], check=False)
        if done.returncode:
            raise NotBuilt(f"{name} could not be built for {target.runtime} on {target.architecture}")
    return folders


def install_runtime(into: Path) -> Path:
    """Install Lambda's runtime client, in the pinned version, into a folder of its own; return it."""
    requirements = Path(__file__).with_name("requirements.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run([*pip, f"--target={into}", "-r", str(requirements)], env=environment, check=False)
    if done.returncode:
        raise NotBuilt(f"{requirements}: pip could not install it")
    return into


def furnish(function: Function, layers: Mapping[str, Path], into: Path, runtime: Path) -> Room:
    """Lay out the function's layers as Lambda does, a later one over an earlier."""
    opt = into / function.name / "opt"
    opt.mkdir(parents=True)
    for name in function.layers:
        for place, path in files.places(layers[name]).items():
            link = opt / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            os.link(path, link)
    return Room(function, opt, runtime)
