"""How a model is trained, as plain data; and what Keras is asked for with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from porter.errors import UsageError

SCHEDULES = ("inverse_time", "cosine", "constant")


@dataclass(frozen=True)
class Plan:
    """Everything that decides how training goes, beside the model and the data.

    Attributes:
        freeze: what stays, as ``porter.learning.freezing.freeze`` takes it.
        epochs: at most.
        batch_size: rows of a batch.
        optimizer: a name that Keras knows, or the configuration of an optimizer.
        learning_rate: at the beginning.
        schedule: of ``SCHEDULES``.
        decay_epochs: after how many epochs an inverse-time rate is halved; a quarter of all epochs where None.
        weight_decay: decoupled from the gradient, a step; None for none.
        loss: a name that Keras knows, or the configuration of a loss.
        metrics: names that Keras knows.
        patience: epochs without a better validation loss after which training stops, and the best weights are restored;
            0 for all epochs and the last weights.
        validation: share of the rows that decide when to stop.
        test: share of the rows held out.
        seed: of the split, of the order of the rows, and of dropout.
    """

    freeze: str | tuple[str, ...] | None = None
    epochs: int = 100
    batch_size: int = 32
    optimizer: Any = "adam"
    learning_rate: float = 1e-3
    schedule: str = "inverse_time"
    decay_epochs: float | None = None
    weight_decay: float | None = None
    loss: Any = "mse"
    metrics: tuple[str, ...] = ("mae",)
    patience: int = 20
    validation: float = 0.2
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise UsageError(name, found=str(value), expected=f"a whole number, at least {least}")
            object.__setattr__(self, name, int(value))  # JSON takes none of NumPy's
        for name, positive in (("learning_rate", True), ("decay_epochs", True), ("weight_decay", False)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _number(name, value, positive))
        if self.schedule not in SCHEDULES:
            raise UsageError("schedule", found=repr(self.schedule), expected=f"one of {', '.join(SCHEDULES)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def _number(name: str, value: Any, positive: bool) -> float:
    is_number = isinstance(value, int | float | np.number)
    if not is_number or not 0 <= value < math.inf or (positive and value == 0):
        remedy = "a schedule of your own goes into optimizer=" if name == "learning_rate" else None
        expected = f"a finite number, {'more than' if positive else 'at least'} 0"
        raise UsageError(name, found=str(value), expected=expected, remedy=remedy)
    return float(value)


def read_plan(stored: Mapping[str, Any]) -> Plan:
    """The plan that ``as_dict`` wrote."""
    known = {field.name for field in fields(Plan)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return Plan(**{name: value for name, value in values.items() if name in known})


def plain_loss(loss: Any) -> Any:
    """A loss as plain data where Keras can say it so; else the function itself, which no run folder can hold."""
    import keras

    if isinstance(loss, str | dict):
        return loss
    try:
        return keras.losses.serialize(loss)
    except (TypeError, ValueError):
        return loss


def plain_optimizer(optimizer: Any) -> Any:
    """An optimizer as plain data."""
    import keras

    return optimizer if isinstance(optimizer, str | dict) else keras.optimizers.serialize(optimizer)


def make_optimizer(plan: Plan, steps: int) -> Any:
    """Keras' optimizer with its schedule.

    Args:
        plan: of the training.
        steps: of one epoch.

    Raises:
        UsageError: Keras knows no such optimizer.
    """
    import keras

    if isinstance(plan.optimizer, dict):
        return keras.optimizers.deserialize(plan.optimizer)
    try:
        kind = type(keras.optimizers.get(plan.optimizer))
    except (ValueError, TypeError) as error:
        raise UsageError("optimizer", found=repr(plan.optimizer), expected="a name that Keras knows: adam, sgd, ..."
        ) from error  # fmt: skip
    more = {} if plan.weight_decay is None else {"weight_decay": plan.weight_decay}
    return kind(learning_rate=_rate(plan, steps), **more)


def _rate(plan: Plan, steps: int) -> Any:
    import keras

    schedules = keras.optimizers.schedules
    if plan.schedule == "inverse_time":
        epochs = plan.epochs / 4 if plan.decay_epochs is None else plan.decay_epochs
        return schedules.InverseTimeDecay(plan.learning_rate, decay_steps=max(1.0, steps * epochs), decay_rate=1.0)
    if plan.schedule == "cosine":
        return schedules.CosineDecay(plan.learning_rate, decay_steps=steps * plan.epochs)
    return plan.learning_rate


def compile_model(model: Any, plan: Plan, steps: int) -> None:
    """Compile as planned.

    Raises:
        UsageError: Keras knows no such loss or metric.
    """
    import keras

    try:
        loss = keras.losses.deserialize(plan.loss) if isinstance(plan.loss, dict) else plan.loss
        if isinstance(loss, str):
            keras.losses.get(loss)
        for metric in plan.metrics:
            keras.metrics.get(metric)
    except (ValueError, TypeError) as error:
        told = f"{plan.loss!r}, {', '.join(plan.metrics)}"
        raise UsageError("loss or metrics", found=told, expected="names that Keras knows: mse, mae, ...") from error
    optimizer = make_optimizer(plan, steps)
    # Compiled by XLA, small models take seconds more to start and no fewer to train.
    model.compile(optimizer=optimizer, loss=loss, metrics=list(plan.metrics), jit_compile=False)
