"""A table of people in the warehouse, and the access that its file asks for."""

from tributary.model.plan import Access, TableAccess
from tributary.redshift.access import CatalogTable

KNOWN = CatalogTable(
    "77",
    {
        "id": ("1", "bigint"),
        "email": ("2", "character varying(320)"),
        "born": ("3", "date"),
        "region": ("4", "character varying(8)"),
    },
)
WANTED = TableAccess(
    schema_name="shop",
    table_name="people",
    access=Access(
        columns=("id", "email", "born", "run_id"),
        mask={"email": "hash", "born": "null"},
        rows=("region", ("EU", "it's")),
    ),
)
