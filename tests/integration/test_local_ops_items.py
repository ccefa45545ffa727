"""OpsItems are played as OpsCenter has them: one per deduplication string while it is unresolved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.aws.clients import client
from local.aws.platform import Platform


@pytest.fixture(scope="module")
def ssm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with Platform(tmp_path_factory.mktemp("logs")) as platform:
        yield client("ssm", platform.url)


def dedup(text: str) -> dict[str, Any]:
    return {"/aws/dedup": {"Type": "SearchableString", "Value": f'{{"dedupString": "{text}"}}'}}


def create(ssm: Any, text: str, **more: Any) -> str:
    item = {
        "Title": "Tables of shop are paused",
        "Description": "public.orders",
        "Source": "Tributary",
        "OperationalData": dedup(text),
    }
    return str(ssm.create_ops_item(**{**item, **more})["OpsItemId"])


def found(ssm: Any, *filters: tuple[str, str, str]) -> list[str]:
    wanted = [{"Key": key, "Operator": operator, "Values": [value]} for key, operator, value in filters]
    pages = ssm.get_paginator("describe_ops_items").paginate(OpsItemFilters=wanted)
    return [item["OpsItemId"] for page in pages for item in page["OpsItemSummaries"]]


def test_a_second_item_is_refused_until_the_first_is_resolved(ssm: Any) -> None:
    first = create(ssm, "one")
    with pytest.raises(ssm.exceptions.OpsItemAlreadyExistsException) as refused:
        create(ssm, "one")
    assert refused.value.response["OpsItemId"] == first
    ssm.update_ops_item(OpsItemId=first, Status="InProgress")
    with pytest.raises(ssm.exceptions.OpsItemAlreadyExistsException):
        create(ssm, "one")
    ssm.update_ops_item(OpsItemId=first, Status="Resolved")
    assert create(ssm, "one") != first


def test_items_of_other_strings_or_without_one_stand_beside_each_other(ssm: Any) -> None:
    made = [create(ssm, "two"), create(ssm, "three"), create(ssm, "", OperationalData={})]
    assert len({*made, create(ssm, "", OperationalData={})}) == 4


def test_an_item_is_found_by_what_may_be_searched(ssm: Any) -> None:
    open_one = create(ssm, "four")
    closed = create(
        ssm, "five", OperationalData={**dedup("five"), "note": {"Type": "String", "Value": "four"}}
    )
    ssm.update_ops_item(OpsItemId=closed, Status="Resolved")
    assert found(ssm, ("OperationalDataValue", "Contains", "four")) == [open_one]
    both = found(ssm, ("Title", "Contains", "shop"))
    assert {open_one, closed} <= set(both)
    assert closed not in found(ssm, ("Title", "Contains", "shop"), ("Status", "Equal", "Open"))


def test_an_item_is_changed_in_place(ssm: Any) -> None:
    item = create(ssm, "six")
    ssm.update_ops_item(
        OpsItemId=item, Description="two tables", OperationalData={"note": {"Type": "String", "Value": "x"}}
    )
    stored = ssm.get_ops_item(OpsItemId=item)["OpsItem"]
    assert (stored["Description"], stored["Title"], stored["Status"], stored["Version"]) == (
        "two tables",
        "Tables of shop are paused",
        "Open",
        "2",
    )
    assert stored["OperationalData"]["note"]["Value"] == "x"
    with pytest.raises(ssm.exceptions.OpsItemInvalidParameterException):
        ssm.update_ops_item(OpsItemId=item, OperationalData=dedup("seven"))


def test_an_unknown_item_is_not_found(ssm: Any) -> None:
    with pytest.raises(ssm.exceptions.OpsItemNotFoundException):
        ssm.get_ops_item(OpsItemId="oi-000000000000")


@pytest.mark.parametrize(("field", "value"), [("OperationalData", {"aws/x": {}}), ("Source", "my-aws")])
def test_names_that_are_awss_own_are_refused(ssm: Any, field: str, value: Any) -> None:
    with pytest.raises(ssm.exceptions.OpsItemInvalidParameterException):
        create(ssm, "eight", **{field: value})


def test_the_rest_of_systems_manager_is_motos(ssm: Any) -> None:
    ssm.put_parameter(Name="/tributary/x", Value="1", Type="String")
    assert ssm.get_parameter(Name="/tributary/x")["Parameter"]["Value"] == "1"
