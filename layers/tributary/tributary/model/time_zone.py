"""Time zones by the names that a source's file may give."""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo

_FOREIGN = re.compile(r"(right|posix)/|localtime$|posixrules$|Factory$")


def parse_time_zone(name: str) -> tzinfo:
    """Return the zone of an IANA name or an offset such as `+01:00`; raises ValueError."""
    from zoneinfo import ZoneInfo

    offset = re.fullmatch(r"([+-])(\d\d):([0-5]\d)", name)
    if offset and int(offset[2]) <= 14:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(ahead if offset[1] == "+" else -ahead)
    try:
        if not offset and not _FOREIGN.match(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a folder of zones, such as America
        pass
    raise ValueError(f'"{name}" is not a time zone; write a name such as Europe/Madrid, UTC, or +01:00')
