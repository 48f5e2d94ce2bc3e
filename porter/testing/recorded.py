"""A port as golden files keep it: legacy steps with the blocks of the port that compute them, and what these gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.judging import cast
from porter.network import Network
from reference.precision import Precision

Array = NDArray[Any]

ROWS = 96
INPUT = "input/"
"""Before the number of an input of the port, among the names of what a layer takes."""


@dataclass(frozen=True)
class RecordedLayer:
    """A legacy step in a port.

    Attributes:
        name: of the step.
        step: as judged.
        precision: in which the port computes it.
        sources: what it takes: names of layers, ``INPUT`` with a number, or of its own feeds.
        given: (rows, ...) what the port gave.
        run: the port's block on other values of the sources.
        feeds: what it takes that no other layer gives, by name.
        casts: whether the bound is of inputs in the port's format, which others have to be rounded to first.
    """

    name: str
    step: Any
    precision: Precision
    sources: tuple[str, ...]
    given: Any
    run: Callable[[tuple[Array, ...]], Any]
    feeds: Mapping[str, Any] = field(default_factory=dict)
    casts: bool = False


@dataclass(frozen=True)
class View:
    """A port on the rows that are recorded.

    Attributes:
        layers: in order of computation.
        inputs: (rows, ...) for each input, in the port's dtype.
        outputs: (rows, ...) for each output of the port, called as a whole.
    """

    layers: tuple[RecordedLayer, ...]
    inputs: tuple[Array, ...]
    outputs: tuple[Any, ...]


def view_chain(network: Network, model: Any, placement: str | None) -> View:
    """Look at the port of a chain on rows that break ports.

    Args:
        network: the legacy network.
        model: keras.Model.
        placement: where the port has the scaling.
    """
    from porter.examination.examine import examine
    from porter.ports.keras.graph import read_graph

    case = examine(network, read_graph(model), seed=0, placement=placement, rows=ROWS // 2)
    fed = cast(_spread(case.inputs), str(case.graph.input_dtypes[0]))
    tensors, layers, before = case.graph.trace([fed]), [], f"{INPUT}0"
    for judged in case.judged:
        block = judged.pair.block
        if block is not None:
            given = tensors[block.leaving]
            layers.append(RecordedLayer(judged.name, judged.step, block.precision, (before,), given, _runner(block)))
            before = judged.name
    return View(tuple(layers), (fed,), (case.graph(fed)[0],))


def _runner(block: Any) -> Callable[[tuple[Array, ...]], Any]:
    return lambda fed: block.run(cast(fed[0], block.precision.compute))


def _spread(inputs: Array) -> Array:
    """At most ``ROWS`` of the inputs, spread over all kinds."""
    picked = np.unique(np.linspace(0, len(inputs) - 1, ROWS).round().astype(int))
    rows: Array = inputs[picked]
    return rows
