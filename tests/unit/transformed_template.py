"""The template as CloudFormation sees it, after SAM's transformation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]


def transformed() -> dict[str, Any]:
    """Return CloudFormation's view of the template, with made-up places for its code."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    place = {"Bucket": "artifacts", "Key": "key"}
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for attribute in {"CodeUri", "ContentUri", "DefinitionUri"} & properties.keys():
            properties[attribute] = place
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-west-1"))
    result: dict[str, Any] = translator.translate(template, {})
    return result


TEMPLATE = transformed()
