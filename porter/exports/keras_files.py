"""What people keep of a Keras model beside .keras: SavedModel, checkpoint, weights, HDF5, JSON with weights."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from functools import singledispatch
from pathlib import Path
from typing import Any

from porter.errors import PortError, UnbuildableError, first_line
from porter.exports.names import checkpoint_prefix
from porter.exports.registry import Format, WriteOptions, register
from porter.network import Dense, Network
from porter.network.graph import KerasNetwork

WEIGHTS = ".weights.h5"
ENDINGS = {
    "gelu_tanh": "_gelu_tanh", "hard_sigmoid_keras2": "_clip", "logistic_table": "_table", "scaled_tanh": "_amplitude",
    "cut_sigmoid": "_cut", "rational": "_rational", "table": "_table",
}  # fmt: skip
"""Of the last layer's name, where Keras has no such activation and layers of its own come behind the dense one."""


def _model(network: Network, options: WriteOptions) -> Any:
    from porter.ports.keras.build import build

    return build(network, dtype=options.precision or "float32")


def _write_saved_model(network: Network, path: Path, options: WriteOptions) -> None:
    from porter.ports.keras.saved_model import write_saved_model

    model = _model(network, options)
    with _quietly():
        write_saved_model(model, steps_of(network, model), path)


def steps_of(network: Network, model: Any) -> dict[str, Any]:
    """The tensor of a port of each legacy step that is no output of it, by name."""
    ends = {id(tensor) for tensor in model.outputs}
    return {name: tensor for name, tensor in _tensors(network, model).items() if id(tensor) not in ends}


@singledispatch
def _tensors(network: Network, model: Any) -> dict[str, Any]:
    made = {each.name: each.output for each in model.layers}
    return {name: made[last] for name, last in _last_layers(network).items() if last in made}


@_tensors.register(KerasNetwork)
def _(network: KerasNetwork, model: Any) -> dict[str, Any]:
    from porter.ports.keras.graph_model import pairs

    return pairs(network, model)


def _open_saved_model(path: Path, *, trusted: bool) -> Any:
    from porter.ports.keras.saved_model import open_saved_model

    return open_saved_model(path, trusted=trusted)


def _is_saved_model(path: Path) -> bool:
    return path.is_dir() and (path / "saved_model.pb").is_file()


def _last_layers(network: Network) -> dict[str, str]:
    """The last of the Keras layers that make each step, by the step's name."""
    activations = {layer.name: layer.activation.name for layer in network.layers if isinstance(layer, Dense)}
    endings = {name: ENDINGS[activation] for name, activation in activations.items() if activation in ENDINGS}
    return {layer.name: layer.name + endings.get(layer.name, "") for layer in network.layers}


def _write_checkpoint(network: Network, path: Path, options: WriteOptions) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(model=_model(network, options)).write(str(path))


def _open_checkpoint(path: Path, *, trusted: bool) -> Any:
    from porter.ports.keras.stored import open_checkpoint

    del trusted
    return open_checkpoint(checkpoint_prefix(path) or path)


def _write_weights(network: Network, path: Path, options: WriteOptions) -> None:
    with _quietly():
        _model(network, options).save_weights(path)


def _open_weights(path: Path, *, trusted: bool) -> Any:
    from porter.ports.keras.stored import open_weights

    del trusted
    return open_weights(path)


def _write_h5(network: Network, path: Path, options: WriteOptions) -> None:
    import keras

    model = _model(network, options)
    bare = [operation.name for operation in model.operations if not isinstance(operation, keras.layers.Layer)]
    if bare:
        raise UnbuildableError(
            f"{network.name} as HDF5", found=f"operations that Keras loses in .h5: {', '.join(bare)}",
            expected="layers alone", remedy="write a .keras file with porter port",
        )  # fmt: skip
    with _quietly():
        model.save(path)


def _open_model(path: Path, *, trusted: bool) -> Any:
    from porter.ports.keras.graph import read_port

    del trusted
    return read_port(path)


def _write_json(network: Network, path: Path, options: WriteOptions) -> None:
    model = _model(network, options)
    path.write_text(model.to_json(), encoding="utf-8")
    with _quietly():
        model.save_weights(beside(path))


def beside(path: Path) -> Path:
    """The weights of an architecture in JSON: as porter names them, or as people do."""
    own, usual = path.with_name(f"{path.name}{WEIGHTS}"), path.with_name(f"{path.stem}{WEIGHTS}")
    return usual if usual.is_file() and not own.is_file() else own


def _open_json(path: Path, *, trusted: bool) -> Any:
    import keras

    from porter.ports.keras.stored import open_weights

    del trusted
    if not beside(path).is_file():
        raise PortError(
            f"the port {path}", found=f"no {beside(path).name} beside it", expected="the weights of the architecture",
            remedy="model.save_weights writes them",
        )  # fmt: skip
    stored = open_weights(beside(path))
    try:
        model = keras.models.model_from_json(path.read_text(encoding="utf-8"))
        stored.load(model)
    except Exception as error:  # Keras' own kinds
        raise PortError(
            f"the port {path}", found=f"Keras {keras.__version__} cannot read it: {first_line(error)}",
            expected="an architecture of Keras 3, and its weights",
        ) from error  # fmt: skip
    return model


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what Keras and TensorFlow print, or log, of formats that were asked for."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


PRECISIONS = ("float32", "float64")
SAVED_MODEL = register(
    Format(
        "saved_model", "", "SavedModel, for TensorFlow Serving", _write_saved_model, opens=_open_saved_model,
        is_opened=_is_saved_model, precisions=PRECISIONS,
    )
)  # fmt: skip
H5 = register(
    Format(
        "h5", ".h5", "a whole Keras model in HDF5", _write_h5, opens=_open_model, precisions=PRECISIONS,
    )
)  # fmt: skip
KEPT_WEIGHTS = register(
    Format(
        "weights", WEIGHTS, "the weights of a Keras model alone", _write_weights, opens=_open_weights,
        precisions=PRECISIONS,
    )
)  # fmt: skip
CHECKPOINT = register(
    Format(
        "checkpoint", ".ckpt", "a TensorFlow checkpoint", _write_checkpoint, opens=_open_checkpoint,
        precisions=PRECISIONS,
    )
)  # fmt: skip
JSON = register(
    Format(
        "json", ".json", "the architecture in JSON, and its .weights.h5 beside it", _write_json, opens=_open_json,
        precisions=PRECISIONS,
    )
)  # fmt: skip
