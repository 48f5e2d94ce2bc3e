"""What a forward pass leaves behind, one record a step, and the shape that every step has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class LayerTrace:
    """The values that one step computed.

    Attributes:
        name: the step's legacy name; nested or shared nodes are ``sub/layer@call``.
        outputs: (rows, ...) what the step hands on.
        preactivation: (rows, units) what went into the activation, or None where the step has none.
        states: recurrent states after the last time step, in the layer's own order.
    """

    name: str
    outputs: Array
    preactivation: Array | None = None
    states: tuple[Array, ...] = field(default=())


@runtime_checkable
class Step(Protocol):
    """One step of a legacy program, callable on any input, so that it can be judged alone."""

    @property
    def name(self) -> str:
        """The step's legacy name, unique in its program."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the steps (or program inputs) whose outputs this step takes."""
        ...

    def __call__(self, *inputs: Array) -> LayerTrace:
        """Compute the step on arrays of (rows, ...)."""
        ...


@dataclass(frozen=True)
class Program:
    """A legacy forward pass: named inputs, steps in the order of computation, named outputs.

    A step's ``inputs`` name program inputs or earlier steps.
    """

    inputs: tuple[str, ...]
    steps: tuple[Any, ...]
    outputs: tuple[str, ...]

    def step(self, name: str) -> Any:
        """The step of that name.

        Raises:
            KeyError: no such step; the message lists those that exist.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"no step {name!r}; the program has {', '.join(s.name for s in self.steps)}")

    def trace(self, feed: Mapping[str, Array] | Array) -> dict[str, LayerTrace]:
        """Run every step.

        Args:
            feed: (rows, ...) for each program input, or one array for a program of one input.

        Returns:
            The trace of every step, in order of computation, by step name.
        """
        return dict(self.walk(feed))

    def walk(self, feed: Mapping[str, Array] | Array) -> Iterator[tuple[str, LayerTrace]]:
        """The same one by one; what no later step takes is forgotten, so that memory stays bounded."""
        feeds = feed if isinstance(feed, Mapping) else {self.inputs[0]: feed}
        last_use = {name: step.name for step in self.steps for name in step.inputs}
        values: dict[str, Array] = {name: np.asarray(feeds[name]) for name in self.inputs}
        for step in self.steps:
            trace = step(*(values[name] for name in step.inputs))
            values[step.name] = trace.outputs
            for name in set(step.inputs):
                if last_use[name] == step.name:
                    del values[name]
            yield step.name, trace

    def __call__(self, feed: Mapping[str, Array] | Array, *, block: int = 8192) -> tuple[Array, ...]:
        """The outputs alone, in blocks of ``block`` rows, so that memory stays bounded."""
        feeds = feed if isinstance(feed, Mapping) else {self.inputs[0]: feed}
        rows = len(next(iter(feeds.values())))
        parts: list[tuple[Array, ...]] = []
        for start in range(0, max(rows, 1), block):
            part = {name: np.asarray(value)[start : start + block] for name, value in feeds.items()}
            parts.append(self._outputs(part))
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))

    def _outputs(self, feeds: Mapping[str, Array]) -> tuple[Array, ...]:
        values = {name: np.asarray(feeds[name]) for name in self.inputs if name in self.outputs}
        values.update((name, trace.outputs) for name, trace in self.walk(feeds) if name in self.outputs)
        return tuple(values[name] for name in self.outputs)


def chain(steps: Sequence[Any], input_name: str = "inputs") -> Program:
    """A program whose steps follow each other; the steps' ``inputs`` are taken as they are."""
    return Program((input_name,), tuple(steps), (steps[-1].name,))
