"""One local stack for the session; every test has sources of its own in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.databases import mariadb as mariadb_server
from local.databases.postgres import Postgres
from local.stack import spawn

from .company import Company
from .role_permissions import used_against_the_list
from .written_output import Mailbox, WrittenOutput, planted

# A chunk ends with each page, so that tables of a few rows have many.
ENVIRONMENT = {"ExtractFunction": {"CHUNK_SIZE_BYTES": "1"}}


@pytest.fixture(scope="session")
def company(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Company]:
    directory = tmp_path_factory.mktemp("company")
    sources = directory / "sources"
    sources.mkdir()
    mariadb = request.getfixturevalue("mariadb") if mariadb_server.available() else None
    with spawn(directory / "stack", sources=sources, environment=ENVIRONMENT) as stack:
        mailbox = Mailbox.open(stack)
        output = WrittenOutput(stack, mailbox)
        yield Company(stack, Path(sources), postgres, mariadb, directory, mailbox, output)
        assert planted(output.new()) == []  # what no test has searched yet
        assert used_against_the_list(stack.permissions_used()) == []


@pytest.fixture(scope="module")
def island(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company with a stack of its own, since a deploy changes it for all tests."""
    directory = tmp_path_factory.mktemp("island")
    sources = directory / "sources"
    sources.mkdir()
    with spawn(directory / "stack", sources=sources) as stack:
        mailbox = Mailbox.open(stack)
        yield Company(stack, sources, postgres, None, directory, mailbox, WrittenOutput(stack, mailbox))
