"""The allow-list: every class of Keras 1 and 2 that is read; one that is not in it is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from porter.formats.keras_legacy import later_layers, layers
from porter.formats.keras_legacy.layers import Spec, Translation
from porter.network.graph import KerasLayer

TABLE: Mapping[str, Callable[[Spec], Translation]] = {**layers.TABLE, **later_layers.TRANSLATIONS}


def translate(spec: Spec) -> KerasLayer:
    """The canonical layer."""
    operation, parameters, weights = TABLE[spec.kind](spec)
    return KerasLayer(spec.path, spec.kind, operation, parameters, weights)
