"""The stack is a process: it prints its address, serves any AWS client, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from local.pipeline import project
from local.stack import Spawned, StackDidNotStart, spawn
from tests.patience import wait_for

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  RawBucket: {Type: AWS::S3::Bucket}
  PlanFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: plan
      Handler: app.handler
      Runtime: python3.13
      Timeout: 60
      Environment: {Variables: {SOURCES_DIR: /opt}}
      Policies:
        - Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: "s3:ListAllMyBuckets", Resource: "*"}]
  StateMachine:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machine.asl.yaml
      DefinitionSubstitutions: {PlanFunctionArn: !GetAtt PlanFunction.Arn}
      Policies: [{LambdaInvokePolicy: {FunctionName: !Ref PlanFunction}}]
Outputs:
  StateMachineArn: {Value: !Ref StateMachine}
  RawBucketName: {Value: !Ref RawBucket}
"""
MACHINE = """
QueryLanguage: JSONata
StartAt: Plan
States:
  Plan:
    Type: Task
    Resource: arn:aws:states:::lambda:invoke
    Arguments: {FunctionName: "${PlanFunctionArn}", Payload: "{% $states.input %}"}
    Output: "{% $states.result.Payload %}"
    End: true
"""
HANDLER = """
import os, time, boto3

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    bucket = boto3.client("s3").list_buckets()["Buckets"][0]["Name"]
    return {"run_id": "r", "sources": os.listdir(os.environ["SOURCES_DIR"]), "bucket": bucket, **event}
"""


def sample(folder: Path) -> Path:
    (folder / "plan").mkdir()
    (folder / "sources").mkdir()
    (folder / "sources" / "shop.yaml").write_text("")
    (folder / "plan" / "app.py").write_text(HANDLER)
    (folder / "machine.asl.yaml").write_text(MACHINE)
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder / "template.yaml"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return sample(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spawned]:
    template = sample(tmp_path_factory.mktemp("shared"))
    with start(template) as stack:
        yield stack


def start(template: Path) -> Spawned:
    folder = template.parent
    return spawn(folder / "stack", sources=folder / "sources", template=template)


def test_a_run_goes_through_the_state_machine_and_the_real_handler(shared: Spawned) -> None:
    run = shared.run("shop", full_refresh=True)
    bucket = shared.outputs["RawBucketName"]
    assert run.status == "SUCCEEDED"
    expected = {
        "run_id": "r",
        "sources": ["shop.yaml"],
        "bucket": bucket,
        "source": "shop",
        "full_refresh": True,
    }
    assert run.output == run.plan == expected
    assert [log.name.partition("-Plan")[0] for log in shared.logs.glob("tributary-Plan*.log")] == [
        "tributary"
    ]


def test_a_stopped_stack_leaves_no_process(template: Path) -> None:
    stack = start(template)
    stack.run("shop")
    assert len(processes(stack.directory)) >= 4
    stack.stop()
    assert processes(stack.directory) == []
    assert stack.process.returncode == 0


def test_a_killed_stack_leaves_no_process_even_in_the_middle_of_a_call(template: Path) -> None:
    stack = start(template)
    stack.start_run("shop", sleep=30)
    wait_until_running(stack)
    stack.process.kill()
    stack.process.wait()
    wait_until_gone(stack.directory)


def test_a_stack_ends_with_the_process_that_spawned_it(template: Path) -> None:
    folder = template.parent
    program = (
        "import sys, time; from pathlib import Path; from local.stack import spawn\n"
        "folder = Path(sys.argv[1])\n"
        "spawn(folder / 'stack', sources=folder / 'sources', template=folder / 'template.yaml')\n"
        "print('up', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], cwd=project(), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    assert processes(folder / "stack")
    parent.kill()
    parent.wait()
    wait_until_gone(folder / "stack")


def test_a_stack_that_cannot_be_deployed_says_why_and_leaves_no_process(template: Path) -> None:
    template.write_text(TEMPLATE.replace("AWS::S3::Bucket", "AWS::S3::Bukket"))
    with pytest.raises(StackDidNotStart, match="RawBucket: moto cannot create a AWS::S3::Bukket"):
        start(template)
    assert processes(template.parent / "stack") == []


def test_the_command_says_where_everything_is(shared: Spawned) -> None:
    log = (shared.directory / "stack.log").read_text()
    assert f"export AWS_ENDPOINT_URL={shared.endpoint_url}\n" in log
    assert f"postgresql://postgres@127.0.0.1:{shared.warehouse_port}/warehouse" in log
    assert f"StateMachineArn  {shared.outputs['StateMachineArn']}\n" in log


def test_a_plain_client_needs_the_endpoint_alone(shared: Spawned) -> None:
    program = (
        "import boto3, json; states = boto3.client('stepfunctions')\n"
        "arn = states.list_state_machines()['stateMachines'][0]['stateMachineArn']\n"
        "print(json.dumps([arn, boto3.client('s3').list_buckets()['Buckets'][-1]['Name']]))"
    )
    environment = {
        "AWS_ENDPOINT_URL": shared.endpoint_url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    result = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    arn, _ = json.loads(result.stdout)
    assert arn == shared.outputs["StateMachineArn"]


def processes(directory: Path) -> list[str]:
    """Return the command lines of the live processes that the stack in the directory started."""
    left = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            mine = process.pid != os.getpid() and any(str(directory) in word for word in words)
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                left.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return left


def wait_until_running(stack: Spawned) -> None:
    wait_for(lambda: any("START" in log.read_text() for log in stack.logs.glob("tributary-Plan*.log")))


def wait_until_gone(directory: Path) -> None:
    wait_for(lambda: not processes(directory))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spawned]:
    """The project's own template, with one SQLite source."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "sources").mkdir()
    (folder / "sources" / "shop.yaml").write_text(
        "engine: sqlite\nsecret: tributary/shop\nschedule: rate(1 hour)\n"
        "defaults: {mode: replace}\ntables: [{include: '*'}]\n"
    )
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER)")
        database.execute("CREATE TABLE labels (code TEXT PRIMARY KEY)")  # nullable, which is worth a note
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(number, number) for number in range(1234)])
        database.commit()
    secret = {"host": "x", "port": 1, "username": "x", "password": "x", "dbname": str(folder / "shop.db")}
    with spawn(folder / "stack", sources=folder / "sources") as stack:
        stack.client("secretsmanager").create_secret(Name="tributary/shop", SecretString=json.dumps(secret))
        yield stack


def test_the_run_command_shows_each_tables_way_to_the_warehouse(shop: Spawned) -> None:
    result = command("run", "shop", "--endpoint", shop.endpoint_url)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "  main.orders: planned, replace, all rows" in lines
    assert "  main.orders: loaded 1,234 rows" in lines
    ended = next(number for number, line in enumerate(lines) if line.startswith("shop: run "))
    assert " succeeded in " in lines[ended]
    assert any(line.startswith("  note: main.labels: ") for line in lines[ended:])
    assert lines[-1].startswith("shop: report s3://tributary-rawbucket/_runs/shop/")
    key = lines[-1].partition("tributary-rawbucket/")[2]
    bucket = shop.outputs["RawBucketName"]
    assert shop.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]


def test_the_run_command_says_why_a_run_failed(shop: Spawned) -> None:
    result = command("run", "shop", "--tables", "main.nothing", "--endpoint", shop.endpoint_url)
    assert result.returncode == 1
    assert "main.nothing" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("words", [["run", "shop"], ["deploy"], ["delete"]])
def test_a_command_without_a_stack_says_how_to_start_one(words: list[str]) -> None:
    result = command(*words, "--endpoint", "http://127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.startswith("no local stack answers at http://127.0.0.1:1; start one by ")
    assert "Traceback" not in result.stderr


def test_a_python_without_the_stacks_packages_is_sent_to_make_setup() -> None:
    bare = [sys._base_executable, "-S", "-E", "-m", "local", "up"]  # type: ignore[attr-defined]
    result = subprocess.run(bare, cwd=project(), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "run `make setup` once, then `.venv/bin/python -m local up`" in result.stderr
    assert "Traceback" not in result.stderr


def command(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "local", *words]
    return subprocess.run(line, cwd=project(), capture_output=True, text=True, check=False)
