"""Engines by name; an engine's driver is imported when the engine is first used."""

from __future__ import annotations

import importlib
from typing import cast

from tributary.engines.protocol import Engine
from tributary.errors import ConfigError
from tributary.model.engine_names import ENGINES, NAMES, is_generic


def get(name: str) -> Engine:
    """Return the engine of that name and import its driver."""
    if is_generic(name):
        return cast(Engine, importlib.import_module("tributary.engines.generic.engine").of(name))
    if name not in ENGINES:
        raise ConfigError(f'engine "{name}" is unknown; use one of {", ".join(NAMES)}')
    return cast(Engine, importlib.import_module(f"tributary.engines.{name}.engine"))
