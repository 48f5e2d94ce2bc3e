"""The legacy forward pass of a Keras model as read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from porter.formats.keras_legacy.fields import reading
from porter.network import Network
from porter.network.graph import KerasNetwork
from reference.trace import Program


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The program of a network that ``reader`` read.

    Args:
        network: whose arrays and attributes are handed on as stored.
        changes: declarations to replace; ``backend`` and ``dtype`` count.
    """
    from porter.formats.keras_legacy.replace import as_array_functions
    from reference.programs import keras_legacy

    replaced = as_array_functions(network.replacements) if isinstance(network, KerasNetwork) else {}
    declared = {**network.declarations, **changes}
    chosen = {key: declared[key] for key in ("backend", "dtype") if key in declared}
    with reading(str(network.source.path)):
        return keras_legacy.program(network.source.arrays, network.source.attributes, replacements=replaced, **chosen)
