"""Saving a port: complete or not at all."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from porter.errors import AccessError, OutputExistsError, UnbuildableError, UsageError
from porter.formats.opened import os_reason
from porter.jobs.provenance import write_provenance

SUFFIXES = (".keras", ".h5")


def save_model(model: Any, path: str | Path, provenance: Mapping[str, Any], *, force: bool = False) -> None:
    """Save a model with its provenance; the file is there complete, or as it was before.

    Args:
        model: keras.Model.
        path: ``.keras``, or ``.h5`` for a whole model in HDF5.
        provenance: plain data, ready for JSON.
        force: whether to replace an existing file.

    Raises:
        UsageError: another suffix, or a folder that does not exist.
        OutputExistsError: the file exists and ``force`` is not given.
        UnbuildableError: the format cannot hold this model.
    """
    with staged(path, force=force) as draft:
        write_model(model, draft)
        write_provenance(draft, provenance)


class Discard(Exception):
    """Raised inside ``staged`` to leave the output as it was, without an error."""


@contextmanager
def staged(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A draft in the output's own folder, moved to its place in one step when the block ends without exception.

    Whatever ends the block otherwise, an interrupt too, removes the draft and leaves the output as it was.

    Raises:
        UsageError: another suffix than ``SUFFIXES``, or a folder that does not exist.
        OutputExistsError: the output exists and ``force`` is not given.
    """
    path = Path(path)
    check_output(path, force=force)
    with _writable(path), TemporaryDirectory(prefix=".porter-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / path.name
        try:
            yield draft
        except Discard:
            return
        check_output(path, force=force)
        os.replace(draft, path)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Whatever keeps a file from being written is a refusal, in the words of the system.

    Raises:
        AccessError: no room, no right, too long a name.
    """
    try:
        yield
    except OSError as error:
        raise AccessError(
            f"output {path} cannot be written", found=_reason(error),
            remedy="nothing was written; choose another place, or make room",
        ) from error  # fmt: skip


def _reason(error: OSError) -> str:
    """What the system said, also where HDF5 hides it in a report of its own."""
    told = os_reason(error)
    hidden = re.search(r"error message = '([^']+)'", told)
    return hidden[1] if hidden else next(iter(told.splitlines()), "no reason given")


def check_output(path: str | Path, *, force: bool = False) -> None:
    """Refuse an output that cannot be written, or that must not be overwritten.

    Raises:
        UsageError: another suffix than ``SUFFIXES``, a folder in its place, or no folder to put it in.
        OutputExistsError: the output exists and ``force`` is not given.
        AccessError: the system cannot say, for the name is too long.
    """
    path = Path(path)
    with _writable(path):
        _check_place(path, force)


def _check_place(path: Path, force: bool) -> None:
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"output {path}",
            found=f"the suffix {path.suffix!r}" if path.suffix else "no suffix",
            expected=f"a file name ending in {' or '.join(SUFFIXES)}",
            remedy=f"write to {path.with_suffix('.keras')}",
        )
    if path.is_dir():
        raise UsageError(f"output {path}", found="a folder of that name", expected="a file", remedy="take another name")
    if not path.parent.is_dir():
        raise UsageError(f"output {path}", found=f"no folder {path.parent}", remedy=f"make it: mkdir -p {path.parent}")
    if path.exists() and not force:
        raise OutputExistsError(
            f"output {path}",
            found="a file of that name",
            expected="none, for nothing is overwritten unasked",
            remedy="take another name, or give --force (force=True)",
        )


def write_model(model: Any, path: Path) -> None:
    """Write the model alone, as Keras does.

    Raises:
        UnbuildableError: the format cannot hold this model.
    """
    _check_loads(model, path)
    if path.suffix == ".h5":
        _check_fits_hdf5(model, path)
    with _quiet_keras():
        try:
            model.save(path)
        except RuntimeError as error:
            if "errno" not in str(error):
                raise
            raise OSError(str(error)) from error  # as HDF5 says that a file cannot be closed


def load_model(path: str | Path) -> Any:
    """The saved model as anybody would load it: by Keras alone, in its safe mode."""
    import keras

    with _quiet_keras():
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def _check_loads(model: Any, path: Path) -> None:
    from porter.ports.keras import versions

    where = f"output {path.name}"
    names = [] if versions.activates_by_layers() else versions.layers_as_activations(model)
    if names:
        raise versions.lacks_layers_as_activations(where, names)
    if not versions.keeps_arrays() and versions.has_arrays(model):
        raise versions.too_old(where, "loads a Rescaling without its arrays", "3.5 or later")


def _check_fits_hdf5(model: Any, path: Path) -> None:
    import keras

    bare = [operation.name for operation in model.operations if not isinstance(operation, keras.layers.Layer)]
    half = [weight.path for weight in model.weights if weight.dtype == "bfloat16"]
    if bare or half:
        raise UnbuildableError(
            f"output {path.name}",
            found=f"operations that Keras loses in .h5: {', '.join(bare)}" if bare else "bfloat16 weights",
            expected="layers with float weights that HDF5 can hold",
            remedy=f"save as {path.with_suffix('.keras').name}",
        )


@contextmanager
def _quiet_keras() -> Iterator[None]:
    """Keras warns that .h5 is an old format, in a log that nobody asked for; the user did ask for .h5."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
