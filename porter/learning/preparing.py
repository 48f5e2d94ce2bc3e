"""What a training is made of, and everything that is checked before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.learning import checks
from porter.learning.data import Chosen, Data, load_data
from porter.learning.plan import Plan
from porter.learning.run_folder import RunFolder
from porter.learning.splits import Split, split_rows
from porter.learning.start import Start, check_ends, open_start
from porter.learning.units import convert

Array = NDArray[Any]

TRAINABLE = ("float32", "float64", "mixed_float16", "mixed_bfloat16")


@dataclass
class Tuned:
    """What came of a training.

    Attributes:
        model: keras.Model, with the best weights where training may stop early.
        history: name of each loss and metric to its value after each epoch.
        epoch: numbers of the epochs, from 0.
        best_epoch: whose weights the model has, counted as in ``epoch``.
        stopped_epoch: the last one where training stopped early; None where all were run.
        frozen: names of the layers that were to stay.
        moved: those of them that did not: none, or something is wrong.
        problems: what was noticed in the data, one sentence each.
        data: the rows, in the model's units.
        split: which part each belongs to.
        report: how far the model has moved, a ``porter.Report``.
        run: the run folder, or None.
    """

    model: Any
    history: dict[str, list[float]]
    epoch: list[int]
    best_epoch: int
    stopped_epoch: int | None
    frozen: tuple[str, ...]
    moved: tuple[str, ...]
    problems: tuple[str, ...]
    data: Data
    split: Split
    report: Any = None
    run: Path | None = None


@dataclass(frozen=True)
class Training:
    """One training on its way.

    Attributes:
        start: the model and what is known about it.
        data: in the model's units.
        split: of its rows.
        plan: how it is trained.
        problems: of the data.
        folder: of the run, or None.
        callbacks: the user's own.
        progress: whether a bar is shown.
        tensorboard: whether events are written.
    """

    start: Start
    data: Data
    split: Split
    plan: Plan
    problems: tuple[str, ...] = ()
    folder: RunFolder | None = None
    callbacks: Sequence[Any] = field(default=())
    progress: bool = False
    tensorboard: bool = False

    def part(self, name: str) -> tuple[Array, Array]:
        """Inputs and targets of a part, in the dtypes that the model takes and gives."""
        rows = self.split.parts()[name]
        dtypes = self.start.model.inputs[0].dtype, self.start.model.outputs[0].dtype
        return self.data.inputs[rows].astype(dtypes[0]), self.data.targets[rows].astype(dtypes[1])


def prepare(
    model: Any,
    data: Any,
    plan: Plan,
    *,
    inputs: Chosen = None,
    targets: Chosen = None,
    group: str | int | None = None,
    units: str = "model",
    legacy: Any = None,
    placement: str | None = None,
    drop_missing: bool = False,
    **reading: Any,
) -> Training:
    """Everything that is checked before anything is trained; the arguments are those of ``finetune``."""
    start = open_start(model, legacy=legacy, placement=placement, **reading)
    _check_model(start.model)
    samples = load_data(data, _widths(start.model), inputs=inputs, targets=targets, group=group)
    problems = []
    if drop_missing:
        samples, dropped = checks.drop_missing(samples)
        problems += [f"{dropped:,} rows with missing numbers were left out"] if dropped else []
    _check_shape(start.model, samples)
    samples = convert(samples, units, start.ends)
    seen = checks.seen_by(samples, (start.model.inputs[0].dtype, start.model.outputs[0].dtype))
    found = [*checks.check_data(samples, start.limits), *checks.check_range_of_dtype(samples, seen)]
    checks.refuse(found, samples.source)
    split = split_rows(samples, validation=plan.validation, test=plan.test, seed=plan.seed)
    found += checks.check_split(seen, split)
    checks.refuse(found, samples.source)
    return Training(start, samples, split, plan, (*problems, *(problem.text for problem in found)))


def _check_model(model: Any) -> None:
    check_ends(model, remedy="train it with model.fit")
    policies = {layer.dtype_policy.name for layer in model.layers if layer.weights}
    odd = sorted(policies - set(TRAINABLE))
    if odd:
        raise UsageError(
            "the model", found=f"layers of {', '.join(odd)}", expected=f"one of {', '.join(TRAINABLE)}",
            remedy="tune it in float32 and compress it afterwards (porter compress)",
        )  # fmt: skip


def _widths(model: Any) -> tuple[int, int]:
    shapes = model.inputs[0].shape[1:], model.outputs[0].shape[1:]
    return tuple(int(np.prod([1 if n is None else n for n in shape])) for shape in shapes)  # type: ignore[return-value]


def _check_shape(model: Any, data: Data) -> None:
    for what, array, shape in (
        ("inputs", data.inputs, model.inputs[0].shape[1:]),
        ("targets", data.targets, model.outputs[0].shape[1:]),
    ):
        fits = len(array.shape) == len(shape) + 1
        if not fits or any(wanted not in (None, n) for n, wanted in zip(array.shape[1:], shape, strict=True)):
            raise UsageError(
                f"data {data.source}: {what}", found=f"rows of shape {array.shape[1:]}", expected=f"{tuple(shape)}"
            )
