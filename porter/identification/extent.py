"""How far samples lead into each layer: beyond, an activation may have a branch that none of them shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.reading.telling import pool_rows
from reference.trace import Program

Array = NDArray[Any]

SHOWN_INPUTS, SHOWN_LAYERS = 12, 6
OUTPUT = "output "


@dataclass(frozen=True)
class Extent:
    """What samples show of a layer, or of an output, which may be held to bounds of its own.

    Attributes:
        layer: legacy name; ``output 0``, ... of an output.
        least: the least preactivation of all its units that the samples lead to, or the least value of the output.
        greatest: the greatest.
        row: (inputs,) an input that leads farther; None where none was found.
        reached: where it leads.
    """

    layer: str
    least: float
    greatest: float
    row: Array | None = None
    reached: float | None = None

    @property
    def excess(self) -> float:
        """How far beyond the samples that is, as a share of what they span."""
        if self.reached is None:
            return 0.0
        beyond = max(self.least - self.reached, self.reached - self.greatest)
        return beyond / max(self.greatest - self.least, 1e-300)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        row = None if self.row is None else self.row.tolist()
        return {
            "layer": self.layer, "least": self.least, "greatest": self.greatest, "input": row, "reached": self.reached
        }  # fmt: skip


def extents(program: Program, inputs: Array, box: Array) -> tuple[Extent, ...]:
    """What samples show of every layer and then of every output, and an input of the box that leads beyond.

    Args:
        program: the forward pass, of one input.
        inputs: (rows, n) of the samples.
        box: (n, 2) least and largest value of each input.
    """
    rows = pool_rows(box, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        own, others = program.trace(inputs), program.trace(rows)
    last = program.outputs[0]
    pairs = [
        (name, trace.preactivation, others[name].preactivation)
        for name, trace in own.items()
        if trace.preactivation is not None
    ]
    outputs = zip(own[last].outputs.T, others[last].outputs.T, strict=True)
    pairs += [(f"{OUTPUT}{place}", one[:, None], two[:, None]) for place, (one, two) in enumerate(outputs)]
    return tuple(_extent(*pair, rows) for pair in pairs if np.isfinite(pair[1]).any())


def _extent(layer: str, shown: Array, reached: Any, rows: Array) -> Extent:
    """Of (rows, units) preactivations of the samples and of other rows."""
    usable = shown[np.isfinite(shown)]  # a flag is no number
    least, greatest = float(np.min(usable)), float(np.max(usable))
    beyond = np.maximum(least - reached, reached - greatest)
    beyond = np.where(np.isfinite(beyond), beyond, -np.inf)
    row, unit = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
    if not beyond[row, unit] > 0:
        return Extent(layer, least, greatest)
    return Extent(layer, least, greatest, rows[row], float(reached[row, unit]))


def within(found: tuple[Extent, ...]) -> str:
    """Where the samples prove something, in words."""
    layers = [each for each in found if not each.layer.startswith(OUTPUT)]
    told = [f"{each.layer} {each.least:.3g} to {each.greatest:.3g}" for each in layers[:SHOWN_LAYERS]]
    told += [f"and {len(layers) - SHOWN_LAYERS} more"] if len(layers) > SHOWN_LAYERS else []
    return f"{', '.join(told)} before the activation, each output within its own samples"


def beyond_line(found: tuple[Extent, ...], where: str) -> str:
    """An input that leads farthest beyond, in a sentence.

    Args:
        found: of every layer.
        where: in which range such an input was looked for: "in the documented range".
    """
    farthest = max(found, key=lambda each: each.excess)
    if farthest.row is None:
        return f"no input {where} was found that leads farther"
    row = ", ".join(f"{value:.6g}" for value in farthest.row[:SHOWN_INPUTS])
    row += ", ..." if farthest.row.size > SHOWN_INPUTS else ""
    return (
        f"farther no sample leads, and what an activation does there, or a clamp, is not shown: the input [{row}] "
        f"({where}) leads {farthest.layer} to {farthest.reached:.3g}; run it through the original software, and add it "
        "to the samples"
    )
