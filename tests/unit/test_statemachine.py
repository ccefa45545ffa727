"""The state machine passes its check, and the check finds mistakes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import botocore.session
import pytest

from statemachine import check

MACHINE = check.read()
Change = Callable[[dict[str, Any]], Any]


def faults_after(change: Change) -> list[str]:
    machine = deepcopy(MACHINE)
    change(machine["States"])
    return check.faults(machine)


def test_the_state_machine_has_no_fault():
    assert check.faults(MACHINE, check.DEFINITION.read_text()) == []


def test_an_alias_is_found_since_cloudformation_reads_it_as_text():
    assert check.faults(MACHINE, "a: &x [1]\nb: *x\n") == [
        "*x is an alias, which CloudFormation reads as plain text: write it out"
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda s: s["Load"].update(Next="Nowhere"),
            "Load goes to Nowhere, which is not a state of the machine",
        ),
        (lambda s: s["Plan"]["Catch"][0].update(Next="Rport"), "Plan goes to Rport"),
        (lambda s: s["Loaded"].update(Default="Load2"), "Loaded goes to Load2"),
        (lambda s: s["Loaded"]["Choices"][0].update(Next="Extract"), "Loaded goes to Extract"),
        (lambda s: s["Report"].update(Next="Failed"), "Ended is never reached"),
        (lambda s: s["Load"].pop("Next"), "Load: write exactly one of Next and End"),
        (lambda s: s["Load"].pop("Retry"), "Load: Retry must name exactly the transient errors"),
        (lambda s: s["Load"]["Retry"][0]["ErrorEquals"].append("LoadFailed"), "missing room: LoadFailed"),
        (lambda s: s["Load"]["Retry"][0].update(MaxAttempts=9), "Load: Retry must try three times"),
        (lambda s: s["Load"]["Retry"].reverse(), "errors of missing room: each in its entry"),
        (lambda s: s["Load"]["Retry"].pop(), "errors of missing room: Lambda.EC2Throttled"),
        (lambda s: s["Load"]["Retry"][1].update(MaxAttempts=9), "Load: Retry must wait for room"),
        (lambda s: s["Load"]["Retry"][1].update(JitterStrategy="NONE"), "Load: Retry must use full jitter"),
        (lambda s: s["Load"].pop("Catch"), "Load: Catch does not take States.ALL"),
        (lambda s: s["ExtractItems"].pop("Catch"), "ExtractItems: Catch does not take States.ALL"),
        (lambda s: s["Loaded"].pop("Default"), "Loaded: a choice without Default"),
        (lambda s: s["Plan"].update(ResultPath="$.x"), "Plan: ResultPath belongs to JSONPath"),
        (
            lambda s: s["ExtractItems"]["ItemProcessor"].update(ProcessorConfig={"Mode": "DISTRIBUTED"}),
            "ExtractItems: only an inline Map",
        ),
        (lambda s: s["Load"].update(Output="{% $states.( %}"), "is not JSONata"),
        (lambda s: s["Load"].update(Output="{% $hash('x') %}"), "uses a function"),
        (lambda s: s["Load"].update(Output="{% 1 "), "is not an expression"),
    ],
)
def test_a_mistake_is_found(change: Change, fault: str):
    assert [one for one in faults_after(change) if fault in one]


def test_a_loop_without_an_end_is_found():
    machine = {
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}},
    }
    assert {"A never ends", "B never ends"} <= set(check.faults(machine))


# Errors of Lambda's Invoke that a person must mend. Every other error of botocore's model is retried.
PERMANENT = {
    *(
        "EC2AccessDenied",
        "InvalidParameterValue",
        "InvalidRequestContent",
        "InvalidRuntime",
        "InvalidZipFile",
    ),
    *("InvalidSecurityGroupID", "InvalidSubnetID", "ResourceNotFound", "UnsupportedMediaType"),
    *("KMSAccessDenied", "KMSDisabled", "KMSInvalidState", "KMSNotFound", "RecursiveInvocation"),
    *("RequestTooLarge", "SerializedRequestEntityTooLarge"),
}
# Of features that no function here uses.
UNUSED = ("EFS", "SnapStart", "S3Files", "Durable", "CodeArtifact", "RuntimeAlias", "RuntimeVersion")
UNUSED_NAMES = {"NoPublishedVersion", "ModeNotSupported", "ServiceQuotaExceeded"}


def test_every_error_of_an_invocation_is_retried_or_needs_a_person():
    model = botocore.session.get_session().get_service_model("lambda")
    names = {shape.name.removesuffix("Exception") for shape in model.operation_model("Invoke").error_shapes}
    used = {name for name in names - UNUSED_NAMES if not name.startswith(UNUSED)}
    retried = {
        error.removeprefix("Lambda.").removesuffix("Exception") for error in check.AWS_ERRORS | check.NO_ROOM
    }
    assert used <= retried | PERMANENT
    assert not retried & PERMANENT


def test_a_run_waits_for_room_for_as_long_as_extractions_hold_their_slots_and_not_for_many_events():
    [_, patient] = MACHINE["States"]["Load"]["Retry"]
    assert check.expected_wait_s(patient) == pytest.approx(2857.5)
    assert 3 * patient["MaxAttempts"] < 100  # events: scheduled, started, failed
