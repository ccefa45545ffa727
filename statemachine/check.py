"""Check the state machine for mistakes that no linter of templates finds.

`python -m statemachine.check` prints the faults. CloudFormation checks none of this before a deploy,
and the local interpreter executes some mistakes without an error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonata
import yaml

from tributary.errors import TransientError

DEFINITION = Path(__file__).with_name("pipeline.asl.yaml")
AWS_ERRORS = frozenset(  # from Lambda, not from our code (SFN:concepts-error-handling)
    {
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.Unknown",
        "Sandbox.Timedout",
    }
)
NO_ROOM = frozenset(  # from Lambda, when the account or the function has no capacity for the call yet
    {
        "Lambda.TooManyRequestsException",
        "Lambda.ResourceNotReadyException",  # after weeks without calls, in a VPC
        "Lambda.ResourceConflictException",  # a deploy is changing the function
        "Lambda.ENINotReadyException",
        "Lambda.ENILimitReachedException",
        "Lambda.SubnetIPAddressLimitReachedException",
        "Lambda.EC2ThrottledException",
        "Lambda.EC2UnexpectedException",
    }
)
LONGEST_EXTRACT_S = 900
TYPES = frozenset({"Task", "Map", "Choice", "Wait", "Pass", "Succeed", "Fail"})
TERMINAL = frozenset({"Succeed", "Fail"})
JSONPATH = frozenset({"InputPath", "OutputPath", "ResultPath", "ResultSelector", "Parameters", "ItemsPath"})
LAST_TASKS = frozenset({"Report"})  # no state follows: the execution fails, and an alarm reports it
REFUSED = re.compile(r"\$(hash|uuid|eval)\(")  # silently wrong in the local interpreter, or rejected by AWS

State = Mapping[str, Any]
States = Mapping[str, State]


def read(path: Path = DEFINITION) -> dict[str, Any]:
    """Return the definition."""
    definition: dict[str, Any] = yaml.safe_load(path.read_text())
    return definition


def faults(definition: Mapping[str, Any], text: str = "") -> list[str]:
    """Return the faults of the definition and of its YAML text."""
    problems = list(_text_faults(text))
    if definition.get("QueryLanguage") != "JSONata":
        problems.append("QueryLanguage is not JSONata")
    if "TimeoutSeconds" not in definition:
        problems.append("TimeoutSeconds is missing, so an execution could hold its source's lease for a year")
    for scope, start, states in scopes(definition):
        problems += _graph_faults(scope, start, states)
        for name, state in states.items():
            problems += _state_faults(name, state)
    return problems


def scopes(machine: Mapping[str, Any], name: str = "the machine") -> Iterator[tuple[str, str, States]]:
    """Yield each set of states that run together, with its name and its first state."""
    states: States = machine.get("States", {})
    yield name, machine.get("StartAt", ""), states
    for inner, state in states.items():
        if "ItemProcessor" in state:
            yield from scopes(state["ItemProcessor"], inner)


def substitutions(path: Path = DEFINITION) -> set[str]:
    """Return the names that the definition expects the template to fill in."""
    return set(re.findall(r"\$\{(\w+)\}", path.read_text()))


def targets(state: State) -> set[str]:
    """Return the states that this state may go to."""
    rules = [state, *state.get("Choices", []), *state.get("Catch", [])]
    problems = {rule["Next"] for rule in rules if "Next" in rule}
    return problems | {state["Default"]} if "Default" in state else problems


def _text_faults(text: str) -> Iterator[str]:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            yield f"*{event.anchor} is an alias, which CloudFormation reads as plain text: write it out"


def _graph_faults(scope: str, start: str, states: States) -> Iterator[str]:
    edges = {name: targets(state) for name, state in states.items()}
    for name, following in {"StartAt": {start}, **edges}.items():
        for missing in sorted(following - states.keys()):
            yield f"{name} goes to {missing}, which is not a state of {scope}"
    for lost in sorted(states.keys() - _reachable({start}, edges)):
        yield f"{lost} is never reached"
    for name in states:
        if not any(_ends(states[one]) for one in _reachable({name}, edges)):
            yield f"{name} never ends"


def _ends(state: State) -> bool:
    return state.get("Type") in TERMINAL or state.get("End") is True


def _reachable(names: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(names & edges.keys())
    while todo:
        name = todo.pop()
        seen.add(name)
        todo += (edges[name] & edges.keys()) - seen
    return seen


def _state_faults(name: str, state: State) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in TYPES:
        yield f"{name}: {kind} is not a type used here"
    for field in sorted(JSONPATH & state.keys()):
        yield f"{name}: {field} belongs to JSONPath"
    if kind == "Choice":
        if "Default" not in state:
            yield f"{name}: a choice without Default fails if nothing matches"
    elif kind not in TERMINAL and ("Next" in state) == (state.get("End") is True):
        yield f"{name}: write exactly one of Next and End"
    if kind == "Task":
        yield from _task_faults(name, state)
    if kind == "Map" and state["ItemProcessor"].get("ProcessorConfig") != {"Mode": "INLINE"}:
        yield f"{name}: only an inline Map runs on the local stack as it does on AWS"
    if kind == "Map" and not _catches_all(state):
        yield f"{name}: Catch does not take States.ALL, so a failure would end the run without a report"
    for expression in _expressions(state):
        yield from (f"{name}: {fault}" for fault in _expression_faults(expression))


def _task_faults(name: str, state: State) -> Iterator[str]:
    if (
        state.get("Resource") != "arn:${Partition}:states:::lambda:invoke"
    ):  # GovCloud and China have their own
        yield f"{name}: calls {state.get('Resource')}, not a function"
    yield from (f"{name}: {fault}" for fault in _retry_faults(state.get("Retry", [])))
    if not _catches_all(state) and name not in LAST_TASKS:
        yield f"{name}: Catch does not take States.ALL, so a failure would end the run without a report"


def _retry_faults(retries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    transient = {error.__name__ for error in TransientError.__subclasses__()}
    expected = [transient | AWS_ERRORS, NO_ROOM]
    retried = [set(retry["ErrorEquals"]) for retry in retries]
    if retried != expected:
        differing = ", ".join(sorted(set[str]().union(*retried) ^ set[str]().union(*expected)))
        yield (
            "Retry must name exactly the transient errors and AWS's own, then the errors of missing room: "
            + (differing or "each in its entry")
        )
        return
    if any(retry.get("JitterStrategy") != "FULL" for retry in retries):
        yield "Retry must use full jitter"
    if retries[0].get("MaxAttempts") != 3:
        yield "Retry must try three times after a transient error"
    if expected_wait_s(retries[1]) < 2 * LONGEST_EXTRACT_S:
        yield "Retry must wait for room twice as long as an extraction may hold its slot"


def expected_wait_s(retry: Mapping[str, Any]) -> float:
    """Return how long a retrier with full jitter waits in all, on average."""
    delays = (
        min(retry["MaxDelaySeconds"], retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt)
        for attempt in range(retry["MaxAttempts"])
    )
    return float(sum(delays)) / 2


def _catches_all(state: State) -> bool:
    return any(catch["ErrorEquals"] == ["States.ALL"] for catch in state.get("Catch", []))


def _expressions(tree: Any) -> Iterator[str]:
    """Yield the JSONata texts of a state, without those of the states inside it."""
    if isinstance(tree, str) and "{%" in tree:
        yield tree
    elif isinstance(tree, list):
        for item in tree:
            yield from _expressions(item)
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            if key != "ItemProcessor":
                yield from _expressions(value)


def _expression_faults(text: str) -> Iterator[str]:
    if not (text.startswith("{%") and text.endswith("%}")):
        yield f"{text} is not an expression: it must begin with {{% and end with %}}"
        return
    if REFUSED.search(text):
        yield f"{text} uses a function that the local interpreter or AWS refuses"
    try:
        jsonata.Jsonata(text[2:-2])
    except jsonata.JException as error:
        yield f"{text} is not JSONata: {error}"


def main() -> int:
    """Print the faults; return 1 if there are any."""
    problems = faults(read(), DEFINITION.read_text())
    for fault in problems:
        print(f"{DEFINITION.name}: {fault}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
