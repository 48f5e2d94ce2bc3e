"""A network as a LiteRT (.tflite) file, converted by TensorFlow from the Keras model that porter builds."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError, first_line
from porter.network import Dense, Network, Scaling
from porter.network.placement import check_choice

Array = NDArray[Any]

PRECISIONS = ("float32", "float16", "int8", "int16x8")
"""float16 keeps the weights in half precision; int8 and int16x8 compute in whole numbers, the weights in eight bits."""
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
CALIBRATION_ROWS = 256


def write_litert(
    network: Network, path: Path, *, precision: str = "float32", seed: int = 0, placement: str | None = None
) -> None:
    """Convert a network.

    Recurrent layers are unrolled, for LiteRT's own operations cannot loop over time as TensorFlow's do.

    Args:
        network: as read.
        path: written over.
        precision: one of ``PRECISIONS``.
        seed: of the rows that whole numbers are calibrated with.
        placement: where the scaling goes; None: into the dense layers, in float64, where that can be, for the converter
            would do the same in float32.

    Raises:
        UsageError: another precision.
        UnbuildableError: the converter refuses the model, or it has a time axis that is left open.
    """
    check_choice("precision", precision, PRECISIONS)
    model = build_flat(network, placement) if precision.startswith("float") else build_bounded(network, placement)
    path.write_bytes(convert(model, precision, lambda: calibration(network, model, np.random.default_rng(seed))))


def build_flat(network: Network, placement: str | None = None) -> Any:
    """The Keras model that is converted: scaling folded where it can be, recurrent layers unrolled."""
    from porter.ports.keras.build import build

    if placement is None:
        placement = "folded" if _can_fold(network) else "inside"
    return unrolled(build(network, placement=placement))


def build_bounded(network: Network, placement: str | None = None) -> Any:
    """The Keras model that whole numbers are made of: scaled inputs are held to what the documented range gives.

    So they keep a tensor of their own, which all inputs fill alike. Otherwise the converter multiplies the scaling into
    the first kernel, of which eight bits then lose the inputs of wide ranges; beyond the range whole numbers hold
    their greatest anyway.
    """
    from keras import Input, Model, layers, ops

    from porter.ports.keras.build import build

    if placement is not None or network.input_range is None or not isinstance(network.layers[0], Scaling):
        return build_flat(network, placement)
    first, rest = network.layers[0], replace(network, layers=network.layers[1:])
    inner = build(rest, placement="folded" if _can_fold(rest) else "inside")
    low, high = (first.scale * side + first.offset for side in network.input_range.T)
    inputs = Input((len(first.scale),), name="inputs")
    scaled = layers.Rescaling(first.scale, first.offset, name=first.name)(inputs)
    held = ops.minimum(ops.maximum(scaled, float(np.min(low))), float(np.max(high)))
    return Model(inputs, inner(held), name=inner.name)


def _can_fold(network: Network) -> bool:
    """Whether there is a scaling, and each stands beside a dense layer that can take it up."""
    layers = network.layers
    for at, layer in enumerate(layers):
        if not isinstance(layer, Scaling):
            continue
        after = layers[at + 1] if at + 1 < len(layers) else None
        before = layers[at - 1] if at else None
        if not isinstance(after, Dense) and not (isinstance(before, Dense) and before.activation.name == "linear"):
            return False
    return any(isinstance(layer, Scaling) for layer in layers)


def unrolled(model: Any) -> Any:
    """A copy whose recurrent layers are written out, one time step after the other.

    Raises:
        UnbuildableError: a time axis of open length.
    """
    import keras

    if not any(type(layer).__name__ in (*RECURRENT, "Bidirectional") for layer in model.layers):
        return model

    def copied(layer: Any) -> Any:
        steps = layer.input.shape[1] if type(layer).__name__ in (*RECURRENT, "Bidirectional") else 0
        if steps is None:
            raise UnbuildableError(
                f"{layer.name} as LiteRT", found="a recurrent layer over a time axis that is left open",
                expected="a fixed number of time steps, of which each is written out",
            )  # fmt: skip
        return type(layer).from_config(_unrolled(layer.get_config()))

    made = keras.models.clone_model(model, clone_function=copied)
    made.set_weights(model.get_weights())
    return made


def _unrolled(config: Any) -> Any:
    """A configuration with every ``unroll`` in it set, those of layers inside too."""
    if isinstance(config, dict):
        return {key: True if key == "unroll" else _unrolled(value) for key, value in config.items()}
    return [_unrolled(each) for each in config] if isinstance(config, list) else config


def convert(model: Any, precision: str, rows: Any) -> bytes:
    """A Keras model as a LiteRT file.

    Args:
        model: keras.Model.
        precision: one of ``PRECISIONS``.
        rows: gives the calibration rows of each input, (rows, ...); called for whole numbers alone.

    Raises:
        UnbuildableError: the converter refuses it.
    """
    import tensorflow as tf

    with _quietly():
        try:
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            _set_precision(converter, tf, precision, rows)
            return bytes(converter.convert())
        except Exception as error:  # the converter's own kinds, which have no common base
            told = first_line(error)
            flex = "needs operations of TensorFlow itself (Flex)" if "Flex" in str(error) else told
            raise UnbuildableError(
                f"{model.name} as LiteRT in {precision}", found=flex, expected="layers that LiteRT has operations for",
                remedy="export it to onnx or saved_model",
            ) from error  # fmt: skip


def _set_precision(converter: Any, tf: Any, precision: str, rows: Any) -> None:
    if precision == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return
    inputs = rows()

    def samples() -> Iterator[list[Array]]:
        for at in range(len(inputs[0])):
            yield [each[at : at + 1].astype(np.float32) for each in inputs]

    converter.representative_dataset = samples
    kinds = tf.lite.OpsSet
    wanted = kinds.TFLITE_BUILTINS_INT8
    if precision == "int16x8":
        wanted = kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [wanted, kinds.TFLITE_BUILTINS]


def calibration(network: Network, model: Any, rng: np.random.Generator) -> list[Array]:
    """Rows that whole numbers are calibrated with: of the documented range, and its corners.

    Without the corners, values that the range allows lie outside of what the rows reached, and are cut.

    Args:
        network: which documents the range.
        model: whose inputs they are.
        rng: draws them.
    """
    if network.input_range is None or len(model.inputs) > 1:
        return [rng.standard_normal((CALIBRATION_ROWS, *_known(tensor.shape[1:]))) for tensor in model.inputs]
    low, high = network.input_range.T
    inside = rng.uniform(low, high, (CALIBRATION_ROWS, len(low)))
    corners = np.where(rng.random((CALIBRATION_ROWS, len(low))) < 0.5, low, high)
    return [np.concatenate([inside, corners, [low, high]])]


def _known(shape: Sequence[int | None]) -> list[int]:
    return [8 if size is None else int(size) for size in shape]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what the converter prints on the way, to either stream, also from below Python."""
    kept = [os.dup(number) for number in (1, 2)]
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for number in (1, 2):
                os.dup2(nothing.fileno(), number)
            yield
        finally:
            for number, own in zip((1, 2), kept, strict=True):
                os.dup2(own, number)
                os.close(own)
