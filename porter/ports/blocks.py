"""The port, in pieces that can be run alone; without a word on the library that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reference.precision import Precision

Array = NDArray[Any]
Kind = Literal["dense", "activation", "affine", "identity", "merge", "other"]


class Asked(Protocol):
    """The conditions in somebody's own code, and which answers the rows so far were given."""

    def see(self, *rows: Array) -> None:
        """Some rows that were compared."""
        ...

    def rows(self, rng: np.random.Generator) -> Iterator[tuple[Array, ...]]:
        """Rows that have the conditions answer as no row so far had them; one array for each tensor that is taken."""
        ...

    def left_open(self) -> str:
        """The conditions that no row had answer both ways, a sentence; "" where there are none."""
        ...


@dataclass(frozen=True)
class Atom:
    """The smallest piece of a port between two tensors through which everything passes.

    Attributes:
        names: the port's layers in it.
        kind: what it is, as far as its class says.
        run: (rows, ...) to (rows, ...), in the port's dtypes.
        entry: the tensor it takes, in the port's trace.
        key: the tensor it gives, in the port's trace.
        precision: in which it computes; None where it follows its input.
        weights: reads the exposed kernel, (inputs, units), and the bias, (units,) or None, both float64, of the one
            dense layer in it; None where no kernel is exposed.
        activation: the activation fused into a dense layer, callable on preactivations; None where there is none.
        is_training: whether it was built in training mode.
        is_core: whether it multiplies by a matrix (a dense layer, or anything else that does).
        is_conditional: whether what it does depends on a condition on its input.
        width: (inputs, outputs), the last axis of either tensor.
        description: its class, for people.
        arrays: reads the kernel, (inputs, units), and the bias, (units,) or None, of each layer in it, float64, and
            what they are held in; None where that is not known.
        calls: what the runtime has for the operations in it.
        look: finds the conditions of somebody's own in such calls, between two tensors; None where code cannot be seen.
    """

    names: tuple[str, ...]
    kind: Kind
    run: Callable[[Array], Array]
    entry: int
    key: int
    precision: Precision | None
    weights: Callable[[], tuple[Array, Array | None]] | None = None
    activation: Callable[[Array], Array] | None = None
    is_training: bool = False
    is_core: bool = False
    is_conditional: bool = False
    width: tuple[int | None, int | None] = (None, None)
    description: str = ""
    arrays: Callable[[], list[tuple[Array, Array | None, str]]] | None = None
    calls: tuple[Any, ...] = ()
    look: Callable[[Sequence[Any], int, int], Asked | None] | None = None

    @property
    def conditions(self) -> Asked | None:
        """As those of a block."""
        return _conditions((self,))

    @property
    def kernel(self) -> Array | None:
        """(inputs, units) an exposed kernel, read anew: twenty wide ones at once would fill the memory."""
        return None if self.weights is None else self.weights()[0]

    @property
    def bias(self) -> Array | None:
        """(units,) an exposed bias."""
        return None if self.weights is None else self.weights()[1]


def _conditions(atoms: Sequence[Atom]) -> Asked | None:
    look, calls = atoms[0].look, [each for atom in atoms for each in atom.calls]
    return None if look is None else look(calls, atoms[0].entry, atoms[-1].key)


@dataclass(frozen=True)
class Block:
    """Consecutive atoms that together compute one legacy step.

    Attributes:
        atoms: in order of computation; at least one.
        default: the precision of the port as a whole, for blocks that only follow their input.
    """

    atoms: tuple[Atom, ...]
    default: Precision

    @property
    def names(self) -> tuple[str, ...]:
        """The port's layers, those that do nothing left out."""
        return tuple(name for atom in self.atoms if atom.kind != "identity" for name in atom.names)

    @property
    def entry(self) -> int:
        """Key of the tensor that the block takes, in the port's trace."""
        return self.atoms[0].entry

    @property
    def leaving(self) -> int:
        """Key of the tensor that the block gives."""
        return self.atoms[-1].key

    @property
    def precision(self) -> Precision:
        """The first precision that an active atom declares."""
        for atom in self.atoms:
            if atom.kind != "identity" and atom.precision is not None:
                return atom.precision
        return self.default

    @property
    def dense(self) -> Atom | None:
        """The dense atom, if the block has exactly one."""
        found = [atom for atom in self.atoms if atom.kind == "dense"]
        return found[0] if len(found) == 1 else None

    @property
    def is_training(self) -> bool:
        """Whether any of it was built in training mode."""
        return any(atom.is_training for atom in self.atoms)

    @property
    def conditions(self) -> Asked | None:
        """Those of somebody's own code; None where there is none, or where it cannot be seen."""
        return _conditions(self.atoms)

    def run(self, x: Array) -> Array:
        """(rows, inputs) to (rows, units), in the port's dtypes."""
        for atom in self.atoms:
            x = atom.run(x)
        return x

    @property
    def tail(self) -> Callable[[Array], Array] | None:
        """What follows the affine part, on preactivations; None where no dense atom comes first."""
        active = [atom for atom in self.atoms if atom.kind != "identity"]
        if not active or active[0].kind != "dense":
            return None

        def run(z: Array) -> Array:
            dtype = np.dtype(
                np.float32 if self.precision.compute in ("float16", "bfloat16") else self.precision.compute
            )
            values = z.astype(dtype)
            if active[0].activation is not None:
                values = active[0].activation(values)
            for atom in active[1:]:
                values = atom.run(values)
            return values

        return run
