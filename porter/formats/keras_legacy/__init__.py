"""Keras 1 and 2 files, read without TensorFlow and without running anything in them."""

from porter.formats.keras_legacy.graph import KerasCall, KerasInput, KerasLayer, KerasNetwork
from porter.formats.keras_legacy.reader import KerasOptions, matches, read

__all__ = ["KerasCall", "KerasInput", "KerasLayer", "KerasNetwork", "KerasOptions", "matches", "read"]
