"""The formats that exist, registered."""

from __future__ import annotations

from porter.exports import numpy_file, runtime_files
from porter.exports.registry import FORMATS, Format, format_for, format_named, format_of, register

__all__ = ["FORMATS", "Format", "format_for", "format_named", "format_of", "numpy_file", "register", "runtime_files"]
