"""An account of MariaDB that may not log in is described."""

from __future__ import annotations

import pytest

from tests.integration.engines.source import Source
from tests.integration.engines.test_logins import PASSWORD, as_user, refusal


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (f"IDENTIFIED BY '{PASSWORD}' ACCOUNT LOCK", "(4151: the account is locked)"),
        (f"IDENTIFIED BY '{PASSWORD}' PASSWORD EXPIRE", "(1820: the password must be changed)"),
        (f"IDENTIFIED BY '{PASSWORD}' REQUIRE SSL", "or TLS is required, which sslmode: disable turns off"),
        ("IDENTIFIED BY 'another'", "(1045: wrong user name or password"),
    ],
)
def test_an_account_of_mariadb_that_may_not_log_in_is_described(
    maria: Source, options: str, reason: str
) -> None:
    maria.execute(f"CREATE USER reader_refused {options}")
    maria.execute(f"GRANT SELECT ON {maria.schema}.* TO reader_refused")
    try:
        assert reason in refusal("mysql", as_user(maria, "reader_refused"))
    finally:
        maria.execute("DROP USER reader_refused")
