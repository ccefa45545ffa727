"""What `sam build` left: its template, read for the functions, their folders and their layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layers.build import Target

Tree = dict[str, Any]


class NotBuilt(Exception):
    """The artifact is not there, or is written in a way that cannot be followed here."""


@dataclass(frozen=True, slots=True)
class Function:
    """A built function: its folder, and its layers by logical id in the order Lambda unpacks them."""

    name: str
    code: Path
    handler: str
    target: Target
    layers: dict[str, Path]
    variables: frozenset[str]
    custom: bool  # CloudFormation calls it and waits for an answer elsewhere

    @property
    def event(self) -> str:
        """Return the name of its example event in `events/`."""
        return f"{self.name.removesuffix('Function').lower()}.json"


def functions(built: Path) -> list[Function]:
    """Return the functions of the built template in its order."""
    from samtranslator.yaml_helper import yaml_parse

    template = built / "template.yaml"
    if not template.is_file():
        raise NotBuilt(f"{template} is not there; run make build")
    tree = yaml_parse(template.read_text())
    shared = tree.get("Globals", {}).get("Function", {})
    custom = set(_custom(tree))
    layers = {
        name: _folder(built, name, own["ContentUri"])
        for name, own in _of_type(tree, "AWS::Serverless::LayerVersion").items()
    }
    result = []
    for name, own in _of_type(tree, "AWS::Serverless::Function").items():
        merged = {**shared, **own}
        result.append(
            Function(
                name=name,
                code=_folder(built, name, merged["CodeUri"]),
                handler=merged["Handler"],
                target=Target(merged["Runtime"], _one(name, merged.get("Architectures", ["x86_64"]))),
                layers=_carried(name, [*shared.get("Layers", []), *own.get("Layers", [])], layers),
                variables=frozenset(_variables(shared) | _variables(own)),
                custom=name in custom,
            )
        )
    return result


def _carried(name: str, references: list[Any], layers: Mapping[str, Path]) -> dict[str, Path]:
    carried: dict[str, Path] = {}
    for reference in references:
        layer = reference.get("Ref") if isinstance(reference, dict) else None
        if not isinstance(layer, str) or layer not in layers:
            raise NotBuilt(f"{name}: {reference} is no layer of this template; name layers by !Ref")
        carried[layer] = layers[layer]
    return carried


def _folder(built: Path, name: str, uri: str) -> Path:
    folder = (built / uri).resolve()
    if not folder.is_dir():
        raise NotBuilt(f"{name}: {folder} is not there; run make build")
    return folder


def _one(name: str, architectures: list[str]) -> str:
    if len(architectures) != 1:
        raise NotBuilt(f"{name}: one architecture, please, not {architectures}")
    return architectures[0]


def _variables(properties: Tree) -> set[str]:
    return set(properties.get("Environment", {}).get("Variables", {}))


def _custom(tree: Tree) -> Iterator[str]:
    """Yield the functions that custom resources are made by."""
    for resource in tree["Resources"].values():
        token = resource.get("Properties", {}).get("ServiceToken")
        attribute = token.get("Fn::GetAtt") if isinstance(token, dict) else None
        if attribute:
            yield attribute.partition(".")[0] if isinstance(attribute, str) else attribute[0]


def _of_type(tree: Tree, kind: str) -> dict[str, Tree]:
    return {name: item["Properties"] for name, item in tree["Resources"].items() if item["Type"] == kind}
