"""Resources that moto's CloudFormation cannot create, created by their services' own APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.aws import nested
from local.aws.clients import client
from local.aws.template import NESTED, DeployError, secret_name


def create(url: str, logical_id: str, resource: Mapping[str, Any]) -> Mapping[str, str]:
    """Create the resource from resolved properties; return the attributes that are known only now."""
    kind, properties = resource["Type"], resource.get("Properties", {})
    if kind == "AWS::Scheduler::ScheduleGroup":
        client("scheduler", url).create_schedule_group(Name=properties["Name"])
    elif kind == "AWS::SNS::Subscription":
        client("sns", url).subscribe(**properties)
    elif kind == "AWS::S3::BucketPolicy":
        put_bucket_policy(url, properties)
    elif kind == "AWS::Glue::Database":
        client("glue", url).create_database(**properties)
    elif kind == "AWS::SecretsManager::Secret":
        create_secret(client("secretsmanager", url), logical_id, properties)
    elif kind == NESTED:
        return nested.create(url, logical_id, properties)
    return {}


def update(url: str, logical_id: str, resource: Mapping[str, Any]) -> Mapping[str, str]:
    """Update the resource's properties; return its attributes. Raises DeployError.

    A nested stack is recreated: on an update, moto's CloudFormation does not evaluate conditions again.
    """
    if resource["Type"] == "AWS::S3::BucketPolicy":
        put_bucket_policy(url, resource["Properties"])
        return {}
    if resource["Type"] != NESTED:
        raise DeployError(f"{logical_id}: {resource['Type']} cannot be updated here; start a new stack")
    nested.delete(url, logical_id)
    return nested.create(url, logical_id, resource["Properties"])


def delete(url: str, logical_id: str, resource: Mapping[str, Any]) -> None:
    """Delete the resource, a group with its schedules. Secrets stay; subscriptions go with their topic."""
    if resource["Type"] == "AWS::Glue::Database":
        client("glue", url).delete_database(Name=resource["Properties"]["DatabaseInput"]["Name"])
    if resource["Type"] == "AWS::S3::BucketPolicy":
        client("s3", url).delete_bucket_policy(Bucket=resource["Properties"]["Bucket"])
    if resource["Type"] == NESTED:
        nested.delete(url, logical_id)
    if resource["Type"] == "AWS::Scheduler::ScheduleGroup":
        client("scheduler", url).delete_schedule_group(Name=resource["Properties"]["Name"])


def put_bucket_policy(url: str, properties: Mapping[str, Any]) -> None:
    """Set a bucket's policy."""
    text = json.dumps(properties["PolicyDocument"])
    client("s3", url).put_bucket_policy(Bucket=properties["Bucket"], Policy=text)


def create_secret(secrets: Any, logical_id: str, properties: Mapping[str, Any]) -> None:
    """Create a secret with the given text, or with a generated password in its template."""
    text = properties.get("SecretString", "")
    if generate := properties.get("GenerateSecretString"):
        password = secrets.get_random_password(
            PasswordLength=int(generate.get("PasswordLength", 32)),
            ExcludeCharacters=generate.get("ExcludeCharacters", ""),
        )["RandomPassword"]
        filled = {**json.loads(generate["SecretStringTemplate"]), generate["GenerateStringKey"]: password}
        text = json.dumps(filled)
    secrets.create_secret(Name=secret_name(logical_id), SecretString=text)
