"""Two tables of a run never share a place: a folder of the raw layer, or an external table.

Their names are derived from those that a source's users choose. The derived names differ by construction;
this check is for the day when that is wrong, since one table's rows would be loaded as another's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tributary.errors import TableRefused
from tributary.model.plan import Failure, TablePlan
from tributary.redshift.external_tables import table_name
from tributary.storage.object_keys import table_folder


def shared_places(source: str, tables: Sequence[TablePlan]) -> tuple[Failure, ...]:
    """Return a failure for every table whose folder or external table is another one's too."""
    places: dict[str, list[str]] = defaultdict(list)
    for table in tables:
        places[f"folder {table_folder(table.raw_name)}"].append(table.name)
        places[f"external table {table_name(source, table.raw_name)}"].append(table.name)
    failures = {
        name: Failure(
            table=name,
            error=TableRefused.__name__,
            message=f"{' and '.join(names)} would share the {place} of the raw layer; exclude all but one",
        )
        for place, names in places.items()
        if len(names) > 1
        for name in names
    }
    return tuple(failures.values())
