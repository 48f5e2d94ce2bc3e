"""Port legacy neural networks into Keras and prove, layer by layer, that the port computes the same."""

from __future__ import annotations

from importlib import import_module
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
    from porter.formats.recipe_writing import write_recipe
    from porter.identification.identified import Identified
    from porter.identification.infer import infer
    from porter.jobs.export import export
    from porter.jobs.load import load_weights
    from porter.jobs.port import port
    from porter.jobs.provenance import read_provenance
    from porter.jobs.saving import save_model
    from porter.jobs.verify import verify
    from porter.learning.compress import compress
    from porter.learning.drift import drift
    from porter.learning.training import finetune
    from porter.learning.trunk import trunk
    from porter.network import Claim, Network
    from porter.ports.keras.build import build
    from porter.report.model import Finding, LayerRow
    from porter.report.report import Report

__version__ = "0.1.0"

__all__ = [
    "Claim",
    "Finding",
    "Identified",
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
    "compress",
    "drift",
    "export",
    "finetune",
    "infer",
    "load_weights",
    "port",
    "read",
    "read_provenance",
    "save_model",
    "trunk",
    "verify",
    "write_recipe",
]

# Looked up when first used, so that ``import porter`` stays quick and loads neither TensorFlow nor Keras.
_LAZY = {
    "Claim": "porter.network",
    "Finding": "porter.report.model",
    "Identified": "porter.identification.identified",
    "LayerRow": "porter.report.model",
    "Network": "porter.network",
    "Report": "porter.report.report",
    "build": "porter.ports.keras.build",
    "compress": "porter.learning.compress",
    "drift": "porter.learning.drift",
    "export": "porter.jobs.export",
    "finetune": "porter.learning.training",
    "infer": "porter.identification.infer",
    "load_weights": "porter.jobs.load",
    "port": "porter.jobs.port",
    "read": "porter.formats",
    "read_provenance": "porter.jobs.provenance",
    "save_model": "porter.jobs.saving",
    "trunk": "porter.learning.trunk",
    "verify": "porter.jobs.verify",
    "write_recipe": "porter.formats.recipe_writing",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
