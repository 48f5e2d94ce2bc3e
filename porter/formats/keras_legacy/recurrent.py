"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.keras_legacy.convolution import kernel_layout, size_of, turned, window_arguments
from porter.formats.keras_legacy.errors import UnknownModeError
from porter.formats.keras_legacy.roles import KERAS1_GATES
from porter.formats.keras_legacy.spec import Spec, Translation, activation_of

Array = NDArray[Any]


RECURRENT_FLAGS = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "stateful")


def recurrent(spec: Spec) -> Translation:
    """SimpleRNN, LSTM, GRU and ConvLSTM1D to 3D, CuDNN's forms and those of Keras 1 made Keras 2's."""
    fields, kind = spec.fields, spec.kind.removeprefix("CuDNN")
    if fields.flag("time_major", default=False):
        raise UnknownModeError(f"{fields.where}: time_major", found="true", expected="rows before steps")
    units = fields.whole("units", "output_dim", "filters", "nb_filter")
    default = "sigmoid" if spec.era.version >= (2, 3) else "hard_sigmoid"
    gate = activation_of(fields, "recurrent_activation", "inner_activation", default=default)
    parameters: dict[str, Any] = {
        "kind": kind, "units": units, "use_bias": spec.with_bias,
        "activation": activation_of(fields, "activation", default="tanh"), "recurrent_activation": gate,
        "reset_after": kind == "GRU" and fields.flag("reset_after", default=False),
        **{key: fields.flag(key, default=False) for key in RECURRENT_FLAGS},
    }  # fmt: skip
    if spec.kind.startswith("CuDNN"):
        parameters |= {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": kind == "GRU"}
        parameters["use_bias"] = True
    dims = conv_dims(kind)
    if dims:
        parameters |= window_arguments(spec, dims) | {"size": size_of(spec, dims)}
        parameters["theano"] = spec.is_theano
    weights = _joined_gates(spec, kind)
    if weights:
        _check_recurrent(spec, kind, units, weights)
    return ("ConvLSTM" if dims else "Recurrent"), parameters, weights


def conv_dims(kind: str) -> int:
    """Dimensions of space of a ConvLSTM; 0 for any other layer."""
    return int(kind[-2]) if kind in CONV_LSTMS else 0


def _joined_gates(spec: Spec, kind: str) -> dict[str, Array]:
    """Kernel, recurrent kernel and bias, all gates side by side in Keras 2's order."""
    weights = spec.learned()
    if "W_i" in weights or "W_z" in weights:
        order = "ifco" if "W_i" in weights else KERAS1_GATES["GRU"]
        names = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
        if kind == "ConvLSTM2D":
            size, filters = size_of(spec, 2), spec.fields.whole("nb_filter")
            weights = {
                role: kernel_layout(spec, array, 2, size, filters) if array.ndim == 4 else array
                for role, array in weights.items()
            }
        weights = {
            name: np.concatenate([weights[f"{letter}_{gate}"] for gate in order], axis=-1)
            for letter, name in names.items()
        }
    if conv_dims(kind) and weights:
        for role in ("kernel", "recurrent_kernel"):
            weights[role] = turned(spec, weights[role], conv_dims(kind))
    return _from_cudnn(spec, weights, 4 if kind == "LSTM" else 3) if spec.kind.startswith("CuDNN") else weights


def _from_cudnn(spec: Spec, weights: dict[str, Array], gates: int) -> dict[str, Array]:
    """CuDNN keeps each gate's kernel as (units, inputs) in memory, the recurrent one transposed, and two biases."""
    if not weights:
        return weights
    units = spec.fields.whole("units")
    kernel, inner, bias = (weights[role] for role in ("kernel", "recurrent_kernel", "bias"))
    spec.check("kernel", kernel, (None, gates * units))
    spec.check("recurrent_kernel", inner, (units, gates * units))
    spec.check("bias", bias, (2 * gates * units,))
    blocks = [np.ascontiguousarray(block).reshape((units, -1)).T for block in np.split(kernel, gates, axis=1)]
    turned = [block.T for block in np.split(inner, gates, axis=1)]
    two = bias.reshape((2, -1))
    # An LSTM has one bias in Keras 2: the sum, kept in float64 so that only the port's own cast rounds it.
    joined = two[0].astype(np.float64) + two[1] if gates == 4 else two
    return {"kernel": np.hstack(blocks), "recurrent_kernel": np.hstack(turned), "bias": joined}


def _check_recurrent(spec: Spec, kind: str, units: int, weights: Mapping[str, Array]) -> None:
    gates = {"SimpleRNN": 1, "GRU": 3}.get(kind, 4)
    window = size_of(spec, conv_dims(kind)) if conv_dims(kind) else ()
    spec.check("kernel", weights["kernel"], (*window, None, gates * units))
    spec.check("recurrent_kernel", weights["recurrent_kernel"], (*window, units, gates * units))
    if "bias" in weights:
        two = kind == "GRU" and weights["bias"].ndim == 2
        spec.check("bias", weights["bias"], (2, gates * units) if two else (gates * units,))


DIMENSIONS = (1, 2, 3)


CONV_LSTMS = tuple(f"ConvLSTM{n}D" for n in DIMENSIONS)
