"""Functions run as on Lambda: errors by name, time-outs, concurrency, environment; through any AWS client."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.clients import client
from local.aws.function import Function, Throttled
from local.aws.gateway import SignedRequest
from local.aws.lambdas import Lambda, access_key
from local.aws.platform import Platform
from local.leash import Leash
from tests.patience import wait_for

HANDLER = """
import os, subprocess, time

class Odd(Exception):
    pass

COUNT = 0

def handler(event, context):
    global COUNT
    COUNT += 1
    if "raise" in event:
        raise Odd(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "spawn" in event:
        subprocess.Popen(["sleep", "60"])
        time.sleep(60)
    if "begun" in event:
        open(event["begun"], "w").close()
        while not os.path.exists(event["until"]):
            time.sleep(0.01)
    time.sleep(event.get("sleep", 0))
    if "size" in event:
        return "x" * event["size"]
    environment = {name: os.environ.get(name) for name in event.get("environment", ())}
    left_ms = context.get_remaining_time_in_millis()
    return {"pid": os.getpid(), "count": COUNT, "environment": environment, "left_ms": left_ms}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("logs"), concurrency=3) as platform:
        yield platform


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(HANDLER)
    return tmp_path


def invoke(platform: Platform, name: str, **event: Any) -> dict[str, Any]:
    answer = client("lambda", platform.url).invoke(FunctionName=name, Payload=json.dumps(event))
    body = json.loads(answer["Payload"].read())
    return {"failed": answer["FunctionError"], **body} if "FunctionError" in answer else body


def test_a_handlers_exception_is_answered_by_its_class_name(platform: Platform, task_root: Path) -> None:
    platform.functions.deploy(Function("errors", task_root, {}))
    answer = invoke(platform, "errors", **{"raise": "so"})
    assert (answer["failed"], answer["errorType"], answer["errorMessage"]) == ("Unhandled", "Odd", "so")


def test_a_process_that_exits_is_an_exit_error_and_the_next_call_starts_another(
    platform: Platform, task_root: Path
) -> None:
    platform.functions.deploy(Function("exits", task_root, {}))
    assert invoke(platform, "exits", exit=3)["errorType"] == "Runtime.ExitError"
    assert invoke(platform, "exits")["count"] == 1


def test_a_module_that_cannot_be_imported_is_named(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import no_such_module")
    platform.functions.deploy(Function("broken", tmp_path, {}))
    assert invoke(platform, "broken")["errorType"] == "Runtime.ImportModuleError"


def test_a_call_beyond_its_time_is_killed_with_all_that_it_started(
    platform: Platform, task_root: Path
) -> None:
    platform.functions.deploy(Function("slow", task_root, {}, timeout_s=0.5))
    started = time.monotonic()
    answer = invoke(platform, "slow", spawn=True)
    assert answer["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 0.50 seconds" in answer["errorMessage"]
    assert time.monotonic() - started < 60  # as long as what it started would run
    assert not running_in(task_root)


def test_loading_the_code_is_not_counted_in_the_time_out(platform: Platform, task_root: Path) -> None:
    (task_root / "app.py").write_text("import time\ntime.sleep(3)\n" + HANDLER)
    platform.functions.deploy(Function("heavy", task_root, {}, timeout_s=2.5))
    assert invoke(platform, "heavy")["left_ms"] <= 2_500


def test_a_warm_process_is_used_again(platform: Platform, task_root: Path) -> None:
    platform.functions.deploy(Function("warm", task_root, {}))
    first, second = invoke(platform, "warm"), invoke(platform, "warm")
    assert (second["pid"], second["count"]) == (first["pid"], 2)


def test_the_log_says_what_each_call_took_and_the_gateway_who_asked_for_what(
    platform: Platform, task_root: Path
) -> None:
    platform.functions.deploy(Function("told", task_root, {"AWS_ENDPOINT_URL": platform.url}, role="reader"))
    (task_root / "app.py").write_text(
        "import boto3\nHELD = bytearray(200 << 20)\n\n"
        "def handler(event, context):\n    boto3.client('s3').list_buckets()\n    sum(range(10**7))\n"
    )
    invoke(platform, "told")
    invoke(platform, "told")

    log = (platform.functions.logs / "told.log").read_text()
    first, second = (line for line in log.splitlines() if line.startswith("REPORT "))
    assert "Init Duration" in first
    assert "Init Duration" not in second
    took = {name: int(value) for name, value in re.findall(r"([A-Z][A-Za-z ]+): (\d+) m?[sM]", first)}
    assert took["CPU"] > 100  # the import of boto3 and the call
    assert took["Duration"] > 20
    assert 200 < took["Max Memory Used"] < 400
    request = SignedRequest(access_key("reader"), "s3", "GET", whole=True)
    assert platform.gateway.requests[request] == 2


def test_more_calls_than_sandboxes_wait_for_a_free_one(platform: Platform, task_root: Path) -> None:
    platform.functions.deploy(Function("busy", task_root, {}))
    with ThreadPoolExecutor(7) as threads:
        answers = list(threads.map(lambda _: invoke(platform, "busy", sleep=0.1), range(7)))
    assert len({answer["pid"] for answer in answers}) == 3


def test_calls_beyond_the_reserved_concurrency_are_refused(
    platform: Platform, task_root: Path, tmp_path: Path
) -> None:
    platform.functions.deploy(Function("single", task_root, {}, reserved=1))
    invoke(platform, "single")
    go_on = tmp_path / "go on"
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(invoke, platform, "single", begun=str(tmp_path / "begun"), until=str(go_on))
        wait_for((tmp_path / "begun").exists)
        with pytest.raises(ClientError) as refused:
            invoke_once(platform, "single")
        go_on.touch()
        assert first.result()["count"] == 2
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"


def test_calls_beyond_the_accounts_concurrency_are_refused_whichever_function_they_are_for(
    task_root: Path, tmp_path: Path
) -> None:
    until = tmp_path / "go on"
    held = json.dumps({"begun": str(tmp_path / "begun"), "until": str(until)}).encode()
    leash = Leash()
    functions = Lambda(tmp_path, leash, account_concurrency=1)
    for name in ("one", "other"):
        functions.deploy(Function(name, task_root, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(functions.invoke, "one", held)
        wait_for((tmp_path / "begun").exists)
        with pytest.raises(Throttled):
            functions.invoke("other", b"{}")
        until.touch()
        assert b'"count": 1' in first.result().payload
        assert b'"count": 1' in functions.invoke("other", b"{}").payload
    functions.close()
    leash.release()


def test_payloads_over_lambdas_limits_are_refused(platform: Platform, task_root: Path) -> None:
    platform.functions.deploy(Function("big", task_root, {}))
    with pytest.raises(ClientError) as refused:
        invoke(platform, "big", text="x" * 6_291_556)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert invoke(platform, "big", size=6_291_556)["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_function_sees_its_own_environment_and_no_other(
    platform: Platform, task_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "leaked")
    platform.functions.deploy(Function("env", task_root, {"MODE": "odd ü"}, role="Loader/x"))
    names = ["MODE", "AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "AWS_ACCESS_KEY_ID", "SECRET_OF_THE_SHELL"]
    assert invoke(platform, "env", environment=names)["environment"] == {
        "MODE": "odd ü",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "env",
        "AWS_ACCESS_KEY_ID": "ROLE-Loader-x",
        "SECRET_OF_THE_SHELL": None,
    }
    assert platform.functions.identify(access_key("Loader/x")) == "Loader/x"
    assert platform.functions.identify("test") is None


def test_an_unknown_function_is_not_found(platform: Platform) -> None:
    with pytest.raises(ClientError) as missing:
        invoke(platform, "missing")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_call_by_event_returns_at_once_and_runs(platform: Platform, task_root: Path) -> None:
    platform.functions.deploy(Function("later", task_root, {}))
    answer = client("lambda", platform.url).invoke(
        FunctionName=Function("later", task_root, {}).arn, InvocationType="Event", Payload='{"raise": "seen"}'
    )
    assert answer["StatusCode"] == 202
    log = platform.functions.logs / "later.log"
    wait_for(lambda: log.exists() and "Odd: seen" in log.read_text())


def test_error_names_reach_retry_and_catch(platform: Platform, task_root: Path) -> None:
    platform.functions.deploy(Function("caught", task_root, {}, timeout_s=0.3))
    cases = {"raise": "Odd", "exit": "Runtime.ExitError", "sleep": "Sandbox.Timedout"}
    for trigger, name in cases.items():
        ended = run(platform, catching("caught", {trigger: 1}, name))
        assert (ended["status"], ended["output"]) == ("SUCCEEDED", json.dumps({"error": name}))
    ended = run(platform, catching("missing", {}, "Lambda.ResourceNotFoundException"))
    assert ended["status"] == "SUCCEEDED"


def test_executions_without_a_name_get_one_each(platform: Platform) -> None:
    machine = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    assert run(platform, machine)["name"] != run(platform, machine)["name"]


def test_any_region_and_any_credentials_see_the_same_account(platform: Platform) -> None:
    import boto3

    client("s3", platform.url).create_bucket(Bucket="shared")
    for region in ("eu-west-1", "us-east-1"):
        session: Any = boto3.session.Session()
        states = session.client(
            "secretsmanager",
            region_name=region,
            endpoint_url=platform.url,
            aws_access_key_id="AKIA" + region,
            aws_secret_access_key="x",
        )
        if region == "eu-west-1":
            states.create_secret(Name="here", SecretString="{}")
        assert states.get_secret_value(SecretId="here")["SecretString"] == "{}"


def catching(function: str, payload: dict[str, Any], error: str) -> dict[str, Any]:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": payload},
        "Catch": [
            {"ErrorEquals": [error], "Output": {"error": "{% $states.errorOutput.Error %}"}, "Next": "Caught"}
        ],
        "Next": "NotCaught",
    }
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "Call",
        "States": {"Call": task, "Caught": {"Type": "Succeed"}, "NotCaught": {"Type": "Fail"}},
    }


def run(platform: Platform, machine: dict[str, Any]) -> dict[str, Any]:
    states = client("stepfunctions", platform.url)
    made = states.create_state_machine(
        name=f"machine-{time.monotonic_ns()}",
        definition=json.dumps(machine),
        roleArn="arn:aws:iam::123456789012:role/machine",
    )
    execution = states.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"]
    wait_for(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING")
    state: dict[str, Any] = states.describe_execution(executionArn=execution)
    return state


def invoke_once(platform: Platform, name: str) -> None:
    """Invoke without boto3's own retries of a throttled call."""
    import boto3
    from botocore.config import Config

    session: Any = boto3.session.Session()
    once = session.client(
        "lambda",
        region_name="us-east-1",
        endpoint_url=platform.url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    once.invoke(FunctionName=name)


def running_in(folder: Path) -> list[int]:
    """Return the ids of the live processes that work in the folder."""
    import psutil

    lines = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE:
            lines.append(process.pid)
    return lines
