"""The system views of loads: written outside the load's transaction, so that failures stay visible."""

from __future__ import annotations

import pg8000.native

from local.redshift.copy_command import Copy
from local.redshift.loading import Loaded, LoadError

ERROR = """INSERT INTO stand_in.load_error VALUES (:user, :query, 0, :session, current_database(),
  :table_id, statement_timestamp() AT TIME ZONE 'UTC', :file_name, 0, :column_name, :column_type,
  :column_length, 0, :code, :message)"""
SPECTRUM_SCAN_ERROR = 15007
HISTORY = """INSERT INTO stand_in.load_history VALUES (:user, :query, 0, :session, current_database(),
  :status, :table_name, statement_timestamp() AT TIME ZONE 'UTC', statement_timestamp() AT TIME ZONE 'UTC', 0,
  :source, :rows, :size_bytes, :files, :size_bytes, :errors)"""


def remember(
    admin: pg8000.native.Connection,
    copy: Copy,
    ended: Loaded | LoadError,
    *,
    user: str,
    query: int,
    session: int,
) -> None:
    """Write what SYS_LOAD_HISTORY and, after a failure, SYS_LOAD_ERROR_DETAIL show of a COPY."""
    known = {"user": user, "query": query, "session": session}
    failed = isinstance(ended, LoadError)
    loaded = Loaded(0, 0, 0) if isinstance(ended, LoadError) else ended
    if isinstance(ended, LoadError):
        admin.run(ERROR, **known, **_detail(ended))
    admin.run(
        HISTORY,
        **known,
        status="aborted" if failed else "completed",
        table_name=copy.table[-1],
        source=copy.source,
        rows=loaded.rows,
        size_bytes=loaded.size_bytes,
        files=loaded.files,
        errors=int(failed),
    )


def _detail(error: LoadError) -> dict[str, str | int]:
    # A Spectrum scan error names its column in the text alone.
    column = error.mismatch.column if error.mismatch.code != SPECTRUM_SCAN_ERROR else None
    return {
        "table_id": 0,
        "file_name": error.file_name,
        "column_name": column.name if column else "",
        "column_type": column.type.split("(")[0] if column else "",
        "column_length": str(column.size_bytes or "") if column else "",
        "code": error.mismatch.code,
        "message": error.mismatch.context[:512],
    }
