"""The names that `engine:` may have in a source's file."""

from __future__ import annotations

ENGINES = ("mysql", "postgresql", "sqlite", "sqlserver")
