"""The folder of a run: everything that is needed to go on with it, and everything that came of it."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import OutputExistsError, UsageError, first_line
from porter.learning.data import Data
from porter.learning.errors import RunError
from porter.learning.plan import Plan
from porter.learning.splits import PARTS, Split
from porter.verdict.provenance import digest_of

SCHEMA_VERSION = 1
KEYS = ("plan", "problems", "output", "name", "record", "legacy", "legacy_sha256", "reading", "stage", "tensorboard",
        "sha256")  # fmt: skip
"""What a resume needs of the configuration."""


@dataclass(frozen=True)
class RunFolder:
    """Names of what a run keeps.

    Attributes:
        path: of the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """What was asked for."""
        return self.path / "config.json"

    @property
    def start(self) -> Path:
        """The model before the first step."""
        return self.path / "start.keras"

    @property
    def data(self) -> Path:
        """The rows, in the model's units, and which part each belongs to."""
        return self.path / "data.npz"

    @property
    def backup(self) -> Path:
        """What a resume takes up."""
        return self.path / "backup"

    @property
    def best(self) -> Path:
        """Keras' checkpoint of the best epoch so far."""
        return self.path / "best.keras"

    @property
    def checkpoint(self) -> Path:
        """TensorFlow's own checkpoints."""
        return self.path / "checkpoint"

    @property
    def log(self) -> Path:
        """One row an epoch."""
        return self.path / "history.csv"

    @property
    def plot(self) -> Path:
        """Loss and metrics against epochs."""
        return self.path / "history.svg"

    @property
    def events(self) -> Path:
        """What TensorBoard shows."""
        return self.path / "tensorboard"

    @property
    def tuned(self) -> Path:
        """The tuned model."""
        return self.path / "tuned.keras"

    def report(self, suffix: str) -> Path:
        """The report, as text, JSON or a page."""
        return self.path / f"report.{suffix}"


@contextmanager
def writing(folder: RunFolder | None) -> Iterator[None]:
    """Whatever cannot be written is told, with how to go on.

    Raises:
        RunError: in the place of the error of the disk; libraries have classes of their own for it.
    """
    try:
        yield
    except Exception as error:
        is_of_disk = isinstance(error, OSError) or "No space left on device" in str(error)
        if folder is None or not is_of_disk:
            raise
        found = "No space left on device" if "No space left on device" in str(error) else first_line(error)
        raise RunError(
            f"run {folder.path} cannot be written", found=found, expected="room, and the right to write",
            remedy="put that right and resume it; nothing is lost but the epoch",
        ) from error  # fmt: skip


def create(path: Path, *, force: bool) -> RunFolder:
    """An empty run folder.

    Raises:
        OutputExistsError: there is one, and ``force`` is not given.
        UsageError: something else has that name, or it cannot be made.
    """
    folder = RunFolder(path)
    if folder.config.exists() and not force:
        raise OutputExistsError(
            f"run folder {path}", found="a run of that name", expected="none, for nothing is overwritten unasked",
            remedy=f"go on with it (porter finetune --resume {path}), take another name, or give --force (force=True)",
        )  # fmt: skip
    if path.exists() and not folder.config.exists() and not _is_unbegun(folder):
        raise UsageError(f"run folder {path}", found="something else of that name", expected="a new or empty folder")
    try:
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"run folder {path}", found=error.strerror, expected="a folder that can be made") from error
    return folder


def _is_unbegun(folder: RunFolder) -> bool:
    """Whether a folder is empty, or holds what a run writes before it begins, where it was interrupted."""
    return folder.path.is_dir() and set(folder.path.iterdir()) <= {folder.start, folder.data}


def write_config(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Written last of what a run begins with, so that a folder with it is one that can be resumed."""
    began = {path.name: digest_of(path) for path in (folder.start, folder.data)}
    config = {"schema_version": SCHEMA_VERSION, **config, "sha256": began}
    write_text(folder.config, json.dumps(config, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """All of it, or what was there before."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read_config(path: str | Path) -> tuple[RunFolder, dict[str, Any]]:
    """What a run was asked for.

    Raises:
        RunError: no run folder, or one that was never begun.
    """
    folder = RunFolder(Path(path))
    try:
        config = json.loads(folder.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} is no run that can be resumed", found=first_line(error), expected="the folder of porter finetune",
            remedy="name the folder that porter finetune made (tuned.run), or start anew",
        ) from error  # fmt: skip
    if not isinstance(config, dict) or config.get("schema_version") != SCHEMA_VERSION:
        raise RunError(f"{folder.config}", found="another version", expected=f"schema version {SCHEMA_VERSION}")
    lacking = [key for key in KEYS if key not in config] or [
        key for key in (field.name for field in fields(Plan)) if key not in dict(config["plan"] or {})
    ]
    if lacking:
        raise RunError(f"{folder.config} is damaged", found=f"no {', '.join(lacking)}", remedy="start anew")
    _check_began(folder, config["sha256"])
    return folder, config


def _check_began(folder: RunFolder, expected: Mapping[str, str]) -> None:
    """That model and rows are those that the run began with."""
    for path in (folder.start, folder.data):
        if not path.is_file() or digest_of(path) != expected.get(path.name):
            raise RunError(
                f"{path} is not what the run began with", found="another file" if path.is_file() else "no file",
                expected=f"sha256 {expected.get(path.name)}", remedy="put it back, or start anew",
            )  # fmt: skip


def write_rows(folder: RunFolder, data: Data, split: Split) -> None:
    """The rows and their parts."""
    arrays: dict[str, Any] = {} if data.groups is None else {"groups": _storable(data.groups)}
    arrays |= {"input_names": np.array(data.input_names), "target_names": np.array(data.target_names)}
    arrays |= {"source": np.array(data.source), "sha256": np.array(data.sha256)}
    np.savez_compressed(folder.data, inputs=data.inputs, targets=data.targets, **(arrays | split.parts()))


def _storable(groups: Any) -> Any:
    return groups.astype(str) if groups.dtype.kind == "O" else groups


def read_rows(folder: RunFolder) -> tuple[Data, Split]:
    """What ``write_rows`` wrote.

    Raises:
        RunError: it is not there, or damaged.
    """
    try:
        with np.load(folder.data, allow_pickle=False) as stored:
            x_names, y_names = (tuple(map(str, stored[key])) for key in ("input_names", "target_names"))
            groups = stored.get("groups", None)
            source, digest = (str(stored[key]) for key in ("source", "sha256"))
            data = Data(stored["inputs"], stored["targets"], x_names, y_names, groups, source, digest)
            return data, Split(*(stored[part] for part in PARTS))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise RunError(f"{folder.data} cannot be read", found=first_line(error), remedy="start anew") from error


def write_log(folder: RunFolder, history: Mapping[str, Sequence[float]], epochs: Sequence[int]) -> None:
    """The log as Keras' CSVLogger has it after these epochs; what was written after the backup is gone."""
    text = StringIO()
    if epochs:
        rows = csv.writer(text)
        names = sorted(history)
        rows.writerow(["epoch", *names])
        rows.writerows([epoch, *(history[name][k] for name in names)] for k, epoch in enumerate(epochs))
    write_text(folder.log, text.getvalue())
