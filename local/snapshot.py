"""What a deploy ships, as it is at that moment: later changes of the files are of the next deploy."""

from __future__ import annotations

import shutil
from pathlib import Path

IGNORED = shutil.ignore_patterns("__pycache__")
SOURCES = "SourcesLayer"  # the template's layer of source files


def snapshot(template: Path, sources: Path, into: Path) -> Path:
    """Copy the template with the code and the definitions that it names; return the copied template.

    The source files come from their own folder, wherever that is.
    """
    from samtranslator.yaml_helper import yaml_parse

    into.mkdir(parents=True)
    for name, resource in yaml_parse(template.read_text())["Resources"].items():
        properties = resource.get("Properties", {})
        for attribute in ("CodeUri", "ContentUri", "DefinitionUri"):
            if uri := properties.get(attribute):
                _copy(sources if name == SOURCES else template.parent / uri, into / uri)
    copied = into / template.name
    shutil.copy(template, copied)
    return copied


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, ignore=IGNORED, dirs_exist_ok=True)
    else:
        shutil.copy(path, to)
