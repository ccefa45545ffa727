"""The stack's custom resources answer once, whatever happens to them, and within their time."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.aws.clients import client
from local.aws.platform import Platform
from tributary.environment import clients
from tributary.errors import ConfigError
from tributary.stack import custom_resource

ROOT = Path(__file__).parents[2]
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:tributary"
REST = "engine: sqlite\nsecret: tributary/x\ntables: [{name: orders}]\n"


class Context:
    """What Lambda tells a handler of its time."""

    def __init__(self, left_s: float = 240) -> None:
        self._left_s = left_s

    def get_remaining_time_in_millis(self) -> int:
        return int(self._left_s * 1000)


class Mailbox:
    """The place that a ResponseURL points to; `refuse`: how many answers are turned away first."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.types: list[str | None] = []
        self.refuse = 0
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if mailbox.refuse:
                    mailbox.refuse -= 1
                    self.send_error(503)
                    return
                mailbox.bodies.append(content)
                mailbox.types.append(self.headers["Content-Type"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/answer"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    yield mailbox
    mailbox.close()


def event(mailbox: Mailbox, name: str, kind: str = "Create", **properties: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    made["ResourceProperties"] |= properties
    return {**made, "RequestType": kind, "ResponseURL": mailbox.url}


def act(mailbox: Mailbox, do: Callable[[dict[str, Any]], None], left_s: float = 240) -> list[dict[str, Any]]:
    custom_resource.conduct(event(mailbox, "schedules"), Context(left_s), "id", do)
    return mailbox.answers


def failing(error: BaseException) -> Callable[[dict[str, Any]], None]:
    def do(properties: dict[str, Any]) -> None:
        raise error

    return do


def test_an_answer_is_what_cloudformation_asks_for(mailbox: Mailbox) -> None:
    request = event(mailbox, "schedules")
    assert act(mailbox, lambda properties: None) == [
        {
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "id",
            "StackId": request["StackId"],
            "RequestId": request["RequestId"],
            "LogicalResourceId": "Schedules",
        }
    ]
    assert mailbox.types == [""]  # the URL was signed so


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("shop.yaml, line 3: is wrong"), "ConfigError: shop.yaml, line 3: is wrong"),
        (KeyError("PLANTED"), r"KeyError at test_custom_resources.py:\d+, custom_resource.py:\d+"),
        (SystemExit(3), "SystemExit at "),
        (MemoryError(), "MemoryError at "),
    ],
)
def test_whatever_is_raised_is_answered_and_no_foreign_text(
    mailbox: Mailbox, error: BaseException, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [answer] = act(mailbox, failing(error))
    assert answer["Status"] == "FAILED"
    assert re.match(reason, answer["Reason"])
    assert "PLANTED" not in answer["Reason"] + capsys.readouterr().out


def test_what_takes_too_long_is_answered_before_the_function_is_killed(mailbox: Mailbox) -> None:
    started = time.monotonic()
    sent: list[dict[str, Any]] = []

    def hang(properties: dict[str, Any]) -> None:
        while not mailbox.bodies and time.monotonic() < started + 5:
            time.sleep(0.01)
        sent.extend(mailbox.answers)
        assert time.monotonic() < started + 1.0

    answers = act(mailbox, hang, left_s=1.0)
    assert answers == sent  # and its end, a moment later, is not answered once more
    assert [answer["Status"] for answer in answers] == ["FAILED"]
    assert "not done after 1 s" in answers[0]["Reason"]


def test_a_long_reason_is_cut_to_the_size_that_is_taken(
    mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"source{number}.yaml, line 1, engine: „x“ is not an engine" for number in range(200)]
    [answer] = act(mailbox, failing(ConfigError("\n".join(lines))))
    assert len(mailbox.bodies[0]) <= custom_resource.BODY_AT_MOST
    *shown, last = answer["Reason"].splitlines()
    assert shown == ["ConfigError: " + lines[0], *lines[1 : len(shown)]]
    assert last == f"({200 - len(shown)} more lines are in the function's log)"
    assert "source199.yaml" in capsys.readouterr().out


def test_one_endless_line_is_cut_too(mailbox: Mailbox) -> None:
    [answer] = act(mailbox, failing(ConfigError("ü" * 9000)))
    assert len(mailbox.bodies[0]) <= custom_resource.BODY_AT_MOST
    assert answer["Reason"].startswith("ConfigError: üüü")


def test_an_answer_that_is_turned_away_is_sent_again(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    mailbox.refuse = 2
    assert [answer["Status"] for answer in act(mailbox, lambda properties: None)] == ["SUCCESS"]


def test_an_answer_that_cannot_be_sent_is_an_error_so_that_lambda_calls_again(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    mailbox.refuse = 3
    with pytest.raises(OSError, match="503"):
        act(mailbox, lambda properties: None)


@pytest.mark.parametrize("name", ["schedules", "warehouse"])
def test_a_handler_needs_nothing_but_the_standard_library_before_it_can_answer(
    mailbox: Mailbox, name: str
) -> None:
    program = (
        "import json, sys; sys.path[:0] = sys.argv[1:3]; import app\n"
        "class Context:\n"
        "    get_remaining_time_in_millis = lambda self: 60000\n"
        "app.handler(json.loads(sys.argv[3]), Context())"
    )
    folders = [str(ROOT / "functions" / name), str(ROOT / "layers" / "tributary")]
    request = json.dumps(event(mailbox, name))
    subprocess.run([sys.executable, "-I", "-S", "-c", program, *folders, request], check=True)
    [answer] = mailbox.answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", f"tributary-{name}")
    assert answer["Reason"].startswith("ModuleNotFoundError at ")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("logs")) as platform:
        client("scheduler", platform.url).create_schedule_group(Name="custom")
        yield platform


@pytest.fixture
def handler(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """The schedules' handler, with its sources in the test's folder."""
    variables = {
        "AWS_ENDPOINT_URL": platform.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "SOURCES_DIR": str(tmp_path),
        "SCHEDULE_GROUP": "custom",
        "STATE_MACHINE_ARN": MACHINE,
        "SCHEDULER_ROLE_ARN": "arn:aws:iam::123456789012:role/scheduler",
        "DEAD_LETTERS_ARN": "arn:aws:sqs:us-east-1:123456789012:dead-letters",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    clients.client.cache_clear()
    yield importlib.import_module("functions.schedules.app").handler
    clients.client.cache_clear()


def expressions(platform: Platform) -> dict[str, str]:
    scheduler = client("scheduler", platform.url)
    names = [one["Name"] for one in scheduler.list_schedules(GroupName="custom")["Schedules"]]
    return {
        name: scheduler.get_schedule(GroupName="custom", Name=name)["ScheduleExpression"] for name in names
    }


def test_the_schedules_follow_every_event_and_twice_is_as_once(
    platform: Platform, mailbox: Mailbox, handler: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text("schedule: rate(1 hour)\n" + REST)
    for _ in range(2):
        handler(event(mailbox, "schedules"), Context())
        assert expressions(platform) == {"shop": "rate(1 hour)"}
    (tmp_path / "shop.yaml").write_text("schedule: rate(2 hours)\n" + REST)
    for _ in range(2):
        handler(event(mailbox, "schedules", "Update"), Context())
        assert expressions(platform) == {"shop": "rate(2 hours)"}
    (tmp_path / "shop.yaml").write_text("schedule: rate(3 hours)\n" + REST + "secrets: x\n")
    handler(event(mailbox, "schedules", "Update"), Context())
    for _ in range(2):
        handler(event(mailbox, "schedules", "Delete"), Context())
        assert expressions(platform) == {"shop": "rate(2 hours)"}  # they go with their group
    answers = mailbox.answers
    statuses = [answer["Status"] for answer in answers]
    assert statuses == ["SUCCESS"] * 4 + ["FAILED"] + ["SUCCESS"] * 2
    assert answers[4]["Reason"] == (
        'ConfigError: shop.yaml, line 5, secrets: unknown key "secrets"; did you mean "secret"?'
    )
    assert {answer["PhysicalResourceId"] for answer in answers} == {"tributary-schedules"}


def test_what_the_template_forgot_is_answered(
    mailbox: Mailbox, handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCHEDULE_GROUP")
    handler(event(mailbox, "schedules"), Context())
    assert mailbox.answers[0]["Reason"] == (
        "ConfigError: environment variable SCHEDULE_GROUP is not set; the template declares it"
    )


def test_an_event_cannot_name_what_schedules_start(
    platform: Platform, mailbox: Mailbox, handler: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "forged.yaml").write_text("schedule: rate(1 hour)\n" + REST)
    evil = "arn:aws:states:us-east-1:123456789012:stateMachine:evil"
    forged = {"StateMachineArn": evil, "RoleArn": "arn:aws:iam::1:role/evil", "DeadLettersArn": evil}
    handler(event(mailbox, "schedules", **forged), Context())
    assert mailbox.answers[0]["Status"] == "SUCCESS"
    target = client("scheduler", platform.url).get_schedule(GroupName="custom", Name="forged")["Target"]
    assert (target["Arn"], target["RoleArn"]) == (MACHINE, "arn:aws:iam::123456789012:role/scheduler")


def test_an_answer_goes_to_a_web_address_only(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a web address"):
        custom_resource.put((tmp_path / "answer").as_uri(), b"{}")
