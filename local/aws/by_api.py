"""Resources that moto has but its CloudFormation cannot make: made by their services' own APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .clients import client
from .template import secret_name


def create(url: str, logical_id: str, resource: Mapping[str, Any]) -> None:
    """Make the resource, its properties resolved."""
    kind, properties = resource["Type"], resource.get("Properties", {})
    if kind == "AWS::Scheduler::ScheduleGroup":
        client("scheduler", url).create_schedule_group(Name=properties["Name"])
    elif kind == "AWS::SNS::Subscription":
        client("sns", url).subscribe(**properties)
    elif kind == "AWS::Glue::Database":
        client("glue", url).create_database(**properties)
    elif kind == "AWS::SecretsManager::Secret":
        create_secret(client("secretsmanager", url), logical_id, properties)


def delete(url: str, resource: Mapping[str, Any]) -> None:
    """Take the resource away: a group with its schedules. Secrets stay, subscriptions go with their topic."""
    if resource["Type"] == "AWS::Glue::Database":
        client("glue", url).delete_database(Name=resource["Properties"]["DatabaseInput"]["Name"])
    if resource["Type"] == "AWS::Scheduler::ScheduleGroup":
        client("scheduler", url).delete_schedule_group(Name=resource["Properties"]["Name"])


def create_secret(secrets: Any, logical_id: str, properties: Mapping[str, Any]) -> None:
    """Make a secret with its given text, or with a generated password put into its template."""
    text = properties.get("SecretString", "")
    if generate := properties.get("GenerateSecretString"):
        password = secrets.get_random_password(
            PasswordLength=int(generate.get("PasswordLength", 32)),
            ExcludeCharacters=generate.get("ExcludeCharacters", ""),
        )["RandomPassword"]
        filled = {**json.loads(generate["SecretStringTemplate"]), generate["GenerateStringKey"]: password}
        text = json.dumps(filled)
    secrets.create_secret(Name=secret_name(logical_id), SecretString=text)
