"""Engines by name; an engine's driver is imported when the engine is first used."""

from __future__ import annotations

import importlib
from typing import cast

from tributary.engines.protocol import Engine
from tributary.errors import ConfigError
from tributary.model.engine_names import ENGINES


def get(name: str) -> Engine:
    """Return the engine of that name and import its driver."""
    if name not in ENGINES:
        raise ConfigError(f'engine "{name}" is unknown; use one of {", ".join(ENGINES)}')
    return cast(Engine, importlib.import_module(f"tributary.engines.{name}.engine"))
