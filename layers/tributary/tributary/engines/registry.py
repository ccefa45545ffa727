"""Engines by name; a driver is imported with the first use of its engine."""

from __future__ import annotations

import importlib
from typing import cast

from tributary.engines.protocol import Engine
from tributary.errors import ConfigError
from tributary.model.engine_names import ENGINES


def get(name: str) -> Engine:
    """Return the engine of that name; its driver is imported with it."""
    if name not in ENGINES:
        raise ConfigError(f'engine "{name}" is not known; use one of {", ".join(ENGINES)}')
    return cast(Engine, importlib.import_module(f"tributary.engines.{name}.engine"))
