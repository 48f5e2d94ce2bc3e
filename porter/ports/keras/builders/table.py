"""The builder of each canonical legacy layer, by the name of its operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from porter.network.graph import KerasLayer
from porter.ports.keras.builders import later_layers, layers, operations
from porter.ports.keras.builders.layers import Apply, Site

OPERATIONS: Mapping[str, Callable[[KerasLayer, Site], Apply]] = {
    **layers.OPERATIONS,
    **later_layers.OPERATIONS,
    "Operation": operations.operation,
}
