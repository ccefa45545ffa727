"""boto3 clients of the local stack. Any credentials do; a person's own have every right."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

from .function import REGION

_lock = threading.Lock()  # a boto3 session may not be shared by threads while it makes clients


def client(service: str, url: str, *, key: str = "test") -> Any:
    """Return a boto3 client of the service at that address."""
    with _lock:
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 2}, read_timeout=910, max_pool_connections=50),
        )
