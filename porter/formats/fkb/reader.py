"""Fortran-Keras Bridge: layers by name, then biases, then weights, one line a layer.

Source: scientific-computing/FKB, commit a1c97d4: dense layers with an activation behind each, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, MissingMemberError, TruncatedFileError, UnknownMemberError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import count, is_text, numbers, read_lines
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import fkb

Array = NDArray[Any]

FAMILY = "fkb"
FORMULA = Formula("the Fortran-Keras Bridge's", "dense layers as they stand in the file")
MOST_LAYERS = 10_000
ACTIVATIONS = ("linear", "relu", "leakyrelu", "sigmoid", "tanh")


def matches(opened: OpenedFile) -> bool:
    """Text whose first line is a count, and whose second begins with ``input``."""
    if not is_text(opened):
        return False
    lines = [line.split() for line in opened.head.decode("latin-1").splitlines()[:2]]
    return len(lines) > 1 and len(lines[0]) == 1 and lines[0][0].isdigit() and lines[1][:1] == ["input"]


@dataclass(frozen=True)
class _Header:
    """What the lines before the numbers say.

    Attributes:
        widths: inputs, then the units of each dense layer.
        activations: (name, parameter) of each dense layer.
        end: index of the first line behind them.
    """

    widths: list[int]
    activations: list[tuple[str, str]]
    end: int


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a model with its weights.

    Raises:
        MissingMemberError: the weights were never written.
        UnknownMemberError: a layer that is not read.
        UnreadableError: damaged text.
        UsageError: an option that does not fit.
    """
    where = str(opened.path)
    lines = read_lines(opened)
    header = _header(where, lines)
    arrays = dict(_arrays(where, header, [line.split() for line in lines[header.end :] if line.strip()]))
    source = WeightFile(
        opened.path,
        FAMILY,
        opened.sha256,
        arrays,
        {"widths": header.widths, "activations": [list(pair) for pair in header.activations]},
    )
    layers = []
    for n, pair in enumerate(header.activations, start=1):
        inputs, units = header.widths[n - 1 : n + 1]
        kernel, bias = arrays[f"weights/{n}"], arrays[f"biases/{n}"]
        layers.append(Stored(kernel, bias, inputs, units, "units-first", _spelling(where, pair), is_said=True))
    return assemble(source, layers, options, FORMULA)


def _header(where: str, lines: Sequence[str]) -> _Header:
    total = count(f"{where}: the number of layers", lines[0].strip())
    rows = [line.split() for line in lines[1 : total + 1]]
    if total > MOST_LAYERS or len(rows) < total:
        raise TruncatedFileError(
            f"{where} ends among its layers", found=f"{len(rows)} lines", expected=f"{total}, as its first line says"
        )
    widths = [count(f"{where}: line 2", _whole(_parameter(where, rows, 0)))]
    activations: list[tuple[str, str]] = []
    for index in range(1, total):
        name = rows[index][0] if rows[index] else ""
        if name == "dense":
            widths.append(count(f"{where}: line {index + 2}", _whole(_parameter(where, rows, index))))
            activations.append(("linear", "0"))
        elif name in ACTIVATIONS and activations and rows[index - 1][0] == "dense":
            activations[-1] = (name, _parameter(where, rows, index))
        else:
            raise UnknownMemberError(
                f"{where}, line {index + 2}: a layer that is not read",
                found=f"{name!r} behind {rows[index - 1][0]!r}",
                expected=f"dense layers, each with one of {', '.join(ACTIVATIONS)} behind it",
                remedy="fold batch normalization into the layer before it, leave dropout out, write the file again",
            )
    if len(widths) == 1:
        raise UnknownMemberError(f"{where} has no dense layer", expected="at least one")
    return _Header(widths, activations, total + 1)


def _parameter(where: str, rows: Sequence[Sequence[str]], index: int) -> str:
    row = rows[index]
    if len(row) != 2:
        raise DamagedFileError(
            f"{where}, line {index + 2}", found=repr(" ".join(row)[:60]), expected="a name and a number"
        )
    numbers(f"{where}, line {index + 2}", row[1:], 1)
    return row[1]


def _whole(word: str) -> str:
    """``"5.00000000"`` as ``"5"``: the bridge writes counts as reals."""
    value = float(word.lower().replace("d", "e"))
    return str(int(value)) if value == int(value) else word


def _arrays(where: str, header: _Header, rows: Sequence[Sequence[str]]) -> list[tuple[str, Array]]:
    """Flat arrays, by name; the learning rate comes first, then all biases, then all weights."""
    layers = len(header.widths) - 1
    if len(rows) <= 1:
        raise MissingMemberError(
            f"{where} holds no weights",
            found="the layers, and nothing behind them" if not rows else "the layers and a learning rate",
            expected=f"{layers} lines of biases and {layers} of weights",
            remedy="this is the architecture alone: write it again with the weights (convert_weights.py)",
        )
    numbers(f"{where}: the learning rate", rows[0], 1)
    found = []
    for kind, first in (("biases", 1), ("weights", 1 + layers)):
        for n in range(1, layers + 1):
            size = header.widths[n] * (header.widths[n - 1] if kind == "weights" else 1)
            words = rows[first + n - 1] if first + n - 1 < len(rows) else []
            found.append((f"{kind}/{n}", numbers(f"{where}: the {kind} of layer {n}", words, size, np.float32)))
    if len(rows) > 1 + 2 * layers:
        raise DamagedFileError(
            f"{where} goes on behind its weights",
            found=f"{len(rows) - 1 - 2 * layers} more lines",
            expected=f"{layers} lines of biases and {layers} of weights",
        )
    return found


def _spelling(where: str, pair: tuple[str, str]) -> str:
    name, parameter = pair
    if name != "leakyrelu":
        return name
    slope = float(np.float32(parameter.lower().replace("d", "e")))
    if slope > 1:
        raise UnknownMemberError(
            f"{where}: a leaky relu with a slope above 1",
            found=parameter,
            expected="at most 1, where max(a x, x) is what everybody calls leaky relu",
        )
    return f"leaky_relu(negative_slope={slope!r})"


program = program_of(fkb.program, "activation", "output_activation", "orientation", "dtype")

READER = Family(
    FAMILY,
    "text of the Fortran-Keras Bridge: a count, `input N`, layers, then biases and weights",
    matches,
    read,
    program,
    example="porter port simple_model_with_weights.txt -o simple.keras",
)
