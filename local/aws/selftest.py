"""A state machine that checks, at every start, what the pipeline needs from moto's interpreter.

If a new moto runs it differently, the stack does not start, instead of running pipelines wrongly.
"""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from local.aws.clients import client
from local.aws.function import ACCOUNT, NO_ROLE, Function
from local.aws.lambdas import Lambda

NAME = "local-selftest"
TEXT = 'a "quote", \\ and 😀'
TIMEOUT_S = 60
EXPECTED = {"text": TEXT + "!", "processes": 2, "caught": "ProbeError", "attempts": 2}


class SelfTestError(Exception):
    """The local stack does not behave as Step Functions and Lambda do."""


def selftest(functions: Lambda, url: str) -> None:
    """Run the machine; raises SelfTestError if its result differs from AWS's."""
    functions.deploy(Function(NAME, Path(__file__).parent / "probe", {}, timeout_s=10))
    states = client("stepfunctions", url)
    role = f"arn:aws:iam::{ACCOUNT}:role/{NO_ROLE}"
    try:
        machine = states.create_state_machine(name=NAME, definition=json.dumps(DEFINITION), roleArn=role)
        result = _run(states, machine["stateMachineArn"])
        states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
    except Exception as error:
        raise SelfTestError(_message(f"it stopped with {error!r}")) from error
    finally:
        functions.remove(NAME)
    if result != EXPECTED:
        raise SelfTestError(_message(f"it gave {result} and not {EXPECTED}"))
    (functions.logs / f"{NAME}.log").unlink()


def _run(states: Any, machine: str) -> dict[str, Any]:
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps({"text": TEXT}))[
        "executionArn"
    ]
    deadline = time.monotonic() + TIMEOUT_S
    while (state := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        if time.monotonic() > deadline:
            return {"status": f"still running after {TIMEOUT_S} s"}
        time.sleep(0.02)
    if state["status"] != "SUCCEEDED":
        return {key: state.get(key) for key in ("status", "error", "cause")}
    events = states.get_execution_history(executionArn=execution)["events"]
    attempts = sum(event["type"] == "TaskFailed" for event in events)
    return {**json.loads(state["output"]), "attempts": attempts}


def _message(what: str) -> str:
    return (
        f"moto {version('moto')} does not run the self-test's state machine: {what}. "
        "Install the moto that requirements-dev.txt pins, or adapt local/aws/interpreter.py."
    )


def _task(**payload: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": NAME, "Payload": {"fail": False, "wait_s": 0, **payload}},
        "Output": "{% $states.result.Payload %}",
    }


DEFINITION = {
    "QueryLanguage": "JSONata",
    "StartAt": "Assign",
    "States": {
        "Assign": {"Type": "Pass", "Assign": {"text": "{% $states.input.text %}"}, "Next": "Spread"},
        # Four items at two a time use two processes; without the limit they would use four.
        "Spread": {
            "Type": "Map",
            "Items": "{% [1..4] %}",
            "MaxConcurrency": "{% 2 %}",
            "ItemProcessor": {"StartAt": "Call", "States": {"Call": {**_task(wait_s=0.1), "End": True}}},
            "Assign": {"processes": "{% $count($distinct($states.result)) %}"},
            "Next": "Fail",
        },
        "Fail": {
            **_task(fail=True),
            "Retry": [{"ErrorEquals": ["ProbeError"], "MaxAttempts": 1, "JitterStrategy": "FULL"}],
            "Catch": [
                {"ErrorEquals": ["OtherError"], "Next": "Wrong"},
                {
                    "ErrorEquals": ["ProbeError"],
                    "Assign": {"error": "{% $states.errorOutput %}"},
                    "Next": "End",
                },
            ],
            "Next": "Wrong",
        },
        "Wrong": {"Type": "Fail", "Error": "Wrong"},
        "End": {
            "Type": "Succeed",
            "Output": "{% {'text': $text & '!', 'processes': $processes, 'caught': $error.Error} %}",
        },
    },
}
