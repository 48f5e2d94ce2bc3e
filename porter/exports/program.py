"""Programs that read rows and give what every layer gives, whatever their language: run, never loaded.

Such a program answers ``--layers`` with lines: ``porter-program 1 PRECISION``, one ``input 8x3 NAME`` each, one
``layer 8x5 NAME`` each, one ``output NAME`` each. With ``--trace`` it reads rows of float64 numbers until they end,
all inputs one behind the other, and writes for each row what every layer gives, in that order, as float64. With
``--outputs`` it writes what the function gives that others call. With ``--rate`` it prints rows a second. With
``--golden`` it writes the rows that it tests itself with: inputs, outputs and allowed errors, as float64; with
``--selftest`` it does so, with a number behind that as if all their outputs were larger by it. Without a word it reads
rows of text, and prints the outputs of each in a line.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError

Array = NDArray[Any]

SECONDS = 300.0
VERSION = "1"


@dataclass(frozen=True)
class SelfTest:
    """What a program's test of itself came to, for people and for other programs.

    Attributes:
        says: whether it says that it passed.
        ends: whether it ends as programs do that are content.
    """

    says: bool
    ends: bool

    @property
    def passed(self) -> bool:
        """Whether nobody would take it for failed."""
        return self.says and self.ends

    @property
    def failed(self) -> bool:
        """Whether nobody would take it for passed."""
        return not (self.says or self.ends)


@dataclass(frozen=True)
class Program:
    """A program that can be started.

    Attributes:
        command: that starts it.
        name: of its file, for people.
        precision: in which it computes.
        inputs: shape of a row of each input, by name.
        layers: shape of a row of each layer, by name, in order.
        outputs: names of the layers that are outputs.
    """

    command: tuple[str, ...]
    name: str
    precision: str
    inputs: Mapping[str, tuple[int, ...]]
    layers: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    def run(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """(rows, ...) for each input to (rows, ...) for each layer.

        Raises:
            PortError: it ends with an error, or does not give so many numbers.
        """
        return self._ask("--trace", inputs, list(self.layers.items()))

    def _ask(
        self, option: str, inputs: Sequence[Array], wanted: Sequence[tuple[str, tuple[int, ...]]]
    ) -> dict[str, Array]:
        count, told = len(inputs[0]), _start((*self.command, option), self.name, _side_by_side(inputs).tobytes())
        sizes = [_size(shape) for _, shape in wanted]
        if len(told) != 8 * count * sum(sizes):
            raise PortError(
                f"the port {self.name}", found=f"{len(told)} bytes for {count} rows",
                expected=f"{8 * count * sum(sizes)}, eight for each number",
            )  # fmt: skip
        values = np.frombuffer(told, "<f8").reshape(count, sum(sizes))
        ends = np.cumsum(sizes)
        return {
            name: values[:, end - size : end].reshape(count, *shape)
            for (name, shape), size, end in zip(wanted, sizes, ends, strict=True)
        }

    def call(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """(rows, ...) for each input to (rows, ...) for each output, by the function that others call.

        Raises:
            PortError: it ends with an error, or does not give so many numbers.
        """
        return self._ask("--outputs", inputs, list(self._ends().items()))

    def print_outputs(self, inputs: Sequence[Array]) -> list[list[str]]:
        """What it prints for rows of text, a line a row, each in the words that it consists of.

        Raises:
            PortError: it ends with an error.
        """
        rows = (" ".join(map(repr, row.tolist())) for row in _side_by_side(inputs))
        told = _start(self.command, self.name, "".join(f"{row}\n" for row in rows).encode())
        return [
            re.split(r"[\s,;]+", line.strip()) for line in told.decode("utf-8", "replace").splitlines() if line.strip()
        ]

    def golden(self) -> tuple[Array, Array, Array]:
        """Inputs, outputs and allowed errors of the rows that it tests itself with, all (rows, numbers); perhaps none.

        Raises:
            PortError: it ends with an error, or does not give whole rows.
        """
        told = _start((*self.command, "--golden"), self.name, b"")
        given, made = (sum(map(_size, each)) for each in (self.inputs.values(), self._ends().values()))
        row = given + 2 * made
        if len(told) % (8 * row):
            raise PortError(
                f"the port {self.name}", found=f"{len(told)} bytes of golden rows", expected=f"{8 * row} each"
            )
        inputs, outputs, allowed = np.split(np.frombuffer(told, "<f8").reshape(-1, row), [given, given + made], axis=1)
        return inputs, outputs, allowed

    def selftest(self, shift: float = 0.0) -> SelfTest:
        """What its test of itself comes to.

        Args:
            shift: added to the outputs that it expects.

        Raises:
            PortError: it cannot be started, or does not end.
        """
        return run_selftest((*self.command, "--selftest", repr(shift)), self.name)

    def _ends(self) -> dict[str, tuple[int, ...]]:
        return {name: self.layers[name] for name in self.outputs}

    def rate(self, inputs: Sequence[Array]) -> float:
        """Rows a second, as the program itself measures them.

        Raises:
            PortError: it ends with an error, or gives no number.
        """
        told = _start((*self.command, "--rate"), self.name, _side_by_side(inputs).tobytes())
        try:
            return float(told)
        except ValueError as error:
            raise PortError(f"the port {self.name}", found=f"{told[:40]!r} rows a second") from error


def run_selftest(command: Sequence[str], name: str) -> SelfTest:
    """What a test of itself comes to.

    Args:
        command: that runs it.
        name: of its file, for people.

    Raises:
        PortError: it cannot be started, or does not end.
    """
    done = _run(command, name, b"")
    return SelfTest(b"passed" in done.stdout and b"FAILED" not in done.stdout, done.returncode == 0)


def ask(command: Sequence[str], name: str) -> Program:
    """A program, with what it says of itself.

    Args:
        command: that starts it.
        name: of its file, for people.

    Raises:
        PortError: it does not answer as such programs do.
    """
    answer = _start((*command, "--layers"), name, b"").decode("utf-8", "replace").split("\n")
    lines = [line.strip().split(" ", 1) for line in answer if line.strip()]
    try:
        title, (version, precision) = lines[0][0], lines[0][1].split()
        sides = {kind: dict(_side(rest) for each, rest in lines[1:] if each == kind) for kind in ("input", "layer")}
        outputs = tuple(rest for each, rest in lines[1:] if each == "output")
        if title != "porter-program" or version != VERSION or not all(sides.values()) or not outputs:
            raise ValueError(answer[0])
        np.dtype(precision)
    except (ValueError, IndexError, TypeError) as error:
        raise PortError(
            f"the port {name}",
            found=f"it answers --layers with {(answer or [''])[0][:80]!r}",
            expected="a program as porter export writes it: porter-program 1, its inputs, layers and outputs",
            remedy="verify the file with the main that it was written with",
        ) from error
    return Program(tuple(command), name, precision, sides["input"], sides["layer"], outputs)


def _side(told: str) -> tuple[str, tuple[int, ...]]:
    """``8x3 NAME``; a name may have blanks in it."""
    shape, name = told.split(" ", 1)
    return name, tuple(int(size) for size in shape.split("x"))


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _side_by_side(inputs: Sequence[Array]) -> Array:
    """(rows, ...) for each input as one (rows, numbers), float64 as files have it."""
    parts = [np.asarray(each, "<f8").reshape(len(each), -1) for each in inputs]
    return np.ascontiguousarray(np.concatenate(parts, axis=1), "<f8")


def _run(command: Sequence[str], name: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise PortError(f"the port {name}", found=f"it did not end in {SECONDS:.0f} s") from error
    except OSError as error:
        raise PortError(f"the port {name} cannot be started", found=str(error)) from error


def _start(command: Sequence[str], name: str, given: bytes) -> bytes:
    done = _run(command, name, given)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise PortError(
            f"the port {name}", found=f"it ends with status {done.returncode}: {(said or ['nothing'])[-1][:200]}"
        )
    return done.stdout
