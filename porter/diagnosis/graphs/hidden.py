"""Arrays that a port's layer does not show, read out of what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.readout import alike, read_out
from porter.examination.graphs.flattened import flattened
from porter.examination.graphs.slots import put
from porter.examination.graphs.suspect import Suspect
from reference.activations import Activation

Array = NDArray[Any]

ROUGHLY = 0.05
"""By what share of their range outputs may be missed that come of arrays of three digits."""


@dataclass(frozen=True)
class _ReadOut(Suspect):
    """A suspect whose arrays are known to three digits."""

    is_shown = False

    def equal(self, found: Array, wanted: Array) -> Array:
        return alike(found, wanted, self.precision.format.unit)


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

    try:
        read = read_out(ask, flat.own)
    except Exception:  # somebody's own layer may raise anything on rows that it refuses
        return suspect
    if read is None:
        return suspect
    turned = getattr(suspect.step, "orientation", "inputs-first") == "units-first"
    found = {
        slot.path: read.bias if slot.is_added else (read.kernel.T if turned else read.kernel).reshape(slot.array.shape)
        for slot in suspect.slots
        if slot.array is not None
    }
    if not _gives_what_was_seen(suspect, found, read.activation):
        return suspect
    given = {field.name: getattr(suspect, field.name) for field in fields(suspect)}
    return _ReadOut(**{**given, "found": found})


def _gives_what_was_seen(suspect: Suspect, found: Mapping[tuple[str, ...], Array], activation: Activation) -> bool:
    """Whether arrays that were read out of single windows give the rest as well: not if they stand elsewhere."""
    step = replace(suspect.step, activation=activation)
    for path, array in found.items():
        step = put(step, path, array)
    with np.errstate(all="ignore"):
        for part in suspect.seen:
            if all(name in part.fed for name in step.inputs):
                wanted = np.asarray(step(*(part.fed[name] for name in step.inputs)).outputs)
                if wanted.shape != part.actual.shape:
                    return False
                if not np.max(np.abs(wanted - part.actual), initial=0.0) <= ROUGHLY * np.ptp(wanted):
                    return False
    return True
