"""A template taken apart keeps its meaning: references to what is made otherwise become values."""

from __future__ import annotations

from typing import Any

import pytest

from local.aws.custom import as_texts
from local.aws.interpreter import declare, evaluate
from local.aws.invoke import function_name
from local.aws.questions import Questions, answer, holds
from local.aws.template import Substitutes, token

WORKGROUP = {"Type": "AWS::RedshiftServerless::Workgroup", "Properties": {"WorkgroupName": {"Ref": "Stage"}}}
SECRET = {"Type": "AWS::SecretsManager::Secret", "Properties": {}}
VALUES = Substitutes({"Workgroup": WORKGROUP, "Secret": SECRET}, {"Setup": {"Type": "Custom::Setup"}})


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"Ref": "Workgroup"}, {"Ref": "Stage"}),
        ({"Fn::GetAtt": ["Workgroup", "Workgroup.WorkgroupName"]}, {"Ref": "Stage"}),
        ({"Fn::GetAtt": "Workgroup.WorkgroupArn"}, "arn:aws:local:us-east-1:123456789012:Workgroup"),
        ({"Ref": "Bucket"}, {"Ref": "Bucket"}),
        ({"Ref": "Setup"}, token("Setup", "")),
        ({"Fn::GetAtt": ["Setup", "Sql"]}, token("Setup", "Sql")),
        ({"Fn::Sub": "${Bucket}/x"}, {"Fn::Sub": "${Bucket}/x"}),
        (
            {"Fn::Sub": "${Workgroup} ${!Workgroup} ${Bucket}"},
            {"Fn::Sub": ["${Local0} ${!Workgroup} ${Bucket}", {"Local0": {"Ref": "Stage"}}]},
        ),
        (
            {"Fn::Sub": ["${A}-${Workgroup}", {"A": {"Ref": "Workgroup"}}]},
            {"Fn::Sub": ["${A}-${Local1}", {"A": {"Ref": "Stage"}, "Local1": {"Ref": "Stage"}}]},
        ),
        ({"DependsOn": ["Workgroup", "Bucket"], "Type": "T"}, {"DependsOn": ["Bucket"], "Type": "T"}),
        ({"DependsOn": "Setup"}, {"DependsOn": []}),
        (
            {"Ref": "Secret"},
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:tributary-Secret-Local1",
        ),
    ],
)
def test_references_to_what_is_not_created_become_values(tree: Any, expected: Any) -> None:
    assert VALUES.replace(tree) == expected


def test_questions_are_answered_where_they_were_asked() -> None:
    questions = Questions()
    tree = questions.ask({"a": {"Ref": "A"}, "b": [1, {"Fn::If": ["C", "x", {"Ref": "AWS::NoValue"}]}]}, "C")
    assert questions.outputs == {
        "LocalQuestion0": {"Value": {"Ref": "A"}, "Condition": "C"},
        "LocalQuestion1": {"Value": {"Fn::If": ["C", "x", {"Ref": "AWS::NoValue"}]}, "Condition": "C"},
    }
    assert answer(tree, {"LocalQuestion0": "one"}) == {"a": "one", "b": [1]}


def test_a_resource_exists_where_its_condition_holds() -> None:
    question = Questions().exists("C")
    assert holds(question, {"LocalQuestion0": "yes"})
    assert not holds(question, {})


def test_custom_resources_get_every_scalar_as_text() -> None:
    assert as_texts({"a": True, "b": [1, {"c": 0.5}]}) == {"a": "true", "b": ["1", {"c": "0.5"}]}


@pytest.mark.parametrize("text", ['a "quote"', "back\\slash", "line\nbreak", "😀 and ü", "{% not %}", ""])
def test_a_variables_text_reaches_jsonata_unchanged(text: str) -> None:
    assert evaluate(f"({declare({'$text': text})}$text)") == text


@pytest.mark.parametrize(
    "name", ["load", "load:$LATEST", "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aload"]
)
def test_a_function_is_found_by_name_qualifier_or_arn(name: str) -> None:
    assert function_name(f"/2015-03-31/functions/{name}/invocations") == "load"
