"""A port that opens: whatever runs it, it can be called, and every tensor and every piece of it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from porter.ports.blocks import Atom
from porter.ports.runtime import Runtime

Array = NDArray[Any]
Key = int


class Port(Protocol):
    """What an examination asks of a port.

    Keras models (``porter.ports.keras.graph``) and graphs in files (``porter.ports.file_port``) answer it. A runtime
    that shows tensors and runs no part alone is a ``TracedPort``; one that shows outputs alone is a function.
    """

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def model(self) -> Any:
        """The keras.Model that it is; None of a graph in a file."""
        ...

    @property
    def runtime(self) -> Runtime:
        """What runs it."""
        ...

    @property
    def inputs(self) -> tuple[Key, ...]:
        """Keys of its inputs."""
        ...

    @property
    def outputs(self) -> tuple[Key, ...]:
        """Keys of its outputs."""
        ...

    @property
    def input_dtypes(self) -> tuple[str, ...]:
        """Of each input, as NumPy spells it."""
        ...

    @property
    def input_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """Shape of a row of each input; None where it is left open."""
        ...

    @property
    def batch(self) -> int | None:
        """How many rows it is made for, or None for any number."""
        ...

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Its pieces, cut wherever a single tensor crosses, each callable alone."""
        ...

    @property
    def pieces(self) -> tuple[Atom, ...]:
        """The same, with layers that run beside each other left together."""
        ...

    def trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        """Every tensor, for (rows, ...) of each input."""
        ...

    def __call__(self, *feeds: Array) -> tuple[Array, ...]:
        """Its outputs, as it runs for prediction."""
        ...

    def call_plainly(self, *feeds: Array) -> tuple[Array, ...]:
        """Its outputs as a person calls it, without a word on training."""
        ...
