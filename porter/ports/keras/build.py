"""Network to keras.Model, of Keras' own layers only, so that the saved file loads where porter is not installed."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import ml_dtypes  # noqa: F401  (gives NumPy the name "bfloat16")

from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.network.placement import check_choice, check_unplaced
from porter.ports.keras.chain_model import build_chain
from porter.ports.keras.graph_model import build_graph
from porter.ports.keras.names import DTYPES


def build(network: Network, *, placement: str = "inside", dtype: str = "float32") -> Any:
    """Build the port: flat, one Dense with its activation fused for each legacy layer.

    Keras' global state (floatx, dtype policy) is neither read nor changed: every layer has a policy of its own.
    Under a mixed policy the scaling and the transforms compute in float32, the dense layers in half precision.

    Args:
        network: the legacy network.
        placement: where the scaling goes: "inside" as layers named as in the legacy file, "folded" into the
            neighbouring dense layers (computed in float64, then cast), or "outside", left to the caller.
        dtype: one of ``DTYPES``.

    Returns:
        keras.Model taking (rows, inputs) and giving (rows, outputs).

    Raises:
        UsageError: an unknown placement or dtype, or scaling outside of physical transforms.
        UnbuildableError: scaling that cannot be folded, or a layer that Keras' own layers cannot express.
    """
    check_choice("dtype", dtype, DTYPES)
    return _build(network, placement, dtype)


@singledispatch
def _build(network: Network, placement: str, dtype: str) -> Any:
    return build_chain(network, placement=placement, dtype=dtype)


@_build.register(KerasNetwork)
def _(network: KerasNetwork, placement: str, dtype: str) -> Any:
    check_unplaced(placement)
    return build_graph(network, dtype=dtype)
