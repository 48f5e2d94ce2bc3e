"""What is exported: a legacy file, what was read of one, or a Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porter.errors import UsageError
from porter.formats import read
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
        return read(source, **read_options)
    if read_options:
        raise UsageError(
            "options on reading for what is read already", found=", ".join(read_options),
            expected="them where the file is read",
        )  # fmt: skip
    if isinstance(source, Network):
        return source
    raise UsageError(
        "what is to be exported", found=f"an object of type {type(source).__name__}",
        expected="a network, the path of a file, or a keras.Model",
    )  # fmt: skip
