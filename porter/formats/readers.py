"""The readers that exist, registered in the order in which they are asked."""

from __future__ import annotations

from porter.formats import keras_hint, oc_smart
from porter.formats.keras_legacy import reader as keras_legacy
from porter.formats.registry import READERS, Reader, reader_of, register

# Keras leaves marks of its own, so it is asked first.
register(keras_legacy.READER)
register(keras_hint.READER)
register(oc_smart.READER)

__all__ = ["READERS", "Reader", "reader_of", "register"]
