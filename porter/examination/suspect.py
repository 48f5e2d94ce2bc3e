"""A layer under suspicion, with all that a hypothesis may need to explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.judging import cast, judge_values, rows_at_a_time
from porter.examination.numbers import equal_within_ulp, swapped_bytes
from porter.examination.pasting import quoted, reached
from porter.examination.probes import blocks
from porter.ports.blocks import Atom, Block
from reference.activations import Activation
from reference.operations.dense import Dense

Array = NDArray[Any]


@dataclass(frozen=True)
class Stored:
    """A dense layer of the file, in canonical form.

    Attributes:
        name: legacy name.
        kernel: (inputs, units) float64.
        bias: (units,) float64 or None.
        activation: as it is read.
        raw: the kernel as stored, with its dtype and byte order.
        units_first: whether ``raw`` is (units, inputs).
    """

    name: str
    kernel: Array
    bias: Array | None
    activation: Activation
    raw: Array
    units_first: bool

    def swapped_kernel(self) -> Array:
        """(inputs, units) what the stored bytes mean in the other byte order."""
        swapped = swapped_bytes(self.raw)
        return swapped.T if self.units_first else swapped

    @classmethod
    def of(cls, step: Dense) -> Stored:
        """The canonical form of a step of the legacy program."""
        units_first = step.orientation == "units-first"
        kernel = step.weights.T if units_first else step.weights
        bias = None if step.bias is None else np.asarray(step.bias, dtype=np.float64).reshape(-1)
        return cls(step.name, np.asarray(kernel, dtype=np.float64), bias, step.activation, step.weights, units_first)


@dataclass(frozen=True)
class Suspect:
    """A dense step and the block that should compute it.

    Attributes:
        step: the legacy step.
        block: the port's block.
        position: which of ``layers`` it is.
        layers: every dense layer of the file, in order.
        probes: the layer's own probe sets, by name.
        slack: how many units in the last place a weight may be off beside its cast (a folded layer's own arithmetic).
    """

    step: Dense
    block: Block
    position: int
    layers: Sequence[Stored]
    probes: Mapping[str, Array]
    slack: float = 1.0

    @cached_property
    def own(self) -> Stored:
        """The layer of the file (with a scaling folded in where the port folds it)."""
        return Stored.of(self.step)

    @property
    def name(self) -> str:
        """Row name of the layer."""
        return self.step.name

    @property
    def is_first(self) -> bool:
        """Whether its inputs are the network's inputs."""
        return self.position == 0

    @property
    def is_last(self) -> bool:
        """Whether its units are the network's outputs."""
        return self.position == len(self.layers) - 1

    @property
    def kernel(self) -> Array | None:
        """(inputs, units) the port's exposed kernel, float64, where it takes what the layer takes."""
        return None if self._exposed is None else self._exposed.kernel

    @property
    def bias(self) -> Array | None:
        """(units,) the port's exposed bias, float64."""
        return None if self._exposed is None else self._exposed.bias

    @property
    def _exposed(self) -> Atom | None:
        """The piece whose arrays are the layer's: nothing stands in front of it."""
        first = next((atom for atom in self.block.atoms if atom.kind != "identity"), None)
        return first if first is self.block.dense else None

    @property
    def dtype(self) -> str:
        """In which the port holds its variables."""
        return self.block.precision.variables

    is_shown = True
    """Whether the port shows its weights; otherwise they were read out through probes, to three digits."""

    def equal(self, found: Array, wanted: Array) -> Array:
        """Elementwise: are the port's numbers these, as exactly as its variables hold them?"""
        return equal_within_ulp(found, wanted, self.dtype, self.slack)

    def assign(self, *what: str) -> str:
        """Python that gives the port's layer the arrays of the file, in Keras' layout; ``what``: kernel, bias."""
        layer, own = reached(self.holder), f"network.layer({quoted(self.name)})"
        return "\n".join(f"{layer}.{part}.assign({self._values(own, part)})" for part in what)

    @property
    def holder(self) -> str:
        """Name of the port's layer that multiplies by the kernel, whether it is Keras' own or somebody's."""
        cores = [atom for atom in self.block.atoms if atom.is_core]
        held = self.block.dense or next(iter(cores), self.block.atoms[0])
        return held.names[0]

    def _values(self, own: str, part: str) -> str:
        """What a variable should hold, as Python; a port may have a bias where the file has none."""
        if part == "bias" and self.own.bias is None:
            return f"0 * {reached(self.holder)}.bias"
        return f"{own}.{part}"

    def variant(self, kernel: Array, bias: Array | None, activation: Activation | None = None) -> Dense:
        """The legacy step with other contents: kernel (inputs, units), bias (units,)."""
        weights = kernel.T if self.step.orientation == "units-first" else kernel
        activation = self.step.activation if activation is None else activation
        step = self.step
        if activation != step.activation and hasattr(step, "form"):  # a way to write just the one
            step = Dense(**{each.name: getattr(step, each.name) for each in fields(Dense)})
        return replace(step, weights=weights, bias=bias, activation=activation)

    @cached_property
    def seen(self) -> tuple[tuple[str, Array, Array], ...]:
        """What the port's block gives on its probes, run once: name of the set, rows as fed, outputs."""
        precision = self.block.precision
        fed = [
            (name, cast(part, precision.compute))
            for name, rows in self.probes.items()
            for _, part in blocks(rows, rows_at_a_time(rows.shape[-1]))
        ]
        return tuple((name, rows, np.asarray(self.block.run(rows))) for name, rows in fed)

    def judge(self, step: Any, *, most: int | None = None) -> Comparison:
        """The port's block against a step, over all probes (at most ``most`` rows of each block of rows)."""
        precision = self.block.precision
        return merge_comparisons(
            judge_values(step, rows[:most], actual[:most], precision, name) for name, rows, actual in self.seen
        )
