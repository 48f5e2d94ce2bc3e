"""What is exported: a legacy file, what was read of one, or a Keras model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porter.errors import UsageError
from porter.exports.keras_chain import is_saved, read_chain
from porter.formats import read
from porter.formats.opened import keras_version_of
from porter.network import Network


def network_of(source: Any, read_options: Mapping[str, Any]) -> Network:
    """The network to be exported.

    Args:
        source: a network, a path, or a keras.Model.
        read_options: what a file does not say.

    Raises:
        UsageError: something else; or options on reading for what is read already.
        UnreadableError: a file that is not what it should be.
    """
    if isinstance(source, str | Path):
        return _read(Path(source), read_options)
    if read_options:
        raise UsageError(
            "options on reading for what is read already", found=", ".join(read_options),
            expected="them where the file is read",
        )  # fmt: skip
    if isinstance(source, Network):
        return source
    if hasattr(source, "variables") and hasattr(source, "save"):
        with tempfile.TemporaryDirectory(prefix="porter-") as folder:
            path = Path(folder) / f"{source.name}.keras"
            source.save(path)
            return read_chain(path)
    raise UsageError(
        "what is to be exported", found=f"an object of type {type(source).__name__}",
        expected="a network, the path of a file, or a keras.Model",
    )  # fmt: skip


def _read(path: Path, read_options: Mapping[str, Any]) -> Network:
    """A legacy file; or the model that Keras 3 saved, whose own formula is then the reference."""
    if is_saved(path) and not (keras_version_of(path) or "").startswith("2."):
        return read_chain(path)
    return read(path, **read_options)
