"""Run ids: the time a run began, `<YYYYMMDD>_<HHMMSS>` in UTC.

They sort as text, and no two runs of a source have the same one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

FORMAT = "%Y%m%d_%H%M%S"


def run_id_at(time: datetime) -> str:
    """Return the run id of a time that has a zone."""
    return time.astimezone(UTC).strftime(FORMAT)


def started_at(run_id: str) -> datetime:
    """Return the time of a run id, in UTC."""
    return datetime.strptime(run_id, FORMAT).replace(tzinfo=UTC)


def next_run_id(last: str | None) -> str:
    """Return a new run's id: that of now, but later than the source's last run."""
    now = datetime.now(UTC)
    return run_id_at(max(now, started_at(last) + timedelta(seconds=1))) if last else run_id_at(now)


def run_age(run_id: str) -> timedelta:
    """Return how long ago the run began."""
    return datetime.now(UTC) - started_at(run_id)


def day_folder(run_id: str) -> str:
    """Return the run's day as a path: `2026/11/23`."""
    return f"{run_id[:4]}/{run_id[4:6]}/{run_id[6:8]}"
