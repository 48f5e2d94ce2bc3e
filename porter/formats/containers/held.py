"""What a container holds: arrays of numbers by name, and beside them what it says in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from porter.errors import DamagedFileError
from porter.formats.said import hinting_names, may_name_activations, names_activations

if TYPE_CHECKING:
    from porter.formats.hdf5 import Hdf5File

Array = NDArray[Any]


class Held(dict[str, Array]):
    """The arrays by name.

    Attributes:
        said: texts, and lists of texts, by the name of an attribute: ``"activation"``, ``"layers[0]@activation"``.
    """

    def __init__(self, arrays: Mapping[str, Array], texts: Mapping[str, Any] | None = None) -> None:
        super().__init__(arrays)
        self.said = {attribute_of(name): value for name, value in (texts or {}).items()}


def attribute_of(name: str) -> str:
    """A text's full name as that of an attribute of what stands around it: ``fc1.activation`` is ``fc1@activation``."""
    return re.sub(r"[./]([^./]+)$", r"@\1", name)


def text_of(array: Array) -> Any:
    """An array of text as a text, or as a list of them."""
    values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    return values[0] if array.ndim == 0 else values


def texts_in(hdf5: Hdf5File) -> dict[str, Any]:
    """The datasets of text that may name activations, by full name; no others are read."""
    names = (name for name in hdf5.datasets if may_name_activations(name.rpartition("/")[2]) and hdf5.is_text(name))
    return {name: text_of(hdf5.read_text(name)) for name in names}


def attributes_in(hdf5: Hdf5File, texts: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are read of a file, by full name; None for those that may say something and are not read.

    Args:
        hdf5: the file.
        texts: its datasets of text, which count as attributes.

    Raises:
        DamagedFileError: one that names an activation cannot be read.
    """
    found = {**dict.fromkeys(hinting_names(hdf5.stored_attributes)), **hdf5.fixed_attributes()}
    for name in filter(may_name_activations, hdf5.stored_attributes):
        try:
            found[name] = hdf5.attribute(name)
        except DamagedFileError:
            if names_activations(name):
                raise
    return {**found, **Held({}, texts).said}
