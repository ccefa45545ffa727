"""The files in events/, as `sam local invoke` hands them to the functions: each is taken and answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .company import Company, PostgresSource

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
STACK_FROM_A_CONTAINER = "http://host.docker.internal:4566"


def event(name: str, **changed: Any) -> dict[str, Any]:
    return {**json.loads((EVENTS / f"{name}.json").read_text()), **changed}


@pytest.fixture
def shop(company: Company) -> Iterator[PostgresSource]:
    """The source that the events name, with the example's own file."""
    shop = PostgresSource(company, "shop")
    shop.create()
    shop.put_secret(shop.secret())
    shop.path.write_text((ROOT / "sources" / "shop.yaml.example").read_text())
    shop.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO orders VALUES (1), (2)",
        "CREATE TABLE countries (code text PRIMARY KEY)",
    )
    yield shop
    shop.path.unlink()


def test_each_event_of_a_run_is_one_that_its_function_takes(company: Company, shop: PostgresSource) -> None:
    planned = company.invoke("PlanFunction", event("plan"))
    assert planned == {
        "source": "shop",
        "run_id": planned["run_id"],
        "status": "planned",
        "items": 1,
        "max_concurrency": 4,
    }
    run_id = planned["run_id"]
    assert company.invoke("ExtractFunction", event("extract", run_id=run_id)) == {"item": 0, "done": True}
    while not company.invoke("LoadFunction", event("load", run_id=run_id))["done"]:
        pass
    reported = company.invoke("ReportFunction", event("report", run_id=run_id))
    assert reported == {"source": "shop", "run_id": run_id, "status": "succeeded"}
    assert shop.loaded("orders", "id") == [(1,), (2,)]


def test_the_setups_event_prepares_the_warehouse(company: Company) -> None:
    """As the deploy did before: without it, this event's role would have no right."""
    answered = f"{company.stack.endpoint_url}/local-custom-resource/by-hand"
    assert company.invoke("WarehouseFunction", event("warehouse", ResponseURL=answered)) is None
    assert company.warehouse(
        "SELECT COUNT(*) FROM pg_user WHERE usename = 'IAMR:tributary-WarehouseRole'"
    ) == [(1,)]


def test_env_json_has_every_variable_as_the_local_stack_has_it(company: Company) -> None:
    given = json.loads((EVENTS / "env.json").read_text())
    constant = {
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "LOG_LEVEL",
        "PYDANTIC_DISABLE_PLUGINS",
    }
    for name, variables in given.items():
        assert variables.pop("AWS_ENDPOINT_URL") == STACK_FROM_A_CONTAINER
        deployed = company.client("lambda").get_function_configuration(FunctionName=company.function(name))
        environment = deployed["Environment"]["Variables"]
        of_the_session = {"AWS_ENDPOINT_URL", "CHUNK_SIZE_BYTES"}  # the tests' own
        assert {key: value for key, value in variables.items() if key not in of_the_session} == {
            key: value for key, value in environment.items() if key not in constant | of_the_session
        }, name
        assert variables.keys() | {"AWS_ENDPOINT_URL"} == environment.keys() - constant, name
