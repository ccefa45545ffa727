"""The views over `etl_control`, for people who query the warehouse: state and freshness of every table."""

from __future__ import annotations

from dataclasses import dataclass

from tributary.redshift.sql import CONTROL, FRESHNESS, STATUS, WATERMARKS, comma

NEWEST = "PARTITION BY source_name, table_name ORDER BY generation DESC, run_id DESC"


@dataclass(frozen=True, slots=True)
class View:
    """A view: its columns and the FROM clause that gives them."""

    name: str
    columns: tuple[str, ...]
    origin: str

    def create(self) -> str:
        """Return the statement that creates the view, or replaces one with the same columns."""
        return f"CREATE OR REPLACE VIEW {self.name} AS\nSELECT {comma(self.columns)}\nFROM {self.origin}"


# Windows and replays that a person started do not make a table fresher, so they are not counted.
# A run without new rows commits nothing, for a day at most. So a table is late after a day plus twice its
# usual gap, which is the mean time between its last 20 commits.
VIEWS = (
    View(
        WATERMARKS,
        (
            "source_name",
            "table_name",
            "last_successful_run",
            "records_processed",
            "run_id",
            "generation",
            "mode",
            "target_table",
            "cursor_column",
            "watermark",
            "unread_columns",
        ),
        f"""(
  SELECT *, ROW_NUMBER() OVER (
    {NEWEST}
  ) AS newest
  FROM {CONTROL}
) AS runs
WHERE newest = 1""",
    ),
    View(
        STATUS,
        (
            "source_name",
            "table_name",
            "target_table",
            "mode",
            "last_successful_run",
            "run_id",
            "records_processed",
            "size_bytes",
            "runs",
            "records_in_all",
        ),
        f"""(
  SELECT *,
    ROW_NUMBER() OVER ({NEWEST}) AS newest,
    COUNT(*) OVER (PARTITION BY source_name, table_name) AS runs,
    SUM(records_processed) OVER (PARTITION BY source_name, table_name) AS records_in_all
  FROM {CONTROL}
) AS counted
WHERE newest = 1""",
    ),
    View(
        FRESHNESS,
        (
            "source_name",
            "table_name",
            "target_table",
            "last_successful_run",
            "records_processed",
            "lag_seconds",
            "usual_gap_seconds",
            "verdict",
        ),
        f"""(
  SELECT *, CASE WHEN lag_seconds <= 86400 + 2 * COALESCE(usual_gap_seconds, 86400)
    THEN 'fresh' ELSE 'late' END AS verdict
  FROM (
    SELECT source_name, table_name,
      MAX(CASE WHEN newest = 1 THEN target_table END) AS target_table,
      MAX(last_successful_run) AS last_successful_run,
      MAX(CASE WHEN newest = 1 THEN records_processed END) AS records_processed,
      DATEDIFF(second, MAX(last_successful_run), GETDATE()) AS lag_seconds,
      DATEDIFF(second, MIN(last_successful_run), MAX(last_successful_run))
        / NULLIF(COUNT(*) - 1, 0) AS usual_gap_seconds
    FROM (
      SELECT *, ROW_NUMBER() OVER ({NEWEST}) AS newest
      FROM {CONTROL}
      WHERE COALESCE(asked_for, 'usual') NOT IN ('window', 'replay')
    ) AS runs
    WHERE newest <= 20
    GROUP BY source_name, table_name
  ) AS lately
) AS judged""",
    ),
)
