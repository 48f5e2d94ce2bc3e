"""Arrays that a port's layer does not show, read out of what it gives."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.readout import alike, read_out
from porter.examination.graphs.flattened import flattened
from porter.examination.graphs.suspect import Suspect

Array = NDArray[Any]


@dataclass(frozen=True)
class _ReadOut(Suspect):
    """A suspect whose arrays are known to three digits."""

    is_shown = False

    def equal(self, found: Array, wanted: Array) -> Array:
        return alike(found, wanted)


def with_arrays_read_out(suspect: Suspect) -> Suspect:
    """The suspect with the kernel and the bias of its layer, where this shows neither and they can be read out."""
    if suspect.alone is None or suspect.found:
        return suspect
    alone, fed = suspect.alone, next(iter(suspect.seen[0].fed.values()))
    flat = flattened(suspect.step, fed.shape[1:])
    if flat is None:
        return suspect

    def ask(rows: Array) -> Array:
        given = [flat.picked(alone(block, "").actual) for block in flat.placed(rows)]
        return np.concatenate(given)[: len(rows)]

    read = read_out(ask, flat.own)
    if read is None:
        return suspect
    kernel, bias = read
    turned = getattr(suspect.step, "orientation", "inputs-first") == "units-first"
    found = {
        slot.path: bias if slot.is_added else (kernel.T if turned else kernel).reshape(slot.array.shape)
        for slot in suspect.slots
        if slot.array is not None
    }
    given = {field.name: getattr(suspect, field.name) for field in fields(suspect)}
    return _ReadOut(**{**given, "found": found})
