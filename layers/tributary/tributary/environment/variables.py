"""How a function's environment is read: a model per function, and what several of them share.

A handler reads its model when it is called, never at import: a missing variable is a ConfigError that
names it. An empty variable counts as missing, since a template cannot leave one out. The models are in
modules of their own, since building one takes a millisecond of a cold start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tributary.environment.clients import client
from tributary.errors import ConfigError
from tributary.storage.bucket import Bucket


class Environment(BaseModel):
    """The variables of a function, each named as its field in capitals."""

    # Deferred, since a function reads one model, and building them all takes 5 ms of each cold start.
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper, defer_build=True)

    @classmethod
    def read(cls) -> Self:
        """Return the function's variables; raises ConfigError that names the first wrong one."""
        try:
            return cls.model_validate({name: value for name, value in os.environ.items() if value})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = first["loc"][0]
            fault = "is not set" if first["type"] == "missing" else f"is wrong ({first['msg']})"
            raise ConfigError(f"environment variable {name} {fault}; the template declares it") from None

    @classmethod
    def variables(cls) -> set[str]:
        """Return the names of the variables that the model reads."""
        return {str(field.alias) for field in cls.model_fields.values()}


class RawBucketEnvironment(Environment):
    """The variables of a function that uses the raw bucket."""

    raw_bucket: str  # the bucket's name

    @property
    def bucket(self) -> Bucket:
        """Return the raw bucket."""
        return Bucket(client("s3"), self.raw_bucket)


class SourcesEnvironment(Environment):
    """The variables of a function that reads the sources' files."""

    sources_dir: Path = Path("/opt")  # the folder of the source files
    secret_prefix: str = Field(default="tributary/")  # of the secrets that the stack's functions may read
