"""The path of a port opened by whatever runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from porter.exports.formats import format_of


def open_port(path: str | Path, *, trusted: bool = False) -> Any:
    """A ``TracedPort``, a function of arrays, or a keras.Model.

    Args:
        path: of a file, or of a folder that is one port.
        trusted: whether its code may be compiled and run.

    Raises:
        UsageError: it holds code, and may not be run.
        PortError: there is nothing of that name, or nothing here runs it.
    """
    path = Path(path)
    form = format_of(path) if path.exists() else None
    if form is None or form.opens is None:
        from porter.ports.keras.graph import read_port

        return read_port(path)
    return form.opens(path, trusted=trusted)
