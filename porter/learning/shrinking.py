"""Ways to make a network smaller, each of which gives a model of Keras' own layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.learning.chain import Chain, rebuild
from porter.network import Dense

Array = NDArray[Any]

STUDENT_PATIENCE = 4
"""How many times as long a network of new weights learns."""
RIDGE = 1e-10
"""Of the mean square of a unit: keeps the least squares of units that depend on each other apart."""


@dataclass(frozen=True)
class Lesson:
    """What a smaller network learns from: the larger one.

    Attributes:
        inputs: (rows, ...) of the documented range and of the samples.
        outputs: (rows, ...) what the larger network gives.
        spans: (outputs,) their ranges.
        epochs: of training after each change.
        seed: of the order of the rows and of new weights.
    """

    inputs: Array
    outputs: Array
    spans: Array
    epochs: int
    seed: int


def pruned(chain: Chain, share: float, lesson: Lesson) -> dict[str, Dense | None]:
    """Leave out the units that matter least, and fit what takes their outputs to do without them.

    A unit matters by how much it varies times what takes it. Each next layer is fitted by least squares to the
    preactivations that it had, from the units that are left.

    Args:
        chain: of the larger network.
        share: of the units of each hidden layer that go.
        lesson: whose inputs show how units vary.
    """
    found: dict[str, Dense | None] = {}
    for run in chain.runs:
        if len(run) < 2:
            continue
        layers = [chain.dense(name) for name in run]
        fed = _fed_to(chain, run[0], lesson.inputs)
        full = less = fed
        kept = np.arange(fed.shape[1])
        for place, layer in enumerate(layers):
            wanted = full @ layer.kernel.astype(np.float64) + (0 if layer.bias is None else layer.bias)
            fitted = layer if place == 0 else _fitted(layer, less, wanted)
            full = layer.activation(wanted)
            kept = np.arange(wanted.shape[1])
            if place < len(layers) - 1:
                matters = full.std(axis=0) * np.linalg.norm(layers[place + 1].kernel, axis=1)
                count = max(1, round((1 - share) * len(matters)))
                kept = np.sort(np.argsort(-matters, kind="stable")[:count])
            bias = None if fitted.bias is None else fitted.bias[kept]
            found[layer.name] = replace(fitted, kernel=fitted.kernel[:, kept], bias=bias)
            less = layer.activation(less @ fitted.kernel[:, kept] + (0 if bias is None else bias))
    return found


def _fed_to(chain: Chain, name: str, inputs: Array) -> Array:
    """(rows, n) float64: what a layer is fed with."""
    import keras

    layer = chain.model.get_layer(name)
    part = keras.Model(chain.model.inputs[0], layer.input)
    return np.asarray(part(inputs), np.float64)


def _fitted(layer: Dense, given: Array, wanted: Array) -> Dense:
    """The layer that comes nearest to the preactivations wanted from what it is given now."""
    columns = np.hstack([given, np.ones((len(given), 1))]) if layer.bias is not None else given
    size = np.sqrt(RIDGE * np.mean(columns**2) * len(columns))
    regular = np.vstack([columns, size * np.eye(columns.shape[1])])
    target = np.vstack([wanted, np.zeros((columns.shape[1], wanted.shape[1]))])
    solved = np.linalg.lstsq(regular, target, rcond=None)[0]
    return replace(layer, kernel=solved[: given.shape[1]], bias=None if layer.bias is None else solved[-1])


def thinned(model: Any, share: float, lesson: Lesson) -> Any:
    """Set the smallest weights of every kernel to zero, and train the others on."""
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    masks: list[tuple[Any, Array]] = []
    for layer in copy.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            values = np.asarray(kernel)
            masks.append((kernel, np.abs(values) > np.quantile(np.abs(values), share)))

    class KeepZeros(keras.callbacks.Callback):  # type: ignore[misc]
        """Zeros stay zeros."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for kernel, mask in masks:
                kernel.assign(kernel * mask)

    KeepZeros().on_train_batch_end(0)
    teach(copy, lesson, [KeepZeros()])
    return copy


def student_of(chain: Chain, share: float, lesson: Lesson) -> Any:
    """A network of the same layers with fewer hidden units and new weights."""
    arrays: dict[str, Dense | None] = {}
    rng = np.random.default_rng(lesson.seed)
    for run in chain.runs:
        layers = [chain.dense(name) for name in run]
        width = layers[0].kernel.shape[0]
        for place, layer in enumerate(layers):
            units = layer.kernel.shape[1] if place == len(layers) - 1 else max(1, round(share * layer.kernel.shape[1]))
            limit = np.sqrt(6 / (width + units))
            bias = None if layer.bias is None else np.zeros(units)
            arrays[layer.name] = replace(layer, kernel=rng.uniform(-limit, limit, (width, units)), bias=bias)
            width = units
    return rebuild(chain, arrays)


def _scaled(model: Any, spans: Array, shape: Sequence[int | None]) -> Any:
    """The model with outputs over their ranges, so that each counts alike; its weights are the model's own."""
    import keras

    inputs = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype)
    scale = (1 / spans).reshape([1 if n is None else n for n in shape])
    return keras.Model(inputs, keras.layers.Rescaling(scale, dtype="float32")(model(inputs)))


def teach(model: Any, lesson: Lesson, callbacks: Sequence[Any] = ()) -> None:
    """Train a network on what the larger one gives, by the mean squared error of outputs over their ranges."""
    from porter.learning.callbacks import Batches, Order

    if not lesson.epochs:
        return
    wrapped = _scaled(model, lesson.spans, model.outputs[0].shape[1:])
    targets = (lesson.outputs / lesson.spans.reshape(lesson.outputs.shape[1:])).astype(np.float32)
    batches = Batches(lesson.inputs, targets, 128, lesson.seed)
    wrapped.compile(optimizer=_optimizer(len(batches) * lesson.epochs), loss="mse", jit_compile=False)
    wrapped.fit(batches, epochs=lesson.epochs, verbose=0, shuffle=False, callbacks=[Order(batches), *callbacks])


def distilled(chain: Chain, share: float, lesson: Lesson) -> Any:
    """A smaller student of new weights, taught by Keras' distiller.

    The loss is the mean squared error at temperature 1: Keras' default softens what it takes for logits, which wrecks
    regression.
    """
    import keras

    from porter.learning.callbacks import Batches, Order

    student = student_of(chain, share, lesson)
    if not lesson.epochs:
        return student
    shape = student.outputs[0].shape[1:]
    teacher = keras.models.clone_model(chain.model)
    teacher.set_weights(chain.model.get_weights())
    distiller = keras.distillation.Distiller(
        teacher=_scaled(teacher, lesson.spans, shape),
        student=_scaled(student, lesson.spans, shape),
        distillation_losses=keras.distillation.LogitsDistillation(temperature=1.0, loss="mse"),
        student_loss_weight=0.0,
    )
    targets = (lesson.outputs / lesson.spans.reshape(lesson.outputs.shape[1:])).astype(np.float32)
    batches = Batches(lesson.inputs, targets, 128, lesson.seed)
    epochs = STUDENT_PATIENCE * lesson.epochs
    distiller.compile(optimizer=_optimizer(len(batches) * epochs), loss="mse", jit_compile=False)
    distiller.fit(batches, epochs=epochs, verbose=0, shuffle=False, callbacks=[Order(batches)])
    return student


def _optimizer(steps: int) -> Any:
    """Adam with a rate that falls to zero by the last step."""
    import keras

    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps))


def in_float16(model: Any) -> Any:
    """Weights and products of the layers with weights in half precision; scaling stays as it is."""
    return _cloned(model, lambda config: config | {"dtype": "float16"})


def in_int8(model: Any) -> Any:
    """Weights in eight bits, one scale a unit; the arithmetic stays as it is."""
    from keras import quantizers

    copy = _cloned(model, lambda config: config)
    config = quantizers.Int8QuantizationConfig(quantizers.AbsMaxQuantizer(axis=0), activation_quantizer=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # layers without weights have nothing to quantize, and say so
        copy.quantize("int8", config=config)
    return copy


def _cloned(model: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    import keras

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        return type(layer).from_config(change(config) if layer.weights else config)

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy
