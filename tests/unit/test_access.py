"""Who sees what: the statements by their exact text, and what a file may ask for."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.builders import changed, orders
from tests.unit.granted_people import KNOWN, WANTED
from tributary.config.models import AccessSettings as Said
from tributary.config.models import Columns, TableSettings
from tributary.engines.registry import get
from tributary.errors import TableRefused
from tributary.model.plan import Access, AccessEvent, TableAccess
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName
from tributary.planning.access import access
from tributary.planning.table_spec import specify
from tributary.redshift import access as sql
from tributary.redshift import roles
from tributary.redshift.access import AppliedAccess, CatalogTable
from tributary.reporting.channels import access_giver

PEOPLE = SourceTable(
    TableName("public", "people"),
    (
        SourceColumn("Id", "bigint", False),
        SourceColumn("email", "character varying(80)", True),
        SourceColumn("born", "date", True),
        SourceColumn("region", "character varying(2)", True),
    ),
    ("Id",),
)
ANALYST, ADMIN = 'ROLE "tributary_analyst"', 'ROLE "tributary_admin_role"'
EMAIL = "WITH (value character varying(320)) USING (CAST(SHA2(value, 256) AS character varying(320)))"
BORN = "WITH (value date) USING (CAST(NULL AS date))"
ROWS = """WITH ("region" character varying(8)) USING ("region" IN ('EU', 'it''s'))"""
MASKS = [f'"{sql._name("mask", rule)}"' for rule in (EMAIL, BORN)]
POLICY = f'"{sql._name("rows", ROWS)}"'
REVOKED = [
    f'REVOKE ALL ON "shop"."people" FROM {ANALYST}',
    f'REVOKE ALL ("id", "email", "born", "region") ON "shop"."people" FROM {ANALYST}',
]


def test_what_protects_stands_before_what_grants() -> None:
    *steps, forgotten, noted = sql.statements(WANTED, KNOWN, None, ())

    assert steps == [
        *REVOKED,
        f"CREATE MASKING POLICY {MASKS[0]} {EMAIL}",
        f"CREATE MASKING POLICY {MASKS[1]} {BORN}",
        f"CREATE RLS POLICY {POLICY} {ROWS}",
        f'ATTACH MASKING POLICY {MASKS[0]} ON "shop"."people" ("email") TO {ANALYST}',
        f'ATTACH MASKING POLICY {MASKS[1]} ON "shop"."people" ("born") TO {ANALYST}',
        f'ATTACH RLS POLICY {POLICY} ON "shop"."people" TO {ANALYST}',
        'ALTER TABLE "shop"."people" ROW LEVEL SECURITY ON',
        f'GRANT USAGE ON SCHEMA "shop" TO {ADMIN}',
        f'GRANT USAGE ON SCHEMA "shop" TO {ANALYST}',
        f'GRANT SELECT ON "shop"."people" TO {ADMIN}',
        f'GRANT SELECT ("id", "email", "born") ON "shop"."people" TO {ANALYST}',
    ]
    assert forgotten == "DELETE FROM public.etl_access WHERE schema_name = 'shop' AND table_name = 'people'"
    assert noted.startswith("INSERT INTO public.etl_access (schema_name, table_name, digest, table_oid,")
    made = {MASKS[0].strip('"'), MASKS[1].strip('"'), POLICY.strip('"')}
    assert not any(step.startswith("CREATE") for step in sql.statements(WANTED, KNOWN, None, made))


def test_beside_masks_columns_are_granted_one_by_one_so_that_a_new_one_is_not_seen_without_its_own() -> None:
    def granted(given: Access) -> str:
        return sql.statements(WANTED.model_copy(update={"access": given}), KNOWN, None, ())[-3]

    everything = 'GRANT SELECT ("id", "email", "born", "region") ON "shop"."people"'
    assert granted(Access(mask={"born": "null"})) == f"{everything} TO {ANALYST}"
    assert granted(Access()) == f'GRANT SELECT ON "shop"."people" TO {ANALYST}'


def test_access_that_ends_takes_everything_back() -> None:
    policies = [each.strip('"') for each in (*MASKS, POLICY)]
    attached = (("email", "2", policies[0]), ("born", "9", policies[1]), (None, "", policies[2]))
    ended = WANTED.model_copy(update={"access": None})

    steps = sql.statements(ended, KNOWN, AppliedAccess("d", "77", attached), ())

    assert steps[:-2] == [
        *REVOKED,
        f'DETACH MASKING POLICY {MASKS[0]} ON "shop"."people" ("email") FROM {ANALYST}',
        # born was recreated since, and has no mask that could be taken off
        f'DETACH RLS POLICY {POLICY} ON "shop"."people" FROM {ANALYST}',
        'ALTER TABLE "shop"."people" ROW LEVEL SECURITY OFF',
        f'REVOKE ALL ON "shop"."people" FROM {ADMIN}',
    ]
    anew = sql.statements(ended, KNOWN, AppliedAccess("d", "12", attached), ())
    assert not any("POLICY" in step or "ROW LEVEL" in step for step in anew)


def test_nothing_is_done_twice_and_all_of_it_for_a_column_that_was_made_anew() -> None:
    done = sql.digest(WANTED, KNOWN)
    assert sql.digest(WANTED, CatalogTable("77", dict(KNOWN.columns))) == done
    assert sql.digest(WANTED, CatalogTable("78", KNOWN.columns)) != done
    assert sql.digest(WANTED, CatalogTable("77", {**KNOWN.columns, "born": ("9", "date")})) != done


def test_the_roles_are_made_once_and_the_one_that_loads_sees_every_row() -> None:
    assert roles.create(["tributary_analyst"]) == [
        'CREATE ROLE "tributary_loader_role"',
        'CREATE ROLE "tributary_admin_role"',
    ]
    assert roles.grant("IAMR:l")[:3] == [
        'GRANT ROLE "tributary_loader_role" TO "IAMR:l"',
        'GRANT IGNORE RLS TO ROLE "tributary_loader_role"',
        'GRANT IGNORE RLS TO ROLE "tributary_admin_role"',
    ]


def asked(settings: Said | str, **changes: object) -> TableAccess | None:
    choice = specify(get("postgresql"), PEOPLE, TableSettings.model_validate({"access": settings}))
    table = orders(table_name="people", columns=choice.columns, mode=choice.mode, **changes)
    return access(changed(table, source=TableName("public", "people")), choice.settings.access)


def test_a_files_access_is_of_the_warehouses_columns() -> None:
    settings = Said(
        columns=Columns(exclude=("region",)), mask={"email": "hash", "born": "null"}, rows={"region": ("EU",)}
    )
    assert asked(settings) == TableAccess(
        schema_name="shop",
        table_name="people",
        access=Access(
            columns=("id", "email", "born", "source_system", "load_timestamp", "run_id"),
            mask={"email": "hash", "born": "null"},
            rows=("region", ("EU",)),
        ),
    )
    assert asked("none") == TableAccess(schema_name="shop", table_name="people", access=None)
    assert asked(Said()) == TableAccess(schema_name="shop", table_name="people", access=Access())


def test_a_column_that_is_no_longer_read_keeps_its_mask_or_stays_unseen() -> None:
    masked = asked(Said(mask={"Phone": "hash"}), unread_columns=("phone",))
    assert masked is not None
    assert masked.access == Access(mask={"phone": "hash"})
    hidden = asked(Said(columns=Columns(exclude=("phone",))), unread_columns=("phone", "born"))
    assert hidden is not None
    assert hidden.access is not None
    seen = ("id", "email", "region", "source_system", "load_timestamp", "run_id")
    assert hidden.access.columns == seen  # "born" is read by a run that is replayed
    with pytest.raises(TableRefused, match=r'access\.columns: public\.people has no column "phone"'):
        asked(Said(columns=Columns(take=("phone",))), unread_columns=("phone",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Said(columns=Columns(take=("gone",))), 'access.columns: public.people has no column "gone"'),
        (Said(mask={"gone": "null"}), 'access.mask: public.people has no column "gone"'),
        (Said(mask={"born": "hash"}), 'is date, and a hash is a text of 64 bytes; write "null"'),
        (Said(mask={"region": "hash"}), "is character varying(2), and a hash is a text of 64 bytes"),
        (Said(rows={"Id": ("EU",)}), 'access.rows: column "Id" of public.people is bigint, and the values'),
        (Said(rows={"born": ("2000-01-01",)}), "rows can be chosen by texts and by integers"),
    ],
)
def test_what_a_table_cannot_be_asked_for_is_refused_by_name(settings: Said, message: str) -> None:
    with pytest.raises(TableRefused) as refused:
        asked(settings)
    assert message in str(refused.value)


def test_no_source_speaks_for_a_shared_table() -> None:
    with pytest.raises(TableRefused, match="no single source can set its access"):
        asked(Said(), owner="shop")
    assert asked("none", owner="shop") is None


@dataclass
class Lambda:
    """Takes calls, as Lambda's client does."""

    payloads: list[bytes] = field(default_factory=list)

    def invoke(self, **fields: Any) -> None:
        assert (fields["FunctionName"], fields["InvocationType"]) == ("keeper", "Event")
        self.payloads.append(fields["Payload"])


def test_many_wide_tables_are_asked_for_in_calls_that_can_carry_them() -> None:
    wide = Access(columns=tuple(f"column_{number:05}" for number in range(1600)))
    tables = [TableAccess(schema_name="shop", table_name=f"t{number}", access=wide) for number in range(20)]
    called = Lambda()

    assert access_giver(called, "keeper")(tables) is None

    calls = [AccessEvent.model_validate_json(payload).access for payload in called.payloads]
    assert [table for call in calls for table in call] == tables
    assert (len(calls), max(map(len, called.payloads)) < 250_000) == (3, True)


def test_access_without_an_administrator_is_told_in_the_report() -> None:
    give = access_giver(Lambda(), None)
    assert "deploy with AdminSecretName" in (give([WANTED]) or "")
    assert give([]) is None
