"""What every reader returns: arrays exactly as stored, and nothing interpreted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class WeightFile:
    """A file of arrays, read and inert.

    Attributes:
        path: where it was read from.
        format: key of the reader, for example ``"oc-smart"``.
        sha256: hexadecimal digest of the file's bytes.
        arrays: stored name (``"Weights/Layer1"``) to the array in its stored shape, dtype and byte order.
        attributes: stored attributes by name, as plain Python values.
        places: where a recipe names the arrays: the array's name here to the dataset's name in the file; an array that
            is missing from it was written out in the recipe. Empty where the names here are those of the file.
        recipe: path of the recipe by which it was read; None where there was none.
    """

    path: Path
    format: str
    sha256: str
    arrays: Mapping[str, Array]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    recipe: Path | None = None
