"""What Extract reads from its environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tributary.environment.variables import RawBucketEnvironment


class ExtractEnvironment(RawBucketEnvironment):
    """What Extract reads from its environment."""

    chunk_size_bytes: int = Field(gt=0)  # of a chunk on S3, about
    chunk_codec: Literal["snappy", "zstd"] = "snappy"
