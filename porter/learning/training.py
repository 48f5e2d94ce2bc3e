"""Fine-tuning: Keras' own parts, put together so that nothing is lost, leaked or forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import UsageError
from porter.learning import run_folder
from porter.learning.data import Chosen, Data
from porter.learning.errors import RunError, missing
from porter.learning.freezing import Freeze, freeze, moved, snapshot
from porter.learning.plan import Plan, compile_model, plain_loss, plain_optimizer, read_plan
from porter.learning.preparing import Training, Tuned, prepare
from porter.learning.results import make_report, make_result, write_results
from porter.learning.run_folder import RunFolder
from porter.learning.splits import Split
from porter.learning.start import Start, open_start
from porter.progress import tell

VALIDATION_BATCH = 4096


def finetune(
    model: Any = None,
    data: Any = None,
    *,
    output: str | Path | None = None,
    run: str | Path | None = None,
    resume: str | Path | None = None,
    force: bool = False,
    freeze: Freeze = None,
    epochs: int = 100,
    batch_size: int = 32,
    optimizer: Any = "adam",
    learning_rate: float = 1e-3,
    schedule: str = "inverse_time",
    decay_epochs: float | None = None,
    weight_decay: float | None = None,
    loss: Any = "mse",
    metrics: Sequence[str] = ("mae",),
    patience: int = 20,
    validation: float = 0.2,
    test: float = 0.1,
    seed: int = 0,
    inputs: Chosen = None,
    targets: Chosen = None,
    group: str | int | None = None,
    units: str = "model",
    legacy: Any = None,
    placement: str | None = None,
    drop_missing: bool = False,
    tensorboard: bool = False,
    callbacks: Sequence[Any] = (),
    progress: bool = False,
    **reading: Any,
) -> Tuned:
    """Train a port on, and say how far it has moved.

    Args:
        model: a keras.Model (trained in place), the path of a saved one, or a legacy file, which is ported first.
        data: a path (.npz, CSV, HDF5, netCDF-4), a mapping of names to arrays, or a pair (inputs, targets).
        output: where the tuned model is saved, with its record; makes a run folder beside it.
        run: the run folder; None for the output's name with ``.run``, or no folder where there is no output.
        resume: a run folder to go on with instead; then neither model nor data are given.
        force: replace an existing output and run.
        freeze: names of layers that stay, or "until:NAME"; None leaves ``trainable`` as the model has it.
        epochs: at most.
        batch_size: rows of a batch.
        optimizer: a name, or a Keras optimizer, whose rate and decay are then its own.
        learning_rate: at the beginning.
        schedule: "inverse_time", "cosine" or "constant".
        decay_epochs: after how many epochs an inverse-time rate is halved; a quarter of ``epochs`` where None.
        weight_decay: decoupled; None for none.
        loss: a name or a Keras loss.
        metrics: names.
        patience: epochs without a better validation loss until training stops with the best weights restored; 0 never.
        validation: share of the rows that decide when to stop.
        test: share of the rows that are held out, on which legacy and tuned network are compared.
        seed: of the split, the order of the rows and dropout.
        inputs: names or positions of the input columns.
        targets: names or positions of the target columns.
        group: the column whose equal values keep rows on one side of the split.
        units: of the data: "model" (as the model takes and gives them), "physical", "network" or "scaled".
        legacy: the legacy network, for its ranges and units and for the report; else the model as it was.
        placement: where the port has the scaling, if it does not say so itself.
        drop_missing: leave rows with missing numbers out.
        tensorboard: write events into the run folder.
        callbacks: further Keras callbacks.
        progress: show a bar on standard error.
        **reading: options of ``porter.read`` for a legacy file.

    Returns:
        The history, the tuned model and the report.

    Raises:
        DataError: data that nothing sensible can follow from.
        UsageError: options that cannot be meant.
        RunError: a run that cannot be resumed.
    """
    if resume is not None:
        if model is not None or data is not None:
            raise UsageError("resume", found="a model or data beside it", expected="the run folder alone")
        return resume_run(resume, callbacks=callbacks, progress=progress)
    if model is None or data is None:
        raise UsageError("finetune", found="no model or no data", expected="both, or resume=")
    plan = Plan(
        freeze if freeze is None or isinstance(freeze, str) else tuple(freeze), epochs, batch_size,
        plain_optimizer(optimizer), learning_rate, schedule, decay_epochs, weight_decay, plain_loss(loss),
        tuple(metrics), patience, validation, test, seed,
    )  # fmt: skip
    target = None if output is None else Path(output)
    if target is not None:
        from porter.jobs.saving import check_output

        check_output(target, force=force)
    training = prepare(
        model, data, plan, inputs=inputs, targets=targets, group=group, units=units, legacy=legacy,
        placement=placement, drop_missing=drop_missing, **reading,
    )  # fmt: skip
    place = Path(run) if run is not None else None if target is None else target.with_suffix(".run")
    if tensorboard:
        _check_tensorboard(place)
    training = replace(training, callbacks=callbacks, progress=progress, tensorboard=tensorboard)
    if place is not None:
        training = replace(training, folder=begin_run(place, training, target, reading, force, {}))
    return train(training, target, force=force)


def begin_run(
    place: Path,
    training: Training,
    output: Path | None,
    reading: Mapping[str, Any],
    force: bool,
    more: Mapping[str, Any],
) -> RunFolder:
    """Make the run folder with all that a resume needs; what it cannot hold is said when it is missed."""
    from porter.jobs.saving import write_model

    folder = run_folder.create(place, force=force)
    with run_folder.writing(folder):
        write_model(training.start.model, folder.start)
        run_folder.write_rows(folder, training.data, training.split)
    network = training.start.network
    plan = training.plan.as_dict()
    is_plain = isinstance(plan["loss"], str | dict)
    config = {
        "plan": {**plan, "loss": plan["loss"] if is_plain else None},
        "problems": list(training.problems),
        "output": None if output is None else str(output.resolve()),
        "name": training.start.name,
        "record": training.start.record,
        "legacy": None if network is None else str(Path(network.source.path).resolve()),
        "legacy_sha256": None if network is None else network.source.sha256,
        "reading": _plain_reading(reading),
        "stage": training.start.ends.stage,
        "tensorboard": training.tensorboard,
        **more,
    }
    run_folder.write_config(folder, config)
    return folder


def _plain_reading(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in reading.items()}


def resume_run(path: str | Path, *, callbacks: Sequence[Any] = (), progress: bool = False) -> Tuned:
    """Go on with a run where its last whole epoch ended; the result is that of a run which nothing interrupted.

    Args:
        path: of the run folder.
        callbacks: those that the run was begun with.
        progress: show a bar on standard error.

    Raises:
        RunError: no run, or one that needs what a folder cannot hold.
    """
    folder, config = run_folder.read_config(path)
    if "search" in config:
        raise RunError(f"run {path}", found="a search", expected="a training", remedy=f"porter search --resume {path}")
    if config["plan"]["loss"] is None:
        raise RunError(
            f"run {path}", found="a loss that is a function of the caller's own", expected="one that Keras can name",
            remedy="start anew with a name, or with a registered Keras loss",
        )  # fmt: skip
    start, data, split = open_run(folder, config)
    output = None if config["output"] is None else Path(config["output"])
    training = Training(
        start, data, split, read_plan(config["plan"]), tuple(config["problems"]), folder, callbacks, progress,
        config["tensorboard"],
    )  # fmt: skip
    return train(training, output, force=True)


def open_run(folder: RunFolder, config: Mapping[str, Any]) -> tuple[Start, Data, Split]:
    """The model, the rows and their parts as a run began with them.

    Raises:
        RunError: one of them cannot be read.
    """
    from porter.jobs.saving import load_model

    data, split = run_folder.read_rows(folder)
    try:
        model = load_model(folder.start)
    except Exception as error:
        raise RunError(f"{folder.start} cannot be loaded", found=f"{type(error).__name__}: {error}") from error
    return _restart(model, config), data, split


def _restart(model: Any, config: Mapping[str, Any]) -> Start:
    """The start as it was; the legacy file is read again where it is still the same."""
    from porter.verdict.provenance import digest_of

    legacy, record = config["legacy"], config["record"]
    known = legacy is not None and Path(legacy).is_file() and digest_of(Path(legacy)) == config["legacy_sha256"]
    stage = {"network": "inside", "scaled": "outside", "physical": "inside"}.get(str(config["stage"]))
    start = open_start(model, legacy=legacy if known else None, placement=stage, **(config["reading"] if known else {}))
    return replace(start, name=config["name"], record=record)


def train(training: Training, output: Path | None, *, force: bool) -> Tuned:
    """Train as planned, check what was to stay, report how far the rest moved, and write what was asked for.

    Raises:
        RunError: training diverged.
    """
    import keras

    from porter.learning.callbacks import Backup, Batches, sow

    model, plan, folder = training.start.model, training.plan, training.folder
    frozen = freeze(model, plan.freeze)
    before, initial = snapshot(model), _copy(model)
    batches = Batches(*training.part("train"), plan.batch_size, plan.seed)
    compile_model(model, plan, len(batches))
    sow(model, plan.seed)
    history = keras.callbacks.History()
    parts = [history, *_callbacks(training, batches), *training.callbacks]
    backup = None if folder is None else Backup(folder.backup, parts, history)
    state = _state(folder)
    if folder is not None and state is not None:
        run_folder.write_log(folder, state["history"], state["epoch"])
    callbacks = parts if backup is None else [*parts, backup]
    tell("training")
    if state is not None and (state["stopped"] or len(state["epoch"]) >= plan.epochs):
        _take_up(model, callbacks)
    else:
        with run_folder.writing(folder):
            _fit(training, batches, callbacks)
    _check_finite(model)
    tell("comparing the tuned network with the one it came from")
    tuned = make_result(training, history, parts, frozen, moved(before, model, frozen))
    tuned.report = make_report(training, initial, tuned)
    with run_folder.writing(folder):
        write_results(training, tuned, output, force=force)
    return tuned


def _copy(model: Any) -> Any:
    """The model as it is, apart from what becomes of it; None of a model that cannot be copied by its configuration."""
    import keras

    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except (NotImplementedError, ValueError, TypeError):
        return None
    return copy


def _check_finite(model: Any) -> None:
    lost = [weight.path for weight in model.weights if not np.isfinite(np.asarray(weight)).all()]
    if lost:
        raise RunError(
            "training diverged", found=f"numbers that are not finite in {', '.join(lost[:3])}",
            expected="finite weights", remedy="lower the learning rate, or look for outliers in the targets",
        )  # fmt: skip


def _fit(training: Training, batches: Any, callbacks: list[Any]) -> None:
    model, plan = training.start.model, training.plan
    held = training.part("validation")
    given = {} if len(held[0]) == 0 else {"validation_data": held, "validation_batch_size": VALIDATION_BATCH}
    try:
        model.fit(batches, epochs=plan.epochs, verbose=0, callbacks=callbacks, shuffle=False, **given)
    except BaseException:
        _let_go(callbacks)
        raise
    finally:
        model._initial_epoch = None  # or Keras would begin the next training there, too


def _let_go(callbacks: list[Any]) -> None:
    """Close what callbacks close at the end of a training that did not get there."""
    for callback in callbacks:
        for name, end in (("csv_file", "close"), ("bar", "stop")):
            if getattr(callback, name, None) is not None:
                getattr(getattr(callback, name), end)()


def _take_up(model: Any, callbacks: list[Any]) -> None:
    """A run whose training was over: its last state, and what early stopping does at the end."""
    for callback in callbacks:
        callback.set_model(model)
    backup, stopping = callbacks[-1], [one for one in callbacks if type(one).__name__ == "EarlyStopping"]
    for callback in stopping:
        callback.on_train_begin()
    backup.on_train_begin()
    for callback in stopping:
        callback.on_train_end()
    model._initial_epoch = None


def _state(folder: RunFolder | None) -> dict[str, Any] | None:
    """The history of a run that was begun before, and whether its training stopped early."""
    from porter.learning.callbacks import newest_backup, read_state

    newest = None if folder is None else newest_backup(folder.backup)
    return None if newest is None else read_state(newest)


def _callbacks(training: Training, batches: Any) -> list[Any]:
    import keras

    from porter.learning.callbacks import Checkpoint, Order, Progress

    plan, folder = training.plan, training.folder
    monitor = "val_loss" if len(training.split.validation) else "loss"
    found: list[Any] = [Order(batches)]
    if plan.patience:
        found.append(keras.callbacks.EarlyStopping(monitor, patience=plan.patience, restore_best_weights=True))
    if folder is not None:
        found.append(keras.callbacks.ModelCheckpoint(str(folder.best), monitor, save_best_only=True))
        found.append(keras.callbacks.CSVLogger(str(folder.log), append=True))
        found += [Checkpoint(folder.checkpoint)] if keras.backend.backend() == "tensorflow" else []
    if training.tensorboard:
        found.append(_tensorboard(folder))
    return [*found, Progress(plan.epochs)] if training.progress else found


def _check_tensorboard(place: Path | None) -> None:
    """That events can be written: before a run is begun, and when one is resumed elsewhere."""
    import importlib.util

    if place is None:
        raise UsageError("tensorboard", found="no run folder", expected="one to write to", remedy="give run= (--run)")
    if importlib.util.find_spec("tensorboard") is None:
        raise missing("tensorboard", "train", "--tensorboard")


def _tensorboard(folder: RunFolder | None) -> Any:
    import keras

    _check_tensorboard(None if folder is None else folder.path)
    assert folder is not None
    return keras.callbacks.TensorBoard(str(folder.events))
