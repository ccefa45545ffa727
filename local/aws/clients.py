"""boto3 clients of the local stack. Any credentials work; a person's have every right."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

from local.aws.function import REGION

_lock = threading.Lock()  # a boto3 session may not be shared by threads while it makes clients
_session: Any = boto3.session.Session()  # one, because it keeps the services' models that it has read
_clients: dict[tuple[str, str, str], Any] = {}


def client(service: str, url: str, access_key: str = "test") -> Any:
    """Return the process's boto3 client of the service at that address, with a person's or a role's key."""
    with _lock:
        if (service, url, access_key) not in _clients:
            _clients[service, url, access_key] = _session.client(
                service,
                endpoint_url=url,
                region_name=REGION,
                aws_access_key_id=access_key,
                aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 2}, read_timeout=910, max_pool_connections=50),
            )
        return _clients[service, url, access_key]
