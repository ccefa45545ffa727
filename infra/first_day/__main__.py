"""`make first-day`: ask a real account what only it can answer; `make first-day LOCAL=1` asks the stand-in.

Prints what it will create and what that costs, and asks before it begins. Writes first-day.json, which
names no account, no address and no row of yours, and can be attached to an issue.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import deploy
from infra.first_day import account, questions, source
from local import stack
from tributary import __version__

RUNS = 2
POLL_S = 2.0
COST = """\
It deploys the stack tributary-first-day with a new Redshift Serverless, runs it twice, asks the warehouse
some 25 questions, and deletes everything again: about 25 minutes. The warehouse is billed for the seconds in
which it works, a minute at least each time: less than a dollar in all with 8 RPUs. If the script is killed,
`make first-day CLEAN=1` deletes what it left."""


def run_twice(states: Any, machine: str, poll_s: float) -> list[dict[str, Any]]:
    """Run the source twice and return how each run ended."""
    runs = []
    for _ in range(RUNS):
        sent = states.start_execution(stateMachineArn=machine, input=json.dumps({"source": source.NAME}))
        began = time.monotonic()
        while (execution := states.describe_execution(executionArn=sent["executionArn"]))[
            "status"
        ] == "RUNNING":
            time.sleep(poll_s)
        runs.append(
            {
                "status": execution["status"],
                "error": execution.get("error"),
                "cause": execution.get("cause"),
                "output": json.loads(execution["output"]) if execution.get("output") else None,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    return runs


def succeeded(runs: list[dict[str, Any]]) -> bool:
    """Return whether both runs succeeded."""
    return [run["status"] for run in runs] == ["SUCCEEDED"] * RUNS


def in_the_account(region: str | None) -> dict[str, Any]:
    """Deploy, run, ask and clean up; return the answers."""
    session = boto3.session.Session(region_name=region)
    here = account.Account(session)
    answers: dict[str, Any] = {"where": "aws", "region": session.region_name}
    try:
        with account.folder() as name:
            project = Path(name)
            here.build(project)
            outputs = here.deploy(project, copy_for_all=False)
            # With the trust that names the database user: whether COPY takes it.
            states = here.client("stepfunctions")
            answers["runs"] = run_twice(states, outputs["StateMachineArn"], POLL_S)
            outputs = here.deploy(project, copy_for_all=True)  # the questions are asked as administrator
            if not succeeded(answers["runs"]):  # was it that trust?
                runs = run_twice(states, outputs["StateMachineArn"], POLL_S)
                answers["runs_with_a_role_for_all"] = runs
            address = {"SecretArn": here.retained["AdminSecret"]}
            answers["answers"] = questions.ask(_warehouse(here.client, outputs, address))
    except (Exception, KeyboardInterrupt) as error:
        answers["failed"] = f"{type(error).__name__}: {error}"
    finally:
        answers["left_over"] = here.clean_up()
    return answers


def in_the_stand_in() -> dict[str, Any]:
    """Run and ask on this machine; return the answers."""
    with tempfile.TemporaryDirectory(prefix="tributary-first-day-") as name:
        folder = Path(name)
        secret = source.write(folder / "sources", folder / "sources")
        with stack.spawn(folder / "stack", sources=folder / "sources") as pipeline:
            pipeline.client("secretsmanager").create_secret(
                Name=f"tributary/{source.NAME}", SecretString=secret
            )
            machine = pipeline.outputs["StateMachineArn"]
            return {
                "where": "stand-in",
                "runs": run_twice(pipeline.client("stepfunctions"), machine, 0.2),
                "answers": questions.ask(_warehouse(pipeline.client, pipeline.outputs, {})),
            }


def _warehouse(client: Any, outputs: dict[str, str], address: dict[str, str]) -> questions.Warehouse:
    return questions.Warehouse(
        api=client("redshift-data"),
        s3=client("s3"),
        address={
            "WorkgroupName": outputs["WarehouseWorkgroup"],
            "Database": outputs["WarehouseDatabase"],
            **address,
        },
        bucket=outputs["RawBucketName"],
        copy_role=outputs["CopyRoleArn"],
    )


def without_names(text: str) -> str:
    """Return the text without account numbers and addresses of AWS resources."""
    return re.sub(r"\b\d{12}\b", "<account>", re.sub(r"arn:aws[^\s\"']*", "<arn>", text))


def whole(answers: dict[str, Any]) -> bool:
    """Return whether both runs succeeded, every question has an answer, and nothing is left."""
    names = {question.name for question in questions.questions(_nowhere())}
    return (
        succeeded(answers.get("runs", []))
        and names <= answers.get("answers", {}).keys()
        and not answers.get("left_over")
    )


def _nowhere() -> questions.Warehouse:
    return questions.Warehouse(None, None, {}, "bucket", "role")


def main() -> int:
    """Ask, write first-day.json, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make first-day", description=__doc__)
    parser.add_argument("--local", action="store_true", help="ask the stand-in on this machine")
    parser.add_argument("--yes", action="store_true", help="do not ask before creating anything")
    parser.add_argument("--clean", action="store_true", help="only delete what a killed first day left")
    parser.add_argument("--region", help="else the one of the shell's AWS settings")
    parser.add_argument("--output", type=Path, default=Path("first-day.json"))
    options = parser.parse_args()
    if not options.local:
        try:
            deploy.check_endpoints(os.environ)
        except deploy.DeployRefused as error:
            print(error, file=sys.stderr)
            return 1
        session = boto3.session.Session(region_name=options.region)
        try:
            user = session.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            print(f"no AWS account can be reached: {error}; run aws configure first", file=sys.stderr)
            return 1
        print(f"Account {user['Account']}, region {session.region_name}, as {user['Arn']}.\n{COST}")
        if options.clean:
            return _print_left(account.Account(session).clean_up())
        try:
            deploy.check_stack(session, account.STACK)
        except deploy.DeployRefused as error:
            print(error, file=sys.stderr)
            return 1
        if not options.yes and input("Go on? yes or no: ").strip().lower() != "yes":
            return 1
    answers = in_the_stand_in() if options.local else in_the_account(options.region)
    answers |= {"version": __version__, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    options.output.write_text(without_names(json.dumps(answers, indent=2)) + "\n")
    done = whole(answers)
    print(f"{options.output}: {'every question has an answer' if done else 'not all went well'}")
    _print_left(answers.get("left_over", []))
    return 0 if done else 1


def _print_left(left_over: list[str]) -> int:
    """Print what is left of the stack; return the exit code."""
    for line in left_over:
        print(f"still there: {line}", file=sys.stderr)
    return 1 if left_over else 0


if __name__ == "__main__":
    sys.exit(main())
