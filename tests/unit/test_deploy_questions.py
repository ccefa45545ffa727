"""`make deploy` looks before it builds, and asks five questions the first time."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from infra import deploy
from infra.deploy import (
    CONFIG,
    DeployRefused,
    Environment,
    check_endpoints,
    check_stack,
    configured,
    existing_workgroup,
    main,
    prepare,
)

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def session_of(region: str | None) -> boto3.session.Session:
    return boto3.session.Session(region_name=region or REGION)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "samconfig.toml"
    path.write_text(CONFIG.read_text())
    return path


class Answers:
    """Answers each question with its default, but for those that are given."""

    def __init__(self, **given: str) -> None:
        self.given, self.questions = given, list[str]()

    def __call__(self, question: str, default: str) -> str:
        self.questions.append(question)
        return next((value for key, value in self.given.items() if question.startswith(key)), default)


def test_a_first_deploy_asks_five_questions_at_most_and_the_next_one_none(config: Path) -> None:
    first = Answers(E="me@example.com")
    prepare("prod", config, first, session_of)
    assert len(first.questions) <= 5
    written = tomllib.loads(config.read_text())["prod"]
    assert written["global"]["parameters"]["region"] == REGION
    environment = Environment.read("prod", config.read_text())
    assert environment.parameters["NotifyEmail"] == "me@example.com"
    assert environment.parameters["SecretPrefix"] == "tributary-prod/"
    before, again = config.read_text(), Answers()
    prepare("prod", config, again, session_of)
    assert (again.questions, config.read_text()) == ([], before)


def test_an_account_without_a_default_vpc_gets_a_network(config: Path) -> None:
    ec2 = session_of(REGION).client("ec2")
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        for subnet in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    prepare("default", config, Answers(), session_of)
    assert Environment.read("default", config.read_text()).parameters["Network"] == "create"


def test_answers_of_one_environment_change_no_other(config: Path) -> None:
    before = tomllib.loads(config.read_text())
    environment = Environment.read("dev", config.read_text())
    text = configured(config.read_text(), environment, REGION, {"Network": "create"})
    after = tomllib.loads(text)
    assert {name: table for name, table in after.items() if name != "dev"} == {
        name: table for name, table in before.items() if name != "dev"
    }
    assert "Network=create" in after["dev"]["deploy"]["parameters"]["parameter_overrides"]


class CloudFormation:
    """Answers for a stack whose creation was rolled back, a state that moto's stacks never have."""

    def client(self, service: str) -> CloudFormation:
        assert service == "cloudformation"
        return self

    def describe_stacks(self, *, StackName: str) -> dict[str, list[dict[str, str]]]:  # noqa: N803
        return {"Stacks": [{"StackName": StackName, "StackStatus": "ROLLBACK_COMPLETE"}]}


def test_a_stack_whose_creation_failed_is_named_before_anything_is_built() -> None:
    with pytest.raises(DeployRefused, match=r"takes no deploy.*delete-stack --stack-name tributary"):
        check_stack(CloudFormation(), "tributary")
    check_stack(session_of(REGION), "tributary")  # there is none


def test_a_new_account_gets_fewer_extractions_at_once(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.deploy.concurrency", lambda session: 10)
    prepare("default", config, Answers(), session_of)
    assert Environment.read("default", config.read_text()).parameters["MaxExtractions"] == "3"


def test_a_name_that_the_schedule_group_cannot_have_is_refused() -> None:
    with pytest.raises(DeployRefused, match="too long: its schedule group takes 64"):
        check_stack(session_of(REGION), "t" * 65)
    assert all(
        len(table["global"]["parameters"]["stack_name"]) <= 64
        for name, table in tomllib.loads(CONFIG.read_text()).items()
        if name != "version"
    )


def test_without_credentials_the_message_says_what_to_do(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeployRefused, match="run `aws configure`"):
        prepare("default", config, Answers(), session_of)


def test_an_unknown_environment_is_refused(config: Path) -> None:
    with pytest.raises(DeployRefused, match="no environment test"):
        prepare("test", config, Answers(), session_of)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_shell_that_points_to_the_local_stack_deploys_nothing(name: str) -> None:
    with pytest.raises(DeployRefused, match=f"would not reach AWS; run `unset {name}`"):
        check_endpoints({name: "http://127.0.0.1:4566"})
    check_endpoints({"AWS_PROFILE": "mine"})


def test_such_a_deploy_writes_no_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text(CONFIG.read_text())
    monkeypatch.setattr("infra.deploy.CONFIG", config)
    monkeypatch.setattr("sys.argv", ["infra.deploy", "default"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert main() == 1
    assert "run `unset AWS_ENDPOINT_URL`" in capsys.readouterr().err
    assert config.read_text() == CONFIG.read_text()


def test_a_workgroup_that_does_not_exist_is_named(config: Path) -> None:
    class Api:
        class exceptions:  # noqa: N801
            class ResourceNotFoundException(Exception):
                pass

        def get_workgroup(self, **_: str) -> None:
            raise self.exceptions.ResourceNotFoundException

    class Session:
        region_name = REGION

        def client(self, service: str) -> Api:
            assert service == "redshift-serverless"
            return Api()

    before = config.read_text()
    with pytest.raises(DeployRefused, match=f"no workgroup etl in region {REGION}"):
        existing_workgroup(Session(), "etl")
    assert config.read_text() == before


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeStacks"), "AccessDenied"),
        (EndpointConnectionError(endpoint_url="https://x"), "Could not connect"),
        (KeyboardInterrupt(), "nothing was changed"),
    ],
)
def test_what_stops_a_deploy_before_it_begins_is_a_message_and_no_traceback(
    raised: BaseException, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise raised

    monkeypatch.setattr(deploy, "prepare", stop)
    monkeypatch.setattr("sys.argv", ["deploy", "default"])
    assert deploy.main() == 1
    assert message in capsys.readouterr().err
