"""The user's functions in the place of layers that are not run: of tensors in the port, of arrays in the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from porter.formats.keras_legacy.errors import ReplacementError
from porter.named import import_named


def as_array_functions(replacements: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The same functions, taking and giving NumPy arrays."""

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arrays: np.asarray(function(*arrays))

    return {layer: wrapped(function) for layer, function in replacements.items()}


def parse_replacements(texts: list[str]) -> dict[str, Callable[..., Any]]:
    """``LAYER=module:function``, as the user wrote it on the command line; the module is imported, because he said so.

    Raises:
        ReplacementError: not of that form, or nothing of that name.
    """
    found = {}
    for text in texts:
        layer, equals, target = text.partition("=")
        module, colon, function = target.partition(":")
        if not (layer and equals and module and colon and function):
            raise ReplacementError("--replace", found=repr(text), expected="LAYER=module:function")
        try:
            found[layer] = getattr(import_named(module), function)
        except Exception as error:  # the user's own module may raise anything
            raise ReplacementError(
                f"--replace {text}",
                found=f"{type(error).__name__}: {error}",
                expected="a module on the path or in the working folder, and a function in it",
            ) from error
    return found
