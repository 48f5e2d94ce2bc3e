"""Keras' own callbacks, and the little that an exact resume needs beyond them."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from porter.errors import first_line
from porter.learning.errors import RunError

Array = NDArray[Any]

STATE, ARRAYS = "state.json", "arrays.npz"
COMPLETE = re.compile(r"epoch-(\d+)")
STATELESS = ("History", "CSVLogger", "TensorBoard", "LambdaCallback", "ProgbarLogger", "Progress", "Order", "Backup")
"""Callbacks that keep nothing between epochs which would change what is learned, or whose state is kept apart."""


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Training rows in an order that follows from the seed and the epoch alone, so that a resumed epoch is the same.

    Args:
        inputs: (rows, ...).
        targets: (rows, ...).
        batch_size: rows of a batch; the last one has what is left.
        seed: of all orders.
    """

    def __init__(self, inputs: Array, targets: Array, batch_size: int, seed: int) -> None:
        super().__init__()
        self.inputs, self.targets, self.size, self.seed = inputs, targets, batch_size, seed
        self.show_epoch(0)

    def show_epoch(self, epoch: int) -> None:
        """Take the order of that epoch."""
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.inputs))

    def __len__(self) -> int:
        return math.ceil(len(self.inputs) / self.size)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.inputs[rows], self.targets[rows]


class Order(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells the batches which epoch begins."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras calls this before it asks for the first batch."""
        self.batches.show_epoch(epoch)


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """A checkpoint of TensorFlow's own after every epoch, the last few of them kept."""

    def __init__(self, folder: Path, keep: int = 3) -> None:
        super().__init__()
        self.folder, self.keep = folder, keep

    def on_train_begin(self, logs: Any = None) -> None:
        """The manager goes on counting where it finds earlier checkpoints."""
        import tensorflow as tf

        saved = tf.train.Checkpoint(model=self.model)
        self.manager = tf.train.CheckpointManager(saved, str(self.folder), max_to_keep=self.keep)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Written by TensorFlow, numbered by epoch."""
        self.manager.save(checkpoint_number=epoch + 1)


class Backup(keras.callbacks.BackupAndRestore):  # type: ignore[misc]
    """Keras' backup of every epoch, whole or not at all, with what Keras forgets.

    Keras writes weights and optimizer, then the number of the epoch: between the two a kill makes an epoch be learned
    twice. History forgets earlier epochs, EarlyStopping its patience and its best weights, ModelCheckpoint its best
    value, and dropout its random numbers. Each backup here is a folder of its own, which gets its name once all of it
    is written.

    Args:
        folder: of the backups.
        others: the callbacks whose state belongs to the run; this one must come after them.
        history: Keras' History of the run.
    """

    def __init__(self, folder: Path, others: Sequence[Any], history: Any) -> None:
        super().__init__(str(folder), save_freq="epoch", delete_checkpoint=False)
        self.folder = folder
        self.kept = [callback for callback in others if type(callback).__name__ not in STATELESS]
        self.history = history

    def on_train_begin(self, logs: Any = None) -> None:
        """Take up the newest whole backup, if there is one."""
        newest = newest_backup(self.folder)
        if newest is None:
            return
        try:
            self._point_to(newest)
            for name in (self._weights_path, self._training_metadata_path):
                Path(name).stat()  # Keras would begin anew without them
            super().on_train_begin(logs)
            self._restore(newest)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise _damaged(newest, error) from error

    def _point_to(self, folder: Path) -> None:
        self.backup_dir = str(folder)
        self._weights_path = str(folder / "latest.weights.h5")
        self._training_metadata_path = str(folder / "training_metadata.json")

    def _save_model(self) -> None:
        draft, done = (self.folder / name for name in ("draft", f"epoch-{self._current_epoch:06d}"))
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self._point_to(draft)
        super()._save_model()
        self._keep(draft)
        shutil.rmtree(done, ignore_errors=True)
        draft.rename(done)
        for folder, epoch in backups(self.folder):
            if epoch < self._current_epoch - 1:
                shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, folder: Path) -> None:
        """What Keras forgets, as plain data and arrays."""
        plain: dict[str, Any] = {
            "history": {name: [float(value) for value in values] for name, values in self.history.history.items()},
            "epoch": list(self.history.epoch),
            "stopped": bool(self.model.stop_training),
            "callbacks": [],
        }
        arrays: dict[str, Any] = {f"seed/{k}": _numpy(state) for k, state in enumerate(seeds_of(self.model))}
        for place, callback in enumerate(self.kept):
            values, held = _state_of(callback)
            plain["callbacks"].append({"class": type(callback).__name__, "values": values, "arrays": sorted(held)})
            for name, parts in held.items():
                arrays |= {f"{place}/{name}/{k}": part for k, part in enumerate(parts)}
        np.savez(folder / ARRAYS, **arrays)
        (folder / STATE).write_text(json.dumps(plain), encoding="utf-8")

    def _restore(self, folder: Path) -> None:
        plain = read_state(folder)
        with (folder / ARRAYS).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = dict(stored)
        self.history.history, self.history.epoch = plain["history"], plain["epoch"]
        for k, state in enumerate(seeds_of(self.model)):
            state.assign(arrays[f"seed/{k}"])
        was, now = [kept["class"] for kept in plain["callbacks"]], [type(callback).__name__ for callback in self.kept]
        if was != now:
            raise ValueError(
                f"the callbacks {', '.join(was)} where {', '.join(now)} run; give those that it was begun with"
            )
        for place, (callback, kept) in enumerate(zip(self.kept, plain["callbacks"], strict=True)):
            vars(callback).update(kept["values"])
            for name in kept["arrays"]:
                count = sum(key.startswith(f"{place}/{name}/") for key in arrays)
                setattr(callback, name, [arrays[f"{place}/{name}/{k}"] for k in range(count)])


def _damaged(folder: Path, error: Exception) -> RunError:
    return RunError(
        f"the backup {folder} cannot be taken up", found=first_line(error), expected="what porter finetune wrote there",
        remedy="remove that folder to resume from an earlier one, or start anew",
    )  # fmt: skip


def read_state(folder: Path) -> dict[str, Any]:
    """What Keras forgets, of a whole backup.

    Raises:
        RunError: it is damaged.
    """
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        lacking = {"history", "epoch", "stopped", "callbacks"} - set(state)
        if lacking:
            raise ValueError(f"no {', '.join(sorted(lacking))} in {STATE}")
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(folder, error) from error
    return dict(state)


def _state_of(callback: Any) -> tuple[dict[str, Any], dict[str, list[Array]]]:
    """A callback's own plain values, and its lists of arrays (the best weights)."""
    values, arrays = {}, {}
    for name, held in vars(callback).items():
        if name.startswith("_") or name in ("model", "params"):
            continue
        value = held.item() if isinstance(held, np.generic) else held
        if value is None or isinstance(value, bool | int | float | str):
            values[name] = value
        elif isinstance(value, list) and value and all(isinstance(part, np.ndarray) for part in value):
            arrays[name] = value
    return values, arrays


def backups(folder: Path) -> list[tuple[Path, int]]:
    """The whole backups of a run and how many epochs each has behind it, oldest first."""
    if not folder.is_dir():
        return []
    found = [(path, COMPLETE.fullmatch(path.name)) for path in folder.iterdir()]
    return sorted(((path, int(match[1])) for path, match in found if match), key=lambda pair: pair[1])


def newest_backup(folder: Path) -> Path | None:
    """The newest whole backup of a run."""
    found = backups(folder)
    return found[-1][0] if found else None


def seeds_of(model: Any) -> list[Any]:
    """The states of the model's random numbers (dropout, noise), which belong to no layer's weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights and "seed" in variable.name]


def sow(model: Any, seed: int) -> None:
    """Set the model's random numbers by a seed, each of its own."""
    for place, state in enumerate(seeds_of(model)):
        drawn = np.random.default_rng([seed, place]).integers(0, 2**31, size=tuple(state.shape))
        state.assign(drawn.astype(state.dtype))


def _numpy(variable: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(variable))


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """One bar for the whole run, on standard error."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Start at the epoch that is resumed."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self.bar.start()
        self.task = self.bar.add_task("", total=self.epochs, completed=self.model._initial_epoch or 0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Show the losses."""
        shown = {name: value for name, value in (logs or {}).items() if name.endswith("loss")}
        told = "  ".join(f"{name} {value:.3g}" for name, value in shown.items())
        self.bar.update(self.task, completed=epoch + 1, description=told)

    def on_train_end(self, logs: Any = None) -> None:
        """Take the bar away."""
        self.bar.stop()
