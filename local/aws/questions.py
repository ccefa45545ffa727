"""Values that CloudFormation resolves for us: each becomes an extra output of the stack.

So one engine evaluates `Ref`, `Fn::GetAtt`, `Fn::If` and conditions, also for resources that are
created by API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.aws.template import DeployError, Tree

PREFIX = "LocalQuestion"


@dataclass(frozen=True, slots=True)
class Question:
    """The place of a value that is not known yet."""

    output: str


@dataclass(frozen=True, slots=True)
class Choice:
    """An `Fn::If` between whole trees, which no output could hold."""

    condition: Question
    then: Tree
    otherwise: Tree


class Questions:
    """Values to be resolved; `outputs` is what the template's Outputs must carry."""

    def __init__(self) -> None:
        self.outputs: dict[str, Tree] = {}

    def ask(self, tree: Tree, condition: str | None = None) -> Tree:
        """Return the tree with a Question in place of every intrinsic function."""
        if isinstance(tree, list):
            return [self.ask(item, condition) for item in tree]
        if not isinstance(tree, dict):
            return tree
        if "Fn::If" in tree and any(map(_is_a_tree, tree["Fn::If"][1:])):
            name, then, otherwise = tree["Fn::If"]
            return Choice(self.exists(name), self.ask(then, condition), self.ask(otherwise, condition))
        if len(tree) == 1 and next(iter(tree)).startswith(("Ref", "Fn::")):
            return self._question(tree, condition)
        return {key: self.ask(value, condition) for key, value in tree.items()}

    def exists(self, condition: str | None) -> Question:
        """Return a Question that has an answer only if the condition holds."""
        return self._question("yes", condition)

    def _question(self, value: Tree, condition: str | None) -> Question:
        question = Question(f"{PREFIX}{len(self.outputs)}")
        output = {"Value": value}
        self.outputs[question.output] = {**output, "Condition": condition} if condition else output
        return question


def answer(tree: Tree, outputs: Mapping[str, str]) -> Any:
    """Return the tree with every Question answered; entries whose value is AWS::NoValue are dropped."""
    if isinstance(tree, list):
        return [answer(item, outputs) for item in tree if not _missing(item, outputs)]
    if isinstance(tree, dict):
        return {key: answer(value, outputs) for key, value in tree.items() if not _missing(value, outputs)}
    if isinstance(tree, Choice):
        return answer(_chosen(tree, outputs), outputs)
    if isinstance(tree, Question):
        if tree.output not in outputs:
            raise DeployError(f"CloudFormation gave no value for {tree.output}")
        return outputs[tree.output]
    return tree


def holds(question: Question, outputs: Mapping[str, str]) -> bool:
    """Say whether the question of `Questions.exists` holds."""
    return question.output in outputs


def _missing(tree: Tree, outputs: Mapping[str, str]) -> bool:
    if isinstance(tree, Choice):
        return _missing(_chosen(tree, outputs), outputs)
    return isinstance(tree, Question) and tree.output not in outputs


def _chosen(choice: Choice, outputs: Mapping[str, str]) -> Tree:
    return choice.then if holds(choice.condition, outputs) else choice.otherwise


def _is_a_tree(tree: Tree) -> bool:
    """Say whether the value is a list or an object of its own, not one intrinsic function."""
    return isinstance(tree, list) or (
        isinstance(tree, dict) and not (len(tree) == 1 and next(iter(tree)).startswith(("Ref", "Fn::")))
    )
