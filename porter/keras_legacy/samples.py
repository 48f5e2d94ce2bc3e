"""Inputs and outputs that the original Keras recorded, and whether the reference reproduces them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import SamplesError
from reference.trace import Program

Array = NDArray[Any]

RELATIVE, ABSOLUTE = 1e-4, 1e-7
"""Of the largest output: what two float32 implementations of a whole model may differ by, end to end, and still be
said to agree. It judges recordings, never ports: those are judged layer by layer, within what rounding explains."""


@dataclass(frozen=True)
class KerasSamples:
    """What the original gave.

    Attributes:
        name: of the file, for people.
        inputs: (rows, ...) for each input of the model.
        outputs: (rows, ...) for each output.
    """

    name: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


def read_keras_samples(samples: Any) -> KerasSamples:
    """From an .npz with ``inputs`` and ``outputs`` (or x00, x01, .. and y00, ..), or a pair of arrays or lists of them.

    Raises:
        SamplesError: not such a file, or without such arrays.
    """
    if not isinstance(samples, str | Path):
        inputs, outputs = (tuple(part) if isinstance(part, list | tuple) else (part,) for part in samples)
        return KerasSamples("given in memory", tuple(map(np.asarray, inputs)), tuple(map(np.asarray, outputs)))
    try:
        with np.load(samples, allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise SamplesError(f"{samples} is no .npz archive of numbers", found=str(error).splitlines()[0]) from error
    found = tuple(_named(stored, *names) for names in (("inputs", "x"), ("outputs", "y")))
    if not all(found):
        raise SamplesError(
            f"{samples}: the recorded arrays", found=", ".join(stored) or "none",
            expected="inputs and outputs, or x00, x01, .. and y00, ..",
        )  # fmt: skip
    return KerasSamples(Path(samples).name, *found)


def _named(stored: Mapping[str, Array], whole: str, letter: str) -> tuple[Array, ...]:
    if whole in stored:
        return (stored[whole],)
    return tuple(stored[name] for name in sorted(stored) if name[0] == letter and name[1:].isdigit())


def disagreement(program: Program, samples: KerasSamples) -> str | None:
    """How the reference differs from what was recorded, in a sentence; None where it agrees.

    Raises:
        SamplesError: samples of another model.
    """
    if len(samples.inputs) != len(program.inputs) or len(samples.outputs) != len(program.outputs):
        raise SamplesError(
            f"samples {samples.name}", found=f"{len(samples.inputs)} inputs and {len(samples.outputs)} outputs",
            expected=f"{len(program.inputs)} and {len(program.outputs)}",
        )  # fmt: skip
    outputs = program(dict(zip(program.inputs, samples.inputs, strict=True)))
    for number, (ours, theirs) in enumerate(zip(outputs, samples.outputs, strict=True)):
        if ours.shape != theirs.shape:
            return f"output {number} has shape {ours.shape}, {theirs.shape} was recorded"
        neither = np.isnan(ours) & np.isnan(theirs)
        largest = float(np.max(np.abs(np.where(neither, 0.0, ours - theirs)), initial=0.0))
        allowed = RELATIVE * float(np.nanmax(np.abs(theirs), initial=0.0)) + ABSOLUTE
        if not largest <= allowed:
            return f"output {number} differs by up to {largest:.3g}, where {allowed:.3g} would be agreement"
    return None
