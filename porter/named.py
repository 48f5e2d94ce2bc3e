"""Modules that a user names: imported, because he said so."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType


def import_named(name: str) -> ModuleType:
    """The module of that name, from the path or from the working folder, which a program there does not see by itself.

    Args:
        name: dotted, as ``import`` takes it.

    Raises:
        Exception: whatever importing it raises.
    """
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return import_module(name)
