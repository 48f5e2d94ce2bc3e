"""The formats that exist, registered in the order in which they are listed."""

from __future__ import annotations

from porter.exports import c, fortran, keras_files, numpy_file, runtime_files
from porter.exports.registry import FORMATS, Format, format_for, format_named, format_of, register

WRITERS = (runtime_files, keras_files, c, fortran, numpy_file)
"""Each module registers its own as it is imported."""

__all__ = ["FORMATS", "WRITERS", "Format", "format_for", "format_named", "format_of", "register"]
