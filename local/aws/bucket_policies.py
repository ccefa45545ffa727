"""Policies of S3 buckets: kept here instead of in moto, which would evaluate them inexactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs


class BucketPolicies:
    """A WSGI application for PutBucketPolicy, GetBucketPolicy and DeleteBucketPolicy."""

    def __init__(self) -> None:
        self.by_bucket: dict[str, str] = {}

    def claims(self, service: str, environ: dict[str, Any]) -> bool:
        """Say whether the request is one of the three."""
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return service == "s3" and "policy" in query

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        bucket, body = environ["PATH_INFO"].strip("/"), b""
        if environ["REQUEST_METHOD"] == "PUT":
            self.by_bucket[bucket] = environ["wsgi.input"].read().decode()
        elif environ["REQUEST_METHOD"] == "DELETE":
            self.by_bucket.pop(bucket, None)
        elif bucket in self.by_bucket:
            body = self.by_bucket[bucket].encode()
        else:
            start_response("404 Not Found", [("Content-Type", "application/xml")])
            return [b"<Error><Code>NoSuchBucketPolicy</Code></Error>"]
        status = "200 OK" if environ["REQUEST_METHOD"] == "GET" else "204 No Content"
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]
