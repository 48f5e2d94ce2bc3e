"""A port whose runtime shows what its layers give, and runs none of them alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from porter.errors import PorterError, PortError, first_line
from reference.precision import Precision

Array = NDArray[Any]
Run = Callable[[Sequence[Array]], Mapping[str, Array]]
Weights = Callable[[], Mapping[str, tuple[Array, Array | None]]]
DOUBLE = Precision("float64", "float64")


@dataclass(frozen=True)
class TracedPort:
    """A file run by its own runtime: inputs to what every layer gives.

    Attributes:
        name: of the file or the object, for people.
        runtime: what runs it, with its version: ``"gcc 12.2.0 -O2"``.
        run: (rows, ...) for each input, float64 that float32 holds, to (rows, ...) for each layer by its name, in an
            order of computation. Layers bear the names of the legacy program's steps; those that it does not show are
            left out, and are judged together with the next that it does.
        outputs: which of these names are its outputs, in the network's order.
        precision: in which it computes.
        precisions: the same of single layers, by name, where it is another.
        path: of the file; None where it came from none.
        weights: reads the arrays of its dense layers as it holds them: by layer, the kernel (inputs, units) and the
            bias (units,) or None, float64; None where it shows none.
        portable: how to write the file anew, for remedies.
        call: inputs to the outputs by their names, by what a person calls of it, where that is something else than
            ``run``.
        rate: rows a second on given inputs, where the runtime measures that better than a call of ``run`` does.
        program: the program that it is (``porter.exports.program.Program``), which does more for its user than compute;
            None for any other runtime.
        source: the text of a program, and what can be done with it (``porter.exports.edited.Source``); None where it is
            none.
        alone: runs one layer by its name on arrays of its own, as ``run`` gives and takes them; None where the runtime
            runs none alone. It raises where a layer cannot be.
        states: by recurrent layer, what gives its states after each time step, as
            ``reference.rounding.recurrent_steps`` asks for them.
        notes: what the report says of it.
        doubts: why what somebody calls of it may not be what was judged, a sentence each.
        left_open: what the rows of all calls so far could not show of a legacy program
            (``porter.ports.exercise.Unexercised``); None where its operations are not known.
    """

    name: str
    runtime: str
    run: Run
    outputs: tuple[str, ...]
    precision: Precision = DOUBLE
    precisions: Mapping[str, Precision] = field(default_factory=dict)
    path: Path | None = None
    weights: Weights | None = None
    portable: str = "porter export"
    call: Run | None = None
    rate: Callable[[Sequence[Array]], float] | None = None
    program: Any = None
    source: Any = None
    alone: Callable[[str, Sequence[Array]], Array] | None = None
    states: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    left_open: Callable[[Any], Any] | None = None

    def precision_of(self, layer: str) -> Precision:
        """In which it computes a layer."""
        return self.precisions.get(layer, self.precision)

    def trace(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """What every layer gives.

        Args:
            inputs: (rows, ...) for each input.

        Raises:
            PortError: the runtime raises, or gives another number of rows, or lacks an output.
        """
        try:
            found = dict(self.run([array.copy() for array in inputs]))
        except PorterError:
            raise
        except Exception as error:  # another's runtime may raise anything
            shapes = ", ".join(str(array.shape) for array in inputs)
            raise PortError(
                f"the port {self.name}",
                found=f"on rows of shape {shapes} {self.runtime} raises {type(error).__name__}: {first_line(error)}",
                expected="numbers of every layer",
            ) from error
        missing = [name for name in self.outputs if name not in found]
        if missing or not found:
            raise PortError(
                f"the port {self.name}", found=f"no {', '.join(missing) or 'layer'}", expected="its outputs"
            )
        return found
