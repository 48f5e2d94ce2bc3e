"""What lies between two tensors of a port through which everything passes, whatever layers it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.judging import cast, port_rows
from porter.ports.blocks import Atom, Block
from reference.precision import Precision

Array = NDArray[Any]


def precision_of(atoms: Iterable[Atom], default: Precision) -> Precision:
    """Of pieces that together compute a step: the finest of the dense ones, or the coarsest where there are none.

    A piece beside them that is coarser rounds, and is no reason to allow more.
    """
    declared = [(atom.kind, atom.precision) for atom in atoms if atom.kind != "identity"]
    dense = [one for kind, one in declared if kind == "dense" and one is not None]
    if dense:
        return min(dense, key=lambda one: one.format.unit)
    return max((one for _, one in declared if one is not None), key=lambda one: one.format.unit, default=default)


class Span(Block):
    """Pieces that together compute a step."""

    @property
    def precision(self) -> Precision:
        """In which they do."""
        return precision_of(self.atoms, self.default)

    def fed(self, tensor: Array) -> Array:
        """A tensor as (rows, columns) in the precision of the first piece, which takes it."""
        return port_rows(tensor, super().precision)


@dataclass(frozen=True)
class Pieces:
    """A port in a chain of pieces, between tensors through which everything passes.

    Attributes:
        atoms: in order; each takes what the one before gives.
        default: the precision of pieces that only follow their input.
    """

    atoms: Sequence[Atom]
    default: Precision

    def span(self, start: int, stop: int) -> Span:
        """The pieces from one tensor to another."""
        return Span(tuple(self.atoms[start:stop]), self.default)

    def walk(self, start: int, rows: Array, most: int) -> Iterator[tuple[int, Array]]:
        """Run from one tensor on: the number of each tensor behind it, and its values as (rows, columns).

        Args:
            start: the number of the tensor that ``rows`` are.
            rows: (rows, columns).
            most: how many tensors to give.
        """
        values = cast(rows, Block(tuple(self.atoms[start:]), self.default).precision.compute)
        for position in range(start, min(start + most, len(self.atoms))):
            values = np.asarray(self.atoms[position].run(values))
            yield position + 1, values.reshape(len(values), -1).astype(np.float64)
