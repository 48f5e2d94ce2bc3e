"""The family of networks that only a recipe can read; ``porter.formats.recipe`` reads them."""

from __future__ import annotations

from typing import NoReturn

from porter.errors import UnknownFormatError
from porter.formats.oc_smart import program
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family
from porter.formats.write_back import write_arrays


def read(opened: OpenedFile, options: ReadOptions) -> NoReturn:
    """Refuse it.

    Raises:
        UnknownFormatError: always, for the recipe is missing.
    """
    del options
    raise UnknownFormatError(f"{opened.path} needs a recipe", remedy="--recipe net.toml")


READER = Family(
    "recipe",
    "HDF5 or .npz of any layout, with a recipe that says where the arrays lie (porter recipe --explain)",
    lambda opened: False,
    read,
    program,
    write=write_arrays,
    example="porter inspect anything.h5 --write-recipe anything.toml",
)
