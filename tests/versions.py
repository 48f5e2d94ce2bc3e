"""What tests ask of the Keras that is here: not every version can do everything."""

from __future__ import annotations

import keras
import pytest
from packaging.version import Version

from porter.ports.keras.versions import activates_by_layers

needs_layers_as_activations = pytest.mark.skipif(
    not activates_by_layers(),
    reason=f"Keras {keras.__version__} loads no layer as the activation of another, as the old hard sigmoid of a "
    "recurrent layer is one; 3.10 does",
)


def needs_keras(version: str, reason: str) -> pytest.MarkDecorator:
    """Skips where Keras is older than that, and says why."""
    return pytest.mark.skipif(
        Version(keras.__version__) < Version(version), reason=f"Keras {keras.__version__}: {reason}"
    )
