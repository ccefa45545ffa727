"""A source's secret: a JSON object in Secrets Manager, with the fields that RDS uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tributary.aws_errors import BUSY, unreachable
from tributary.errors import SecretError, ServiceUnavailable

SslMode = Literal["verify-full", "verify-ca", "require", "disable"]


class Secret(BaseModel):
    """Where a source is, and the user that reads it. Other keys, which RDS writes, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    host: str = ""
    port: int | None = Field(default=None, ge=1, le=65_535)
    username: str = ""
    password: SecretStr = SecretStr("")
    dbname: str = ""  # SQLite needs this alone: the path of its file
    sslmode: SslMode = "verify-full"  # as in libpq
    sslrootcert: str | None = None  # PEM text of the authorities to trust instead of the system's
    url_options: dict[str, str] = {}  # of a driver behind SQLAlchemy, as its URL has them after the ?
    url: SecretStr | None = None  # a whole URL of SQLAlchemy, instead of the fields above


def parse(text: str, name: str, address: Mapping[str, str | int] | None = None) -> Secret:
    """Return the secret's content; its name is for messages only.

    `address` has the fields that the source's file gives, for those that the secret leaves out: a secret that
    RDS manages has a user name and a password alone.

    Raises SecretError that names the field and never its value.
    """
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        raise SecretError(f'secret "{name}" is not JSON; {SHAPE}') from None
    if not isinstance(fields, dict):
        raise SecretError(f'secret "{name}" is not a JSON object; {SHAPE}')
    if "user" in fields and "username" not in fields:
        raise SecretError(f'secret "{name}": unknown field "user"; write "username"')
    if address and not fields.get("url"):
        fields = {**address, **{key: value for key, value in fields.items() if value not in ("", None)}}
    unknown = sorted(key for key in fields if key.startswith("ssl") and key not in Secret.model_fields)
    if unknown:
        raise SecretError(f'secret "{name}": unknown field "{unknown[0]}"; use sslmode and sslrootcert')
    try:
        secret = Secret.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SecretError(f'secret "{name}", field "{field}": {first["msg"]}; {SHAPE}') from None
    if secret.sslmode == "verify-ca" and not secret.sslrootcert:
        raise SecretError(
            f'secret "{name}": "sslmode" verify-ca without "sslrootcert" would accept any certificate '
            "of a public authority, for any host; add your authority's PEM, or write verify-full"
        )
    return secret


SHAPE = (
    'write {"host": ..., "port": ..., "username": ..., "password": ..., "dbname": ...}, '
    'optionally with "sslmode" (verify-full, require or disable) and "sslrootcert" (PEM); '
    'SQLite needs "dbname" alone, the path of its file'
)


def fetch(client: Any, name: str, address: Mapping[str, str | int] | None = None) -> Secret:
    """Read the secret of that name from Secrets Manager; what it leaves out is taken from `address`.

    Raises SecretError if it does not exist, is marked for deletion or may not be read, ServiceUnavailable
    if Secrets Manager is busy or cannot be reached.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = client.get_secret_value(SecretId=name)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in BUSY:
            raise ServiceUnavailable(f'Secrets Manager answered {code} for secret "{name}"') from None
        raise SecretError(f'secret "{name}" cannot be read ({code}); {_remedy(code, name)}') from None
    except BotoCoreError as error:
        raise ServiceUnavailable(f'secret "{name}": {unreachable("Secrets Manager", error)}') from None
    if "SecretString" not in answer:
        raise SecretError(f'secret "{name}" is binary (SecretBinary); store it as text: {SHAPE}')
    return parse(answer["SecretString"], name, address)


def _remedy(code: str, name: str) -> str:
    if code == "ResourceNotFoundException":
        command = f"aws secretsmanager create-secret --name {name} --secret-string file://secret.json"
        return f"create it in Secrets Manager, in the stack's region: `{command}`; into the file {SHAPE}"
    if code.startswith("AccessDenied"):
        return "check the secret's policy, and give this function's role kms:Decrypt on the secret's key"
    return "check in Secrets Manager whether it is scheduled for deletion, or its key is disabled"
