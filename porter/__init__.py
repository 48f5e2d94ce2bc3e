"""Port legacy neural networks into Keras and prove, layer by layer, that the port computes the same."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from porter.errors import (
    OutputExistsError,
    ParityError,
    PorterError,
    PortError,
    SamplesError,
    UnbuildableError,
    UnreadableError,
    UsageError,
)

if TYPE_CHECKING:
    from porter.formats import read
    from porter.keras_legacy.load import load_weights
    from porter.keras_model import build
    from porter.network import Claim, Network
    from porter.port import port
    from porter.provenance import read_provenance
    from porter.recipe_writing import write_recipe
    from porter.report.model import Finding, LayerRow, Report
    from porter.saving import save_model
    from porter.verify import verify

__version__ = "0.1.0"

__all__ = [
    "Claim",
    "Finding",
    "LayerRow",
    "Network",
    "OutputExistsError",
    "ParityError",
    "PortError",
    "PorterError",
    "Report",
    "SamplesError",
    "UnbuildableError",
    "UnreadableError",
    "UsageError",
    "__version__",
    "build",
    "load_weights",
    "port",
    "read",
    "read_provenance",
    "save_model",
    "verify",
    "write_recipe",
]

# Looked up when first used, so that ``import porter`` stays quick and loads neither TensorFlow nor Keras.
_LAZY = {
    "Claim": "porter.network",
    "Finding": "porter.report.model",
    "LayerRow": "porter.report.model",
    "Network": "porter.network",
    "Report": "porter.report.model",
    "build": "porter.keras_model",
    "load_weights": "porter.keras_legacy.load",
    "port": "porter.port",
    "read": "porter.formats",
    "read_provenance": "porter.provenance",
    "save_model": "porter.saving",
    "verify": "porter.verify",
    "write_recipe": "porter.recipe_writing",
}


class _Package(ModuleType):
    """The package itself: what it offers stays what it is, also where a submodule has the same name (``port``)."""

    def __getattr__(self, name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(_LAZY[name]), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing ``porter.port`` would bind the module where the function belongs.
        if not (name in _LAZY and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
