"""The other tools, each with the fastest settings that its documents name, writing one Parquet file.

Run in the peers' environment: `python bench/peers.py CONTENDER ENGINE PORT FILE`. All read the
same table over one connection in the same order, and write zstd level 1 by the same Parquet writer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyarrow as pa
import pyarrow.parquet as pq

from bench.meter import metered

KEY = ("l_orderkey", "l_linenumber")
QUERY = f"SELECT * FROM lineitem ORDER BY {', '.join(KEY)}"
SPARK_DRIVERS = {  # Debian's packages libpostgresql-jdbc-java and libmariadb-java
    "postgresql": (
        "/usr/share/java/postgresql.jar",
        "org.postgresql.Driver",
        "jdbc:postgresql://127.0.0.1:{port}/bench",
        "postgres",
    ),
    "mariadb": (
        "/usr/share/java/mariadb-java-client.jar",
        "org.mariadb.jdbc.Driver",
        "jdbc:mysql://127.0.0.1:{port}/bench",
        "root",
    ),
}


def main(contender: str, engine: str, port: int, file: str) -> None:
    """Measure one contender."""
    metered(CONTENDERS[contender](engine, port, file))


def _url(engine: str, port: int, driver: str = "") -> str:
    scheme, user = {"postgresql": ("postgresql", "postgres"), "mariadb": ("mysql", "root")}[engine]
    return f"{scheme}{driver}://{user}@127.0.0.1:{port}/bench"


def _write(file: str, parts: Iterable[Any]) -> int:
    """Write Arrow tables or batches to the file; return how many rows they had."""
    rows, writer = 0, None
    for part in parts:
        table = pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part
        if writer is None:
            writer = pq.ParquetWriter(file, table.schema, compression="zstd", compression_level=1)
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
    return rows


def connectorx(engine: str, port: int, file: str) -> Callable[[], int]:
    """ConnectorX into one Arrow table: its fastest way, which holds the whole result."""
    import connectorx as cx

    return lambda: _write(file, [cx.read_sql(_url(engine, port), QUERY, return_type="arrow")])


def connectorx_stream(engine: str, port: int, file: str) -> Callable[[], int]:
    """ConnectorX in Arrow batches: less memory."""
    import connectorx as cx

    return lambda: _write(
        file, cx.read_sql(_url(engine, port), QUERY, return_type="arrow_stream", batch_size=65_536)
    )


def adbc(engine: str, port: int, file: str) -> Callable[[], int]:
    """ADBC's PostgreSQL driver, streamed: COPY in binary, which is its default, as are 16 MB batches."""
    from adbc_driver_postgresql import dbapi

    def read() -> int:
        with dbapi.connect(_url(engine, port)) as connection, connection.cursor() as cursor:
            cursor.execute(QUERY)
            return _write(file, cursor.fetch_record_batch())

    return read


def dlt_connectorx(engine: str, port: int, file: str) -> Callable[[], int]:
    """dlt's sql_table with its fastest backend; its tables go straight to the file."""
    driver = {"postgresql": "+psycopg2", "mariadb": "+pymysql"}[engine]
    return _dlt(
        _url(engine, port, driver), file, backend="connectorx", backend_kwargs={"return_type": "arrow"}
    )


def dlt_pyarrow(engine: str, port: int, file: str) -> Callable[[], int]:
    """dlt's sql_table with the backend that goes through SQLAlchemy and its default driver."""
    driver = {"postgresql": "+psycopg2", "mariadb": "+pymysql"}[engine]
    return _dlt(_url(engine, port, driver), file, backend="pyarrow", chunk_size=50_000)


def _dlt(url: str, file: str, **settings: Any) -> Callable[[], int]:
    from dlt.sources.sql_database import sql_table

    def ordered(query: Any, table: Any) -> Any:
        return query.order_by(*(table.c[name] for name in KEY))

    def read() -> int:
        return _write(
            file,
            sql_table(
                credentials=url,
                table="lineitem",
                reflection_level="full_with_precision",
                query_adapter_callback=ordered,
                **settings,
            ),
        )

    return read


def arrow_odbc(engine: str, port: int, file: str) -> Callable[[], int]:
    """arrow-odbc over MariaDB's own driver, which fetches while the last batch is written."""
    from arrow_odbc import read_arrow_batches_from_odbc

    def read() -> int:
        reader = read_arrow_batches_from_odbc(
            query=QUERY,
            connection_string=f"Driver=libmaodbc.so;Server=127.0.0.1;Port={port};User=root;Database=bench;",
            batch_size=65_536,
        )
        return _write(file, reader)

    return read


def spark(engine: str, port: int, file: str) -> Callable[[], int]:
    """Spark's JDBC source with two cores, as a Glue job reads: its start is not counted."""
    from pyspark.sql import SparkSession

    jar, driver, url, user = SPARK_DRIVERS[engine]
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", jar)
        .config("spark.driver.memory", "2g")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.io.compression.zstd.level", "1")
        .config("spark.hadoop.parquet.compression.codec.zstd.level", "1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )

    def read() -> int:
        rows = (
            session.read.format("jdbc")
            .option("url", url.format(port=port))
            .option("driver", driver)
            .option("user", user)
            .option("query", QUERY)
            .option("fetchsize", 10_000)
            .load()
        )
        rows.write.mode("overwrite").parquet(file)
        return sum(pq.read_metadata(part).num_rows for part in Path(file).glob("*.parquet"))

    return read


CONTENDERS: dict[str, Callable[[str, int, str], Callable[[], int]]] = {
    "connectorx": connectorx,
    "connectorx stream": connectorx_stream,
    "adbc": adbc,
    "dlt connectorx": dlt_connectorx,
    "dlt pyarrow": dlt_pyarrow,
    "arrow-odbc": arrow_odbc,
    "spark jdbc": spark,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
