"""Which warehouse type holds every value of another one, pair by pair."""

from __future__ import annotations

import pytest

from tributary.planning.type_widening import holds, stays

TYPES = [
    ["SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE PRECISION", "BOOLEAN", "SUPER"],
    ["DECIMAL(10,0)", "DECIMAL(10,2)", "DECIMAL(18,4)", "DECIMAL(12,4)", "VARCHAR(13)", "VARCHAR(20)"],
    ["DECIMAL(38,10)", "VARCHAR(99)"],
    ["DATE", "TIMESTAMP", "TIMESTAMPTZ", "VARBYTE", "VARBYTE(64000)", "VARBYTE(16777216)"],
]
TEXTS = "VARCHAR(13) VARCHAR(20) VARCHAR(99)"
LONGER = "VARCHAR(20) VARCHAR(99)"
WIDER = {
    "SMALLINT": "INTEGER BIGINT DECIMAL(10,0) DECIMAL(10,2) DECIMAL(18,4) DECIMAL(12,4) DECIMAL(38,10) "
    f"{TEXTS}",
    "INTEGER": f"BIGINT DECIMAL(10,0) DECIMAL(18,4) DECIMAL(38,10) {TEXTS}",
    "BIGINT": f"DECIMAL(38,10) {LONGER}",
    "DECIMAL(10,0)": f"BIGINT DECIMAL(18,4) DECIMAL(38,10) {TEXTS}",
    "DECIMAL(10,2)": f"DECIMAL(18,4) DECIMAL(12,4) DECIMAL(38,10) {TEXTS}",
    "DECIMAL(12,4)": f"DECIMAL(18,4) DECIMAL(38,10) {LONGER}",
    "DECIMAL(18,4)": "DECIMAL(38,10) VARCHAR(99)",
    "VARCHAR(13)": LONGER,
    "VARCHAR(20)": "VARCHAR(99)",
    "DATE": "TIMESTAMP",
    "VARBYTE": "VARBYTE(64000) VARBYTE(16777216)",
    "VARBYTE(64000)": "VARBYTE VARBYTE(16777216)",
}
DOUBLE = ("SMALLINT", "INTEGER", "REAL")


@pytest.mark.parametrize("narrow", [name for names in TYPES for name in names])
def test_a_type_holds_another_where_a_cast_alters_no_value(narrow: str) -> None:
    everything = [name for names in TYPES for name in names]
    expected = {narrow, *WIDER.get(narrow, "").split(), *(["DOUBLE PRECISION"] if narrow in DOUBLE else [])}

    assert {wide for wide in everything if holds(wide, narrow)} == expected


def test_a_text_column_does_not_stay_for_numbers() -> None:
    assert holds("VARCHAR(20)", "INTEGER")
    assert not stays("VARCHAR(20)", "INTEGER")
    assert stays("VARCHAR(20)", "VARCHAR(9)")
    assert stays("BIGINT", "INTEGER")
