"""The readers that exist, registered in the order in which they are asked."""

from __future__ import annotations

from porter.formats import keras_hint, oc_smart
from porter.formats.registry import READERS, Reader, reader_of, register

register(oc_smart.READER)
register(keras_hint.READER)

__all__ = ["READERS", "Reader", "reader_of", "register"]
