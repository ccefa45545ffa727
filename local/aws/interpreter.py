"""Patches of moto's Step Functions interpreter: two data fixes, a quoting fix, a limit and some shortcuts.

All changes to moto's internals for state machines are in this module; `selftest` fails if a new moto
no longer works with them.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from datetime import datetime
from typing import Any

import boto3
import jsonata
from botocore.config import Config
from moto.core.config import default_user_config
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service
from moto.stepfunctions.parser.asl.eval import states, variable_store
from moto.stepfunctions.parser.asl.jsonata import jsonata as moto_jsonata
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.responses import StepFunctionResponse, get_backend

from local.aws.function import ACCOUNT, REGION
from local.aws.lambdas import access_key

HASTE = 16  # retries wait a sixteenth: nothing here needs time to recover

TASK_TIMEOUT_S = 99_999_999  # a Task without a time-out waits for its function

parse_once = functools.cache(AmazonStateLanguageParser.parse)


def prepare(port: int) -> None:
    """Make moto execute state machines, and call every service at this port of localhost."""
    os.environ["MOTO_PORT"] = str(port)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    default_user_config["lambda"] = {"use_docker": False}
    # An inline Map of some 1,000 items recurses past Python's default and then hangs without an error.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
    moto_jsonata._eval_jsonata = evaluate
    for module in (states, variable_store):
        assert callable(vars(module)["encode_jsonata_variable_declarations"])
        vars(module)["encode_jsonata_variable_declarations"] = declare
    services = state_task_service.StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES
    services["redshiftdata"] = "redshift-data"
    # moto parses the machine for each execution and makes a client for each call of a function.
    shortcuts: list[tuple[Any, str, Any]] = [
        (AmazonStateLanguageParser, "parse", parse_once),  # its result holds no state of an execution
        (lambda_eval_utils, "boto_client_for", client_for),
        (StepFunctionResponse, "get_execution_history", history),
        (retrier_decl, "time", Hasty),
    ]
    for owner, name, shortcut in shortcuts:
        assert getattr(owner, name)
        setattr(owner, name, shortcut)


class Hasty:
    """The `time` module of moto's retries: they wait a fraction of the machine's interval."""

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep for a fraction of the seconds."""
        time.sleep(seconds / HASTE)


def client_for(service: str, region: str, state_credentials: Any) -> Any:
    """Return the client for a Task's calls, with the credentials of the machine's role."""
    role = str(state_credentials.role_arn).rpartition("/")[2]
    return client_once(service, region, os.environ["MOTO_PORT"], role)


@functools.cache
def client_once(service: str, region: str, port: str, role: str) -> Any:
    """Return the service's one client of the role at the port; like moto's, it does not retry."""
    session: Any = boto3.session.Session()
    return session.client(
        service,
        region_name=region,
        endpoint_url=f"http://localhost:{port}",
        aws_access_key_id=access_key(role),
        aws_secret_access_key="local",
        config=Config(
            parameter_validation=False,
            retries={"max_attempts": 0, "total_max_attempts": 1},
            connect_timeout=TASK_TIMEOUT_S,
            read_timeout=TASK_TIMEOUT_S,
        ),
    )


def history(response: Any) -> str:
    """Return an execution's events as JSON; moto's serializer takes 70 ms for 40 of them."""
    events = response.stepfunction_backend.get_execution_history(response._get_param("executionArn"))
    return json.dumps(events, default=datetime.timestamp)


def await_end(arn: str, seconds: float) -> None:
    """Return when the execution has ended or the time is over."""
    execution = get_backend(ACCOUNT, REGION).describe_execution(arn)
    give_up = time.monotonic() + seconds
    while execution.status == "RUNNING" and time.monotonic() < give_up:
        time.sleep(0.01)


def evaluate(expression: str) -> Any:
    """Return the value of a JSONata expression, as JSON types."""
    try:
        return whole_characters(jsonata.Jsonata(expression).evaluate(None))
    except Exception as error:
        raise moto_jsonata.JSONataException("UNKNOWN", str(error)) from error


def declare(bindings: dict[str, Any]) -> str:
    """Return JSONata that binds the variables; moto's own version does not escape quotes."""
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def whole_characters(value: Any) -> Any:
    """Join the surrogate pairs that the JSONata parser makes of characters beyond U+FFFF."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {whole_characters(key): whole_characters(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_characters(item) for item in value]
    return value
