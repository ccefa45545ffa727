"""Sizes of PostgreSQL's tables, and keys that divide one into about equal ranges.

A sample of the table's blocks is read, so that dividing costs a bounded number of reads for a table of any
size. The server sorts the sampled keys, in the order in which it reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS_PER_RANGE = 100  # sampled for each range: its share is then right within about a tenth

# The planner's own estimate: rows per block at the last ANALYZE, times the blocks now. Partitions and
# inheriting tables are read with their parent.
SIZES = """
WITH RECURSIVE parts AS (
  SELECT c.oid AS root, c.oid AS leaf
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm') AND (n.nspname, c.relname) IN ({names})
  UNION
  SELECT parts.root, i.inhrelid FROM parts JOIN pg_catalog.pg_inherits AS i ON i.inhparent = parts.leaf
)
SELECT n.nspname, c.relname,
       pg_catalog.sum(CASE WHEN l.relpages > 0 AND l.reltuples > 0
                           THEN l.reltuples::numeric / l.relpages * s.blocks ELSE 0 END)::bigint,
       pg_catalog.sum(s.blocks * s.block_size)::bigint
FROM parts
JOIN pg_catalog.pg_class AS l ON l.oid = parts.leaf
CROSS JOIN LATERAL (
  SELECT pg_catalog.pg_relation_size(l.oid) / b.block_size AS blocks, b.block_size
  FROM (SELECT pg_catalog.current_setting('block_size')::bigint AS block_size) AS b
) AS s
JOIN pg_catalog.pg_class AS c ON c.oid = parts.root
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
GROUP BY n.nspname, c.relname
"""


def range_ends(table: str, key: Sequence[str], texts: Sequence[str], percent: float, count: int) -> str:
    """Return the query of the keys that end each range except the last, in order.

    `key`: the key's columns, of `t`; `texts`: their exact texts. A sampled row ends a range if the number of
    full ranges grows by one with it.
    """
    names = [f"k{place}" for place in range(len(texts))]
    columns = ", ".join(f"{text} AS {name}" for text, name in zip(texts, names, strict=True))
    return (
        f"SELECT {', '.join(names)} FROM (SELECT {columns}, "
        f"pg_catalog.row_number() OVER (ORDER BY {', '.join(key)}) AS place, "
        f"pg_catalog.count(*) OVER () AS sampled "
        f"FROM {table} AS t TABLESAMPLE SYSTEM ({percent:.6f})) AS sample "
        f"WHERE place < sampled AND place * {count:d} / sampled > (place - 1) * {count:d} / sampled "
        "ORDER BY place"
    )


def percent(size_bytes: int, block_bytes: int, count: int) -> float:
    """Return the percentage of a table to sample for that number of ranges."""
    blocks = max(size_bytes / block_bytes, 1)
    return min(100.0, 100.0 * BLOCKS_PER_RANGE * count / blocks)
