"""The builder of each canonical legacy layer, by the name of its operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from porter.formats.keras_legacy.graph import KerasLayer
from porter.keras_legacy import later_layers, layers, operations
from porter.keras_legacy.layers import Apply, Site

OPERATIONS: Mapping[str, Callable[[KerasLayer, Site], Apply]] = {
    **layers.OPERATIONS,
    **later_layers.OPERATIONS,
    "Operation": operations.operation,
}
