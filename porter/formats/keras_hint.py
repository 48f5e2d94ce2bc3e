"""Keras' own HDF5 models, recognized so that they are refused by name."""

from __future__ import annotations

from typing import NoReturn

from porter.errors import KerasFileError
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family

SIGNS = ("model_config", "layer_names", "keras_version")


def matches(opened: OpenedFile) -> bool:
    """HDF5 with the attributes that Keras writes, at the root or in ``model_weights``."""
    if not opened.is_hdf5:
        return False
    attributes = opened.hdf5.stored_attributes
    return any(sign in attributes or f"model_weights@{sign}" in attributes for sign in SIGNS)


def read(opened: OpenedFile, options: ReadOptions) -> NoReturn:
    """Refuse it.

    Raises:
        KerasFileError: always.
    """
    del options
    known = "keras_version" in opened.hdf5.stored_attributes
    version = opened.hdf5.attribute("keras_version") if known else "unknown"
    raise KerasFileError(
        f"{opened.path} is a Keras model in HDF5 (Keras version {version}), which is not read as a legacy file",
        remedy=f"as a port it can be verified: porter verify LEGACY {opened.path.name}",
    )


READER = Family("keras", "HDF5 written by Keras 3 (a port, not a legacy file)", matches, read)
