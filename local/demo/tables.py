"""TPC-H's tables: columns in SQL that every source here accepts, keys, and rows as CSV."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHANGED_AT = "updated_at"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns' SQL types by name; `tracked` if a column says when a row last changed."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    tracked: bool = True

    @property
    def names(self) -> str:
        """Return the columns as an SQL list."""
        return ", ".join(self.columns)

    @property
    def definition(self) -> str:
        """Return the columns for CREATE TABLE; only comments may be NULL."""
        return ", ".join(
            f"{name} {type}" + ("" if name.endswith("comment") else " NOT NULL")
            for name, type in self.columns.items()
        )

    def copies(self, changes: dict[str, str], where: str) -> str:
        """Return the INSERT of new rows made from existing ones, with some columns' values changed."""
        values = ", ".join(changes.get(name, name) for name in self.columns)
        return f"INSERT INTO {self.name} ({self.names}) SELECT {values} FROM {self.name} WHERE {where}"


def _table(name: str, key: str, columns: str, *, tracked: bool = True) -> Table:
    types = dict(column.split() for column in columns.split(", "))
    return Table(name, tuple(key.split(", ")), types, tracked)


ORDERS = _table(
    "orders",
    "o_orderkey",
    "o_orderkey BIGINT, o_custkey INTEGER, o_orderstatus VARCHAR(1), o_totalprice DECIMAL(15,2), "
    "o_orderdate DATE, o_orderpriority VARCHAR(15), o_clerk VARCHAR(15), o_shippriority INTEGER, "
    "o_comment VARCHAR(79)",
)
LINEITEM = _table(
    "lineitem",
    "l_orderkey, l_linenumber",
    "l_orderkey BIGINT, l_partkey INTEGER, l_suppkey INTEGER, l_linenumber INTEGER, "
    "l_quantity DECIMAL(15,2), l_extendedprice DECIMAL(15,2), l_discount DECIMAL(15,2), "
    "l_tax DECIMAL(15,2), l_returnflag VARCHAR(1), l_linestatus VARCHAR(1), l_shipdate DATE, "
    "l_commitdate DATE, l_receiptdate DATE, l_shipinstruct VARCHAR(25), l_shipmode VARCHAR(10), "
    "l_comment VARCHAR(44)",
)
PART = _table(
    "part",
    "p_partkey",
    "p_partkey INTEGER, p_name VARCHAR(55), p_mfgr VARCHAR(25), p_brand VARCHAR(10), p_type VARCHAR(25), "
    "p_size INTEGER, p_container VARCHAR(10), p_retailprice DECIMAL(15,2), p_comment VARCHAR(23)",
)
PARTSUPP = _table(
    "partsupp",
    "ps_partkey, ps_suppkey",
    "ps_partkey INTEGER, ps_suppkey INTEGER, ps_availqty INTEGER, ps_supplycost DECIMAL(15,2), "
    "ps_comment VARCHAR(199)",
)
CUSTOMER = _table(
    "customer",
    "c_custkey",
    "c_custkey INTEGER, c_name VARCHAR(25), c_address VARCHAR(40), c_nationkey INTEGER, "
    "c_phone VARCHAR(15), c_acctbal DECIMAL(15,2), c_mktsegment VARCHAR(10), c_comment VARCHAR(117)",
)
SUPPLIER = _table(
    "supplier",
    "s_suppkey",
    "s_suppkey INTEGER, s_name VARCHAR(25), s_address VARCHAR(40), s_nationkey INTEGER, "
    "s_phone VARCHAR(15), s_acctbal DECIMAL(15,2), s_comment VARCHAR(101)",
)
NATION = _table(
    "nation",
    "n_nationkey",
    "n_nationkey INTEGER, n_name VARCHAR(25), n_regionkey INTEGER, n_comment VARCHAR(152)",
    tracked=False,
)
REGION = _table(
    "region",
    "r_regionkey",
    "r_regionkey INTEGER, r_name VARCHAR(25), r_comment VARCHAR(152)",
    tracked=False,
)


def generate(directory: Path, scale: float) -> None:
    """Write every table as `<name>.csv` with a header line; scale 0.1 is 600,572 rows of lineitem."""
    installed = Path(sys.executable).with_name("tpchgen-cli")
    program = str(installed) if installed.exists() else shutil.which("tpchgen-cli")
    if not program:
        raise FileNotFoundError("tpchgen-cli is missing; run make setup")
    subprocess.run(
        [program, "csv", "--quiet", "--scale-factor", str(scale), "--output-dir", str(directory)],
        check=True,
    )
