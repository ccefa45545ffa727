"""Copies of what a deploy ships; later changes of the files belong to the next deploy."""

from __future__ import annotations

import shutil
from pathlib import Path

from local.aws.template import digest, read

IGNORED = shutil.ignore_patterns("__pycache__")
SOURCES = "SourcesLayer"  # the template's layer of source files


def of_project(template: Path, into: Path) -> Path:
    """Copy the template with the code and the definitions that it names; return the copied template.

    A copy's folder is named after its content, so equal content is copied once.
    """
    draft = into / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, resource in read(template)["Resources"].items():
        properties = resource.get("Properties", {})
        for attribute in ("CodeUri", "ContentUri", "DefinitionUri", "TemplateURL"):
            if (uri := properties.get(attribute)) and name != SOURCES:
                _copy(template.parent / uri, draft / uri)
    shutil.copy(template, draft / template.name)
    return _keep(draft, into / f"project-{digest(draft)[:16]}") / template.name


def of_sources(sources: Path, into: Path) -> Path:
    """Copy the source files, and return their folder."""
    draft = into / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    _copy(sources, draft / "sources")
    return _keep(draft, into / f"sources-{digest(draft)[:16]}") / "sources"


def _keep(draft: Path, folder: Path) -> Path:
    return folder if folder.exists() else draft.rename(folder)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, ignore=IGNORED, dirs_exist_ok=True)
    else:
        shutil.copy(path, to)
