"""What the user may say about a legacy Keras file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from porter.errors import UsageError
from porter.formats.keras_legacy.errors import ReplacementError

BACKENDS = ("tensorflow", "theano", "cntk")


@dataclass(frozen=True)
class KerasOptions:
    """What the user says about a legacy Keras file.

    Attributes:
        backend: that trained it, where the file does not say.
        weights: a file of weights beside a JSON architecture.
        replace: functions of tensors, by the path of the layer whose place they take.
    """

    backend: str | None = None
    weights: str | Path | None = None
    replace: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.backend is not None and self.backend not in BACKENDS:
            raise UsageError("backend", found=repr(self.backend), expected=f"one of {', '.join(BACKENDS)}")
        for layer, function in self.replace.items():
            if not callable(function):
                raise ReplacementError(
                    f"the replacement of layer {layer!r} cannot be called", found=type(function).__name__
                )
