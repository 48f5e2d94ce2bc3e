"""A search for how to train: KerasTuner's tuners on one port and one set of data, the best trained and reported."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import UsageError
from porter.learning import run_folder
from porter.learning.data import Chosen
from porter.learning.errors import RunError, missing
from porter.learning.freezing import Freeze, freeze, layers_of
from porter.learning.plan import SCHEDULES, Plan, compile_model, read_plan
from porter.learning.preparing import Training, Tuned, prepare
from porter.learning.results import write_report
from porter.learning.training import VALIDATION_BATCH, begin_run, open_run, resume_run, train
from porter.progress import tell

Space = Callable[[Any], Mapping[str, Any]]

TUNERS = ("random", "hyperband", "bayesian")
NEEDED = {"bayesian": ("scipy", "sklearn")}
"""What a tuner needs beside KerasTuner."""
PACKAGES = {"keras_tuner": "keras-tuner", "sklearn": "scikit-learn"}
"""Names of distributions, where a module has another."""
BATCHES, DECAYS = (16, 32, 64, 128), (0.0, 1e-5, 1e-4, 1e-3)
RATES = (1e-4, 1e-2)
RESULT = "result.json"
"""In the folder of a trial: its values, and the best validation loss."""


@dataclass(frozen=True)
class Trial:
    """One way of training that was tried.

    Attributes:
        name: that the tuner gave it.
        values: what was varied.
        loss: the best validation loss; None where it failed.
        epochs: for how many epochs at most.
        status: "COMPLETED", "FAILED" or "INVALID".
    """

    name: str
    values: Mapping[str, Any]
    loss: float | None
    epochs: int
    status: str


@dataclass
class Searched:
    """What came of a search.

    Attributes:
        trials: best first.
        plan: the best of them, with which the result was trained.
        tuned: the result.
    """

    trials: tuple[Trial, ...]
    plan: Plan
    tuned: Tuned


def search(
    model: Any = None,
    data: Any = None,
    *,
    run: str | Path,
    output: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    tuner: str = "random",
    trials: int = 20,
    space: Space | None = None,
    freeze: Freeze = None,
    epochs: int = 50,
    patience: int = 10,
    validation: float = 0.2,
    test: float = 0.1,
    loss: str = "mse",
    seed: int = 0,
    inputs: Chosen = None,
    targets: Chosen = None,
    group: str | int | None = None,
    units: str = "model",
    legacy: Any = None,
    placement: str | None = None,
    drop_missing: bool = False,
    progress: bool = False,
    **reading: Any,
) -> Searched:
    """Search for how a port is trained on best, train it so, and report how far it moved.

    Args:
        model: as ``finetune`` takes it.
        data: as ``finetune`` takes them.
        run: the folder of the search; its trials are kept there, and a search that was interrupted goes on.
        output: where the best is saved.
        resume: go on with the search in ``run``; then neither model nor data are given.
        force: replace an existing output and search.
        tuner: of ``TUNERS``.
        trials: how many at most; hyperband decides by its brackets, from the epochs.
        space: takes KerasTuner's hyperparameters and gives values of ``Plan``, by name; None for learning rate,
            schedule, frozen depth, batch size and weight decay.
        freeze: what stays in every trial; then the frozen depth is not searched.
        epochs: of a trial, at most.
        patience: epochs without a better validation loss after which a trial ends.
        validation: share of the rows that the trials are compared on.
        test: share of the rows held out, which no trial sees.
        loss: a name.
        seed: of the split, of the tuner and of training.
        inputs: names or positions of the input columns.
        targets: names or positions of the target columns.
        group: the column whose equal values keep rows on one side of the split.
        units: of the data.
        legacy: the legacy network, for its ranges and units.
        placement: where the port has the scaling.
        drop_missing: leave rows with missing numbers out.
        progress: show a bar while the best is trained.
        **reading: options of ``porter.read``.

    Raises:
        MissingExtraError: KerasTuner is not installed.
        UsageError: options that cannot be meant.
        DataError: data that nothing sensible can follow from.
        RunError: a search that cannot be resumed.
    """
    _check_installed(("keras_tuner",))
    place = Path(run)
    if resume:
        return _go_on(place, space, progress)
    if tuner not in TUNERS:
        raise UsageError("tuner", found=repr(tuner), expected=f"one of {', '.join(TUNERS)}")
    _check_installed(NEEDED.get(tuner, ()))
    if trials < 1:
        raise UsageError("trials", found=str(trials), expected="at least 1")
    if model is None or data is None or validation == 0:
        raise UsageError("search", found="no model, no data or no validation rows", expected="all of them")
    kept = freeze if freeze is None or isinstance(freeze, str) else tuple(freeze)
    plan = Plan(freeze=kept, epochs=epochs, patience=patience, validation=validation, test=test, loss=loss, seed=seed)
    training = prepare(
        model, data, plan, inputs=inputs, targets=targets, group=group, units=units, legacy=legacy,
        placement=placement, drop_missing=drop_missing, **reading,
    )  # fmt: skip
    target = None if output is None else Path(output)
    if target is not None:
        from porter.jobs.saving import check_output

        check_output(target, force=force)
    more = {"search": {"tuner": tuner, "trials": trials, "own_space": space is not None}}
    training = replace(training, progress=progress)
    folder = begin_run(place, training, target, reading, force, more)
    training = replace(training, folder=folder)
    return _search(training, tuner, trials, space, target, force=force)


def _check_installed(packages: Sequence[str]) -> None:
    """That the extra is there, all of it."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise missing(PACKAGES.get(package, package), "search", "porter search")


def _go_on(place: Path, space: Space | None, progress: bool) -> Searched:
    """Take up a search where it was interrupted."""
    folder, config = run_folder.read_config(place)
    if "search" not in config:
        raise RunError(f"run {place}", found="a training", expected="a search", remedy="porter finetune --resume")
    if config["search"]["own_space"] and space is None:
        raise RunError(f"search {place}", found="no space", expected="the function that it was begun with: space=")
    _check_installed(NEEDED.get(config["search"]["tuner"], ()))
    start, data, split = open_run(folder, config)
    training = Training(
        start, data, split, read_plan(config["plan"]), tuple(config["problems"]), folder, (), progress, False
    )
    output = None if config["output"] is None else Path(config["output"])
    return _search(training, config["search"]["tuner"], config["search"]["trials"], space, output, force=True)


def _search(
    training: Training, tuner: str, trials: int, space: Space | None, output: Path | None, *, force: bool
) -> Searched:
    folder = training.folder
    assert folder is not None
    names = [name for name, layer in layers_of(training.start.model).items() if layer.trainable_weights]
    chosen = space if space is not None else _usual_space(training.plan, names)
    with _quiet_tuner():
        made = _make_tuner(training, tuner, trials, chosen)
        try:
            made.search()
        except RuntimeError as error:  # three trials that failed, one after the other
            raise _all_failed(str(error).strip().splitlines()[-1]) from error
        found = [trial for trial in made.oracle.get_best_trials(1) if trial.status == "COMPLETED"]
    told = _told(made, training.plan)
    if not found:
        raise _all_failed("no trial that came to an end")
    plan = _planned(training.plan, chosen(found[0].hyperparameters))
    tell("training the best")
    tuned = _train_best(training, plan, output, force=force)
    if tuned.report is not None:
        tuned.report = replace(tuned.report, trials=told)
        write_report(folder, tuned)
    return Searched(told, plan, tuned)


def _all_failed(found: str) -> RunError:
    return RunError("the search", found=found, expected="trials that come to an end",
                    remedy="look at the trials in the run folder; narrow the space, or lower the rates")  # fmt: skip


def _usual_space(plan: Plan, names: Sequence[str]) -> Space:
    def space(hp: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "learning_rate": hp.Float("learning_rate", *RATES, sampling="log"),
            "schedule": hp.Choice("schedule", SCHEDULES),
            "batch_size": hp.Choice("batch_size", BATCHES),
            "weight_decay": hp.Choice("weight_decay", DECAYS),
        }
        if plan.freeze is None and len(names) > 1:
            values["freeze"] = tuple(names[: hp.Int("frozen_layers", 0, len(names) - 1)])
        return values

    return space


def _planned(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """The plan with the values of a trial.

    Raises:
        UsageError: a name that no plan has.
    """
    if not isinstance(values, Mapping):
        raise UsageError("space", found=repr(values), expected="a function that gives names and values")
    odd = sorted(set(values) - set(plan.as_dict()))
    if odd:
        raise UsageError("space", found=", ".join(odd), expected=f"names among {', '.join(plan.as_dict())}")
    return replace(plan, **values)


def _make_tuner(training: Training, tuner: str, trials: int, space: Space) -> Any:
    import keras
    import keras_tuner

    class Ways(keras_tuner.HyperModel):  # type: ignore[misc]
        """The port as it was, compiled and trained as the trial has it."""

        def build(self, hp: Any) -> Any:
            plan = _planned(training.plan, space(hp))
            model = keras.models.clone_model(training.start.model)
            model.set_weights(training.start.model.get_weights())
            freeze(model, plan.freeze)
            compile_model(model, plan, -(-len(training.split.train) // plan.batch_size))
            # Hyperband goes on from a trial's checkpoint, which Keras loads into an optimizer that is built alone.
            model.optimizer.build(model.trainable_variables)
            return model

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> float:
            return _fit_trial(training, _planned(training.plan, space(hp)), model, kwargs)

    assert training.folder is not None
    # KerasTuner takes a seed of 0 for none.
    how: dict[str, Any] = {"objective": keras_tuner.Objective("val_loss", "min"), "seed": training.plan.seed + 1}
    how |= {"directory": str(training.folder.path), "project_name": "trials", "overwrite": False}
    how |= {"max_epochs": training.plan.epochs} if tuner == "hyperband" else {"max_trials": trials}
    kinds = {"random": keras_tuner.RandomSearch, "hyperband": keras_tuner.Hyperband}
    return _remembering(kinds.get(tuner, keras_tuner.BayesianOptimization))(Ways(), **how)


def _remembering(kind: Any) -> Any:
    """A tuner that draws its trials from the beginning and looks up the losses of those that came to an end.

    What KerasTuner stores of itself is not taken up: the random state of its Bayesian search is not in it, nor is the
    order of the trials, and a kill between two of its files leaves a trial that nobody runs.
    """

    class Remembering(kind):  # type: ignore[misc]
        def save(self) -> None:
            """Without its own file KerasTuner begins anew."""

        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            """The best validation loss."""
            record = Path(self.get_trial_dir(trial.trial_id)) / RESULT
            values = trial.hyperparameters.values
            known = _known_loss(record, values)
            if known is None:
                known = float(super().run_trial(trial, *args, **kwargs)[0])
                run_folder.write_text(record, json.dumps({"values": values, "val_loss": known}))
            return known

    return Remembering


def _known_loss(record: Path, values: Mapping[str, Any]) -> float | None:
    """What a trial of the same values came to; None where it never ended, or was another."""
    try:
        stored = json.loads(record.read_text(encoding="utf-8"))
        return float(stored["val_loss"]) if stored["values"] == json.loads(json.dumps(values)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fit_trial(training: Training, plan: Plan, model: Any, given: Mapping[str, Any]) -> float:
    """The best validation loss; NaN where no epoch had one."""
    import keras

    from porter.learning.callbacks import Batches, Order, sow

    sow(model, plan.seed)
    batches = Batches(*training.part("train"), plan.batch_size, plan.seed)
    callbacks = [Order(batches), *given.get("callbacks", ())]
    if plan.patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=plan.patience))
    history = model.fit(
        batches, epochs=given.get("epochs", plan.epochs), initial_epoch=given.get("initial_epoch", 0), verbose=0,
        shuffle=False, callbacks=callbacks, validation_data=training.part("validation"),
        validation_batch_size=VALIDATION_BATCH,
    ).history["val_loss"]  # fmt: skip
    return float(np.nanmin(history)) if np.isfinite(history).any() else float("nan")


@contextmanager
def _quiet_tuner() -> Iterator[None]:
    """KerasTuner prints what it does on standard output, where the result belongs."""
    from contextlib import redirect_stdout
    from io import StringIO

    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _told(tuner: Any, plan: Plan) -> tuple[Trial, ...]:
    found = []
    for name, trial in tuner.oracle.trials.items():
        values = {key: value for key, value in trial.hyperparameters.values.items() if not key.startswith("tuner/")}
        epochs = int(trial.hyperparameters.values.get("tuner/epochs", plan.epochs))
        loss = None if trial.score is None else float(trial.score)
        found.append(Trial(str(name), values, loss, epochs, str(trial.status)))
    return tuple(sorted(found, key=lambda one: (one.loss is None, one.loss if one.loss is not None else 0.0, one.name)))


def _train_best(training: Training, plan: Plan, output: Path | None, *, force: bool) -> Tuned:
    """Train as the best trial was, in a run of its own, which goes on where it was interrupted."""
    import keras

    folder = training.folder
    assert folder is not None
    place = folder.path / "best"
    if (place / "config.json").exists():
        return resume_run(place, progress=training.progress)
    model = keras.models.clone_model(training.start.model)
    model.set_weights(training.start.model.get_weights())
    best = replace(training, start=replace(training.start, model=model), plan=plan)
    target = output if output is not None else folder.tuned
    best = replace(best, folder=begin_run(place, best, target, {}, True, {}))
    return train(best, target, force=force or output is None)
