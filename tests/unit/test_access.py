"""Who sees what: the statements by their exact text, and what a file may ask for."""

import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest

from tests.builders import changed, orders
from tests.unit.granted_people import KNOWN, WANTED
from tributary.config.models import AccessSettings as Setting
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
from tributary.reporting import channels
from tributary.reporting.channels import AccessReport, access_giver

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
OWN = ("source_system", "load_timestamp", "run_id")
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


def requested(settings: Setting | str, **changes: object) -> TableAccess | None:
    choice = specify(get("postgresql"), PEOPLE, TableSettings.model_validate({"access": settings}))
    table = orders(table_name="people", columns=choice.columns, mode=choice.mode, **changes)
    return access(changed(table, source=TableName("public", "people")), choice.settings.access)


def test_a_files_access_is_of_the_warehouses_columns() -> None:
    settings = Setting(
        columns=Columns(exclude=("region",)), mask={"email": "hash", "born": "null"}, rows={"region": ("EU",)}
    )
    assert requested(settings) == TableAccess(
        schema_name="shop",
        table_name="people",
        access=Access(
            columns=("id", "email", "born", "source_system", "load_timestamp", "run_id"),
            mask={"email": "hash", "born": "null"},
            rows=("region", ("EU",)),
            hide_new=True,
            named=("email", "born", "region", *OWN),
        ),
    )
    assert requested("none") == TableAccess(schema_name="shop", table_name="people", access=None)
    assert requested(Setting()) == TableAccess(schema_name="shop", table_name="people", access=Access())


def test_a_column_that_is_no_longer_read_keeps_its_mask_or_stays_unseen() -> None:
    masked = requested(Setting(mask={"Phone": "hash"}), unread_columns=("phone",))
    assert masked is not None
    assert masked.access == Access(mask={"phone": "hash"}, hide_new=True, named=("phone", *OWN))
    hidden = requested(Setting(columns=Columns(exclude=("phone",))), unread_columns=("phone", "born"))
    assert hidden is not None
    assert hidden.access is not None
    seen = ("id", "email", "region", "source_system", "load_timestamp", "run_id")
    assert hidden.access.columns == seen  # "born" is read by a run that is replayed
    with pytest.raises(TableRefused, match=r'access\.columns: public\.people has no column "phone"'):
        requested(Setting(columns=Columns(take=("phone",))), unread_columns=("phone",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Setting(columns=Columns(take=("gone",))), 'access.columns: public.people has no column "gone"'),
        (Setting(mask={"gone": "null"}), 'access.mask: public.people has no column "gone"'),
        (Setting(mask={"born": "hash"}), 'is date, and a hash is a text of 64 bytes; write "null"'),
        (Setting(mask={"region": "hash"}), "is character varying(2), and a hash is a text of 64 bytes"),
        (
            Setting(rows={"Id": ("EU",)}),
            'access.rows: column "Id" of public.people is bigint, and the values',
        ),
        (Setting(rows={"born": ("2000-01-01",)}), "rows can be chosen by texts and by integers"),
    ],
)
def test_what_a_table_cannot_be_asked_for_is_refused_by_name(settings: Setting, message: str) -> None:
    with pytest.raises(TableRefused) as refused:
        requested(settings)
    assert message in str(refused.value)


def test_no_source_speaks_for_a_shared_table() -> None:
    with pytest.raises(TableRefused, match="no single source can set its access"):
        requested(Setting(), owner="shop")
    assert requested("none", owner="shop") is None


@dataclass
class Lambda:
    """Answers calls, as Lambda's client does."""

    answers: list[dict[str, Any]] = field(default_factory=list)  # for the first calls
    payloads: list[bytes] = field(default_factory=list)

    def invoke(self, **fields: Any) -> dict[str, Any]:
        assert (fields["FunctionName"], fields["InvocationType"]) == ("keeper", "RequestResponse")
        self.payloads.append(fields["Payload"])
        if self.answers:
            return self.answers.pop(0)
        return answered({"tables": 1, "changed": 1})


def answered(payload: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"Payload": BytesIO(json.dumps(payload).encode()), **more}


def test_many_wide_tables_are_asked_for_in_several_calls() -> None:
    wide = Access(columns=tuple(f"column_{number:05}" for number in range(1600)))
    tables = [TableAccess(schema_name="shop", table_name=f"t{number}", access=wide) for number in range(20)]
    called = Lambda()

    assert access_giver(called, "keeper")(tables) == AccessReport()

    calls = [AccessEvent.model_validate_json(payload).access for payload in called.payloads]
    assert [table for call in calls for table in call] == tables
    assert (len(calls), max(map(len, called.payloads)) < 250_000) == (3, True)


def test_access_without_an_administrator_is_named_in_the_report() -> None:
    give = access_giver(Lambda(), None)
    assert "deploy with AdminSecretName" in (give([WANTED]).obstacle or "")
    assert give([]) == AccessReport()


def test_what_the_function_answers_is_in_the_report() -> None:
    result = {"tables": 3, "changed": 1, "left": 1, "hidden": {"shop.people": ["mail"]}}
    failed = {**result, "failures": {"shop.lists": "a column does not exist"}}
    report = access_giver(Lambda([answered(failed)]), "keeper")([WANTED])
    assert (report.hidden, report.failures) == ({"shop.people": ("mail",)}, failed["failures"])
    assert "access of 1 tables was not set yet" in (report.obstacle or "")


def test_a_busy_warehouse_is_asked_again_and_another_error_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "ATTEMPT_PAUSE_S", 0)

    def fails(name: str) -> dict[str, Any]:
        return answered({"errorType": name, "errorMessage": "so"}, FunctionError="Unhandled")

    busy = Lambda([fails("WarehouseUnavailable"), fails("WarehouseUnavailable")])
    assert access_giver(busy, "keeper")([WANTED]) == AccessReport()
    assert len(busy.payloads) == 3
    never = Lambda([fails("WarehouseUnavailable") for _ in range(5)])
    assert access_giver(never, "keeper")([WANTED]).fault == "its function failed: WarehouseUnavailable: so"
    refused = Lambda([fails("LoadFailed")])
    assert access_giver(refused, "keeper")([WANTED]).fault == "its function failed: LoadFailed: so"
    assert len(refused.payloads) == 1


def with_column(*names: str) -> CatalogTable:
    more = {name: (str(20 + place), "date") for place, name in enumerate(names)}
    return CatalogTable("77", {**KNOWN.columns, **more})


def hiding(**given: Any) -> TableAccess:
    masked = Access(mask={"email": "null"}, hide_new=True, named=("email", "run_id"))
    return WANTED.model_copy(update={"access": masked.model_copy(update=given)})


def recorded(table: TableAccess, current: CatalogTable, before: AppliedAccess | None = None) -> AppliedAccess:
    """Return what `etl_access` holds after the access was applied."""
    insert = sql.statements(table, current, before, ())[-1]
    known = insert.rpartition("GETDATE(), ")[2].rstrip(")").strip("'")
    return AppliedAccess("d", "77", (), None if known == "NULL" else sql._split(known))


def granted(table: TableAccess, current: CatalogTable, before: AppliedAccess | None) -> str:
    """Return the columns that analysts may see: '' for all that there are and will be."""
    step = next(
        step
        for step in reversed(sql.statements(table, current, before, ()))
        if step.startswith("GRANT SELECT") and ANALYST in step
    )
    return step.removeprefix("GRANT SELECT").partition("ON")[0].replace('"', "").strip(" ()")


ALL = "id, email, born, region"


def test_a_column_that_a_masked_table_gets_later_is_hidden_until_the_file_names_it() -> None:
    table = hiding()
    assert granted(table, KNOWN, None) == ALL
    first = recorded(table, KNOWN)

    renamed = with_column("mail")
    assert granted(table, renamed, first) == ALL
    assert sql.hidden(table, renamed, first) == ("mail",)
    second = recorded(table, renamed, first)
    assert granted(table, renamed, second) == ALL  # and so in every run
    assert granted(table, CatalogTable("99", renamed.columns), second) == ALL  # also in a recreated table

    named = hiding(named=("email", "mail", "run_id"))
    assert granted(named, renamed, second) == f"{ALL}, mail"
    assert sql.hidden(named, renamed, second) == ()
    masked = hiding(mask={"email": "null", "mail": "null"})
    assert granted(masked, renamed, second) == f"{ALL}, mail"
    shown = hiding(hide_new=False)
    assert granted(shown, renamed, second) == f"{ALL}, mail"


def test_a_hidden_column_stays_hidden_though_it_is_gone_for_a_while() -> None:
    seen = ("id", "email", "region", "born")
    first = recorded(hiding(columns=seen), KNOWN)
    renamed = with_column("mail")
    second = recorded(hiding(columns=(*seen, "mail")), renamed, first)
    third = recorded(hiding(columns=seen), renamed, second)  # the source has lost it, the warehouse has not
    assert granted(hiding(columns=(*seen, "mail")), renamed, third) == ALL
    assert sql.hidden(hiding(columns=seen), renamed, third) == ()


def test_access_that_was_taken_back_keeps_what_is_new() -> None:
    ended = WANTED.model_copy(update={"access": None})
    assert recorded(ended, KNOWN).known is None  # never set: a file that sets it sees the table as it is
    closed = recorded(ended, with_column("mail"), recorded(hiding(), KNOWN))
    assert granted(hiding(), with_column("mail"), closed) == ALL


def test_columns_of_a_full_width_table_fit_into_etl_access() -> None:
    wide = CatalogTable("1", {f"{'x' * 120}{number:04}": (str(number), "date") for number in range(1600)})
    known = sql._known(hiding(), wide, None)
    assert known is not None
    assert len(known) <= 65_535


def test_an_older_etl_access_gets_its_new_column() -> None:
    older = ["schema_name", "table_name", "digest", "table_oid", "attached", "applied_at"]
    added = "ALTER TABLE public.etl_access ADD COLUMN known_columns VARCHAR(65535)"
    assert sql.upgrade({"public.etl_access": older}) == [added]
    assert sql.upgrade({"public.etl_access": list(sql.COLUMNS)}) == sql.upgrade({}) == []
    assert granted(hiding(), with_column("mail"), AppliedAccess("d", "77", ())) == f"{ALL}, mail"


@pytest.mark.parametrize(
    ("settings", "hides"),
    [
        (Setting(), False),
        (Setting(mask={"email": "null"}), True),
        (Setting(columns=Columns(exclude=("email",))), True),
        (Setting(columns=Columns(take=("Id", "email"))), False),  # nothing else is seen anyway
        (Setting(rows={"region": ("EU",)}), False),  # rows are missing by their own column alone
        (Setting(mask={"email": "null"}, new_columns="show"), False),
        (Setting(new_columns="hide"), True),
    ],
)
def test_new_columns_are_hidden_by_default_beside_masks_and_exclusions(
    settings: Setting, hides: bool
) -> None:
    given = requested(settings)
    assert given is not None
    assert given.access is not None
    assert given.access.hide_new == hides


def test_a_file_names_a_column_by_mask_list_or_exclusion() -> None:
    settings = Setting(
        columns=Columns(exclude=("region",)), mask={"Id": "clear", "email": "null", "gone": "clear"}
    )
    given = requested(settings, unread_columns=("gone",))
    assert given is not None
    assert given.access is not None
    assert given.access.named == ("id", "email", "gone", "region", *OWN)
    assert given.access.mask == {"email": "null"}
    with pytest.raises(TableRefused, match=r'access\.mask: public\.people has no column "gone"'):
        requested(settings)
