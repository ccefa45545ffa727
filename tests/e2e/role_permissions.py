"""The permissions of roles that tests take away, and what then happens."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from local.aws.template import STACK_NAME

Permission = tuple[str, str, str]  # role, Sid and action

# By role, Sid and action: the error by which a run of a source ends without it.
RUN = {
    ("WarehouseRole", "ReadRaw", "s3:GetObject"): "InternalError",
    ("WarehouseRole", "WriteDocuments", "s3:PutObject"): "InternalError",
    ("WarehouseRole", "UseTheDataKey", "kms:Decrypt"): "InternalError",
    ("WarehouseRole", "UseTheDataKey", "kms:GenerateDataKey"): "InternalError",
    ("WarehouseRole", "ListRaw", "s3:ListBucket"): "InternalError",
    ("WarehouseRole", "ReadSourceSecrets", "secretsmanager:GetSecretValue"): "SecretError",
    ("WarehouseRole", "SubmitStatements", "redshift-data:BatchExecuteStatement"): "LoadFailed",
    ("WarehouseRole", "FollowStatements", "redshift-data:DescribeStatement"): "LoadFailed",
    ("WarehouseRole", "FollowStatements", "redshift-data:GetStatementResult"): "LoadFailed",
    ("WarehouseRole", "BecomeTheDatabaseUser", "redshift-serverless:GetCredentials"): "LoadFailed",
    ("ExtractRole", "ReadRaw", "s3:GetObject"): "InternalError",
    ("ExtractRole", "WriteChunksAndResults", "s3:PutObject"): "InternalError",
    ("ExtractRole", "WriteChunksAndResults", "s3:PutObjectTagging"): "InternalError",
    ("ExtractRole", "UseTheDataKey", "kms:Decrypt"): "InternalError",
    ("ExtractRole", "UseTheDataKey", "kms:GenerateDataKey"): "InternalError",
    ("ExtractRole", "ListRaw", "s3:ListBucket"): "InternalError",
    ("WarehouseRole", "DecryptSourceSecrets", "kms:Decrypt"): "SecretError",
    ("ExtractRole", "DecryptSourceSecrets", "kms:Decrypt"): "SecretError",
    ("ExtractRole", "ReadSourceSecrets", "secretsmanager:GetSecretValue"): "SecretError",
    ("CopyRole", "ReadRaw", "s3:GetObject"): "LoadFailed",
    ("CopyRole", "UseTheDataKey", "kms:Decrypt"): "LoadFailed",
    ("CopyRole", "ListRaw", "s3:GetBucketLocation"): "LoadFailed",
    ("ReportRole", "ReadRaw", "s3:GetObject"): "InternalError",
    ("ReportRole", "WriteDocuments", "s3:PutObject"): "InternalError",
    ("ReportRole", "UseTheDataKey", "kms:Decrypt"): "InternalError",
    ("ReportRole", "UseTheDataKey", "kms:GenerateDataKey"): "InternalError",
    ("ReportRole", "ListRaw", "s3:ListBucket"): "InternalError",
    ("ReportRole", "Publish", "sns:Publish"): "InternalError",
    ("ReportRole", "PublishEncrypted", "kms:Decrypt"): "InternalError",
    ("ReportRole", "PublishEncrypted", "kms:GenerateDataKey"): "InternalError",
    ("StateMachineRole", "CallTheStates", "lambda:InvokeFunction"): "Lambda.AccessDeniedException",
}
# What a call of the Schedules function needs to pause a source, or to resume it.
PAUSE = [
    ("SchedulesRole", "MaintainSchedules", "scheduler:GetSchedule"),
    ("SchedulesRole", "MaintainSchedules", "scheduler:UpdateSchedule"),
    ("SchedulesRole", "LetSchedulesStartRuns", "iam:PassRole"),
    ("SchedulesRole", "ReadSourceHealth", "s3:GetObject"),
    ("SchedulesRole", "WriteSourceHealth", "s3:PutObject"),
    ("SchedulesRole", "UseTheDataKey", "kms:Decrypt"),
    ("SchedulesRole", "UseTheDataKey", "kms:GenerateDataKey"),
    ("SchedulesRole", "ListRaw", "s3:ListBucket"),
]
# What a call of the access function needs.
ADMINISTRATOR = [
    ("SubmitStatements", "redshift-data:BatchExecuteStatement"),
    ("FollowStatements", "redshift-data:DescribeStatement"),
    ("FollowStatements", "redshift-data:GetStatementResult"),
    ("ReadAdminSecret", "secretsmanager:GetSecretValue"),
]
ACCESS = [("AccessRole", sid, action) for sid, action in ADMINISTRATOR]
# What deploys need: the parameters before, and those of the deploy that fails.
RAW, NO_RAW = ({"RawTables": value} for value in ("true", "false"))
LIMIT, LOWER, NONE = ({"MonthlyRpuHours": hours} for hours in ("9", "8", "0"))
DEPLOYS = {
    ("SchedulesRole", "ListSchedules", "scheduler:ListSchedules"): (NONE, NONE),
    ("SchedulesRole", "MaintainSchedules", "scheduler:CreateSchedule"): (NONE, NONE),
    ("SchedulesRole", "MaintainSchedules", "scheduler:DeleteSchedule"): (NONE, NONE),
    **{("WarehouseAdminRole", sid, action): (NO_RAW, RAW) for sid, action in ADMINISTRATOR},
    ("WarehouseAdminRole", "MaintainTheUsageLimit", "redshift-serverless:ListUsageLimits"): (NONE, LIMIT),
    ("WarehouseAdminRole", "MaintainTheUsageLimit", "redshift-serverless:CreateUsageLimit"): (NONE, LIMIT),
    ("WarehouseAdminRole", "MaintainTheUsageLimit", "redshift-serverless:UpdateUsageLimit"): (LIMIT, LOWER),
    ("WarehouseAdminRole", "MaintainTheUsageLimit", "redshift-serverless:DeleteUsageLimit"): (LIMIT, NONE),
}
FUNCTIONS = {
    "PlanFunction": "WarehouseRole",
    "ExtractFunction": "ExtractRole",
    "LoadFunction": "WarehouseRole",
    "ReportFunction": "ReportRole",
    "AccessFunction": "AccessRole",
    "WarehouseFunction": "WarehouseAdminRole",
    "SchedulesFunction": "SchedulesRole",
}
# What pauses need beside: to open OpsItems, to change them, and to ask for a disabled schedule.
ASK_FOR_A_PAUSE = ("ReportRole", "AskForAPauseAndForAccess", "lambda:InvokeFunction")
OPS_ITEMS = [
    (role, sid, action)
    for role in ("ReportRole", "SchedulesRole")
    for sid, action in (("OpenOpsItems", "ssm:CreateOpsItem"), ("ChangeOpsItems", "ssm:UpdateOpsItem"))
]
LOGS = [
    (role, "WriteLogs", action)
    for role in dict.fromkeys(FUNCTIONS.values())
    for action in ("logs:CreateLogStream", "logs:PutLogEvents")
]
TAKEN_AWAY: set[Permission] = {*RUN, *PAUSE, *ACCESS, *DEPLOYS, ASK_FOR_A_PAUSE, *OPS_ITEMS, *LOGS}

# Those that `make test` takes away in a real run: one for each way in which a failure shows.
SHOWN: set[Permission] = {
    ("WarehouseRole", "ReadSourceSecrets", "secretsmanager:GetSecretValue"),
    ("WarehouseRole", "BecomeTheDatabaseUser", "redshift-serverless:GetCredentials"),
    ("ExtractRole", "WriteChunksAndResults", "s3:PutObject"),
    ("ExtractRole", "DecryptSourceSecrets", "kms:Decrypt"),
    ("CopyRole", "UseTheDataKey", "kms:Decrypt"),
    ("ReportRole", "Publish", "sns:Publish"),
    ("StateMachineRole", "CallTheStates", "lambda:InvokeFunction"),
    ("SchedulesRole", "LetSchedulesStartRuns", "iam:PassRole"),
    ("SchedulesRole", "ListRaw", "s3:ListBucket"),
    ("AccessRole", "ReadAdminSecret", "secretsmanager:GetSecretValue"),
    ("WarehouseAdminRole", "MaintainTheUsageLimit", "redshift-serverless:CreateUsageLimit"),
}


def listed(kind: str) -> list[str]:
    """Return the patterns of tests/permissions.yaml, `never_used` or `only_used`, as role/Sid/action."""
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load(
        (Path(__file__).parents[1] / "permissions.yaml").read_text()
    )
    return [pattern for entry in content[kind] for pattern in entry["permissions"]]


def used_against_the_list(uses: Iterable[tuple[str, str, str, str]]) -> list[str]:
    """Return the permissions that a stack has used and tests/permissions.yaml says are never used."""
    names = {f"{role.removeprefix(f'{STACK_NAME}-')}/{sid}/{action}" for role, _, sid, action in uses}
    return sorted(name for name in names if any(fnmatchcase(name, one) for one in listed("never_used")))
