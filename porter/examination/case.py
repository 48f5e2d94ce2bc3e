"""What an examination of a port found, step by step: computed, but not yet explained or worded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from porter.examination.accounting import Account
from porter.examination.judged import JudgedStep
from porter.examination.pairing import Pair, Pairing
from porter.examination.suspect import Stored
from porter.examination.units import Gauge
from porter.network import Network
from porter.ports.port import Port
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.precision import Precision
from reference.trace import Program

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Judged(JudgedStep):
    """A step of a chain with all that was seen of it.

    Attributes:
        pair: the step of the program and the port's block.
        probes: the layer's own probe sets, kept for the diagnosis where its verdict is "mismatch".
        probed: how many rows they are.
        refused: by set of probes that the port cannot be run on, what it raises.
        gauge: the order and signs of its units, where compensated.
        rewritten: what the port does otherwise to the same effect, in half sentences.
    """

    pair: Pair
    probes: Mapping[str, Array] = field(default_factory=dict, repr=False)
    probed: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    gauge: Gauge | None = None
    rewritten: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Row name."""
        return str(self.pair.step.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the block's layers."""
        return () if self.pair.block is None else self.pair.block.names

    @property
    def precision(self) -> Precision:
        """In which the block computes."""
        return super().precision if self.pair.block is None else self.pair.block.precision


@dataclass(frozen=True)
class Case:
    """A verification, computed but not yet worded.

    Attributes:
        network: the legacy network.
        program: its forward pass, whole.
        graph: the port.
        pairing: which block computes which step.
        judged: one a step of the program.
        placement: where the scaling is: "inside", "folded", "outside", or None where undeclared and not found.
        inputs: (rows, n) what the port was fed.
        outputs: the reference's outputs and the port's, end to end, both (rows, n), on the first rows of the inputs.
        seed: of the probes.
        whole: the port called as a whole against the program: "parity", "mismatch", "within" a bound that is too
            loose to tell, or "unknown" where none was held against it.
        account: what the port holds beside the steps.
        doubts: why the port that is called may not be the one that was judged, a sentence each.
        reached: by dense layer, the least and the largest preactivation of each unit on those rows, both (units,).
    """

    network: Network
    program: Program
    graph: Port
    pairing: Pairing
    judged: tuple[Judged, ...]
    placement: str | None
    declared_placement: str | None
    inputs: Array
    outputs: tuple[Array, Array]
    seed: int
    whole: str
    reached: Mapping[str, tuple[Array, Array]]
    account: Account = field(default_factory=Account)
    doubts: tuple[str, ...] = ()

    def __getitem__(self, layer: str) -> Judged:
        return next(judged for judged in self.judged if judged.name == layer)

    @property
    def unaccounted(self) -> bool:
        """Whether the port as a whole is wrong although every layer is right: then something was not looked at."""
        declared = self.declared_placement == "outside"
        part = [one for one in self.judged if one.pair.block is not None or not declared]
        return self.whole == "mismatch" and all(one.verdict == "parity" for one in part)

    @property
    def is_compared(self) -> bool:
        """Whether every step was compared, is folded into one that was, or was declared to be no part of the port."""
        declared = self.placement == "outside"
        settled = [
            one.verdict == "parity" or one.verdict.startswith("folded")
            or (declared and isinstance(one.pair.step, Scaling))
            for one in self.judged
        ]  # fmt: skip
        return not self.is_doubted and any(one.comparison.elements for one in self.judged) and all(settled)

    @property
    def is_parity(self) -> bool:
        """Whether every step agrees, the whole does, and nothing of the port is left over."""
        return self.is_compared and self.whole != "mismatch" and not self.account.causes

    @property
    def is_doubted(self) -> bool:
        """Whether something of the port was not judged: pieces that no step accounts for, or a call of its own."""
        return bool(self.doubts or self.account.unexercised or self.pairing.extra or self.pairing.merges)

    @property
    def layers(self) -> tuple[Stored, ...]:
        """Every dense layer of the file, in canonical form."""
        return tuple(Stored.of(step) for step in self.program.steps if isinstance(step, Dense))
