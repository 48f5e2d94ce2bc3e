"""neural-fortran's text: how many layers, their sizes, in later versions an activation each, all biases, all weights.

Source: modern-fortran/neural-fortran, commits 6454673 (without activations) and 1acb099 (with them). ``w`` is
(inputs, units), written column by column. The precision is chosen where it is compiled; the digits tell which it was.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, PorterError, UnknownMemberError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.neural_fortran.records import SINGLE_DIGITS, Records, digits
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import count, is_text, numbers, read_lines
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import neural_fortran

Array = NDArray[Any]

FAMILY = "neural-fortran"
FORMULA = Formula("neural-fortran's", "all biases, then all weights, layer by layer")
DEFAULT = "sigmoid"
ACTIVATIONS = ("relu", "sigmoid", "tanh")
MOST_LAYERS = 10_000
_NAMED = re.compile(r"\s*1\s+[A-Za-z]\w*\s*")


def matches(opened: OpenedFile) -> bool:
    """Text of a count, so many sizes, and activations; or of nothing but all the numbers that the sizes ask for."""
    if not is_text(opened):
        return False
    lines = opened.head.decode("latin-1").split("\n")
    first = next((line for line in lines if line.strip()), "").strip()
    if not re.fullmatch(r"\d{1,5}", first):
        return False
    try:
        records = Records("", lines[:-1])
        _sizes(records)
        named = _NAMED.fullmatch(" ".join(records.peek())) is not None
        return named or _Contents.of("", read_lines(opened)) is not None
    except PorterError:
        return False


@dataclass(frozen=True)
class _Contents:
    """What a file holds.

    Attributes:
        sizes: of the layers, the inputs' first.
        activations: of the layers behind the inputs, as named; None where the version does not write them.
        arrays: flat ``biases/1``, ... and ``weights/1``, ...
    """

    sizes: list[int]
    activations: list[str] | None
    arrays: dict[str, Array]

    @classmethod
    def of(cls, where: str, lines: Sequence[str]) -> _Contents:
        records = Records(where, lines)
        sizes = _sizes(records)
        named = _NAMED.fullmatch(" ".join(records.peek())) is not None
        activations = _activations(records, len(sizes)) if named else None
        words = {
            f"biases/{n}": records.array(f"the biases of layer {n}", size) for n, size in enumerate(sizes[1:], start=1)
        }
        for n, (inputs, units) in enumerate(itertools.pairwise(sizes), start=1):
            words[f"weights/{n}"] = records.array(f"the weights of layer {n}", inputs * units)
        if records.left:
            raise DamagedFileError(
                f"{where} goes on behind its weights", found=f"{records.left:,} lines", expected="none"
            )
        most = max(digits(word) for each in words.values() for word in each)
        dtype = np.float32 if most <= SINGLE_DIGITS else np.float64
        arrays = {name: numbers(f"{where}: {name}", each, dtype=dtype) for name, each in words.items()}
        return cls(sizes, activations, arrays)


def _sizes(records: Records) -> list[int]:
    place, words = records.line("the number of layers")
    layers = count(f"{place}: the number of layers", " ".join(words), 2)
    if layers > MOST_LAYERS:
        raise DamagedFileError(f"{place}: the number of layers", found=str(layers), expected=f"at most {MOST_LAYERS:,}")
    return [count(f"{records.where}: a size", word) for word in records.array("the sizes of the layers", layers)]


def _activations(records: Records, layers: int) -> list[str]:
    """Names of all layers but the first, which has one that nothing uses."""
    names = []
    for number in range(1, layers + 1):
        place, words = records.line(f"the activation of layer {number}")
        if len(words) != 2 or words[0] != str(number):
            raise DamagedFileError(place, found=repr(" ".join(words)[:40]), expected=f"{number} and an activation")
        if number > 1 and words[1] not in ACTIVATIONS:
            raise UnknownMemberError(
                f"{place}: an activation that is not read", found=repr(words[1][:40]), expected=", ".join(ACTIVATIONS)
            )
        names.append(words[1])
    return names[1:]


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a network of dense layers.

    Raises:
        UnreadableError: damaged text, or an activation that is not read.
        UsageError: an option that does not fit.
    """
    contents = _Contents.of(str(opened.path), read_lines(opened))
    said = contents.activations
    attributes = {"dims": contents.sizes, **({} if said is None else {"activations": said})}
    source = WeightFile(opened.path, FAMILY, opened.sha256, contents.arrays, attributes)
    names = [DEFAULT] * (len(contents.sizes) - 1) if said is None else said
    layers = [
        Stored(
            contents.arrays[f"weights/{n}"],
            contents.arrays[f"biases/{n}"],
            inputs,
            units,
            "units-first",
            names[n - 1],
            is_said=said is not None,
        )
        for n, (inputs, units) in enumerate(itertools.pairwise(contents.sizes), start=1)
    ]
    return assemble(source, layers, options, FORMULA)


program = program_of(neural_fortran.program, "activation", "output_activation", "orientation", "dtype")

READER = Family(
    FAMILY,
    "text of neural-fortran: a count of layers, their sizes, activations (or none), all biases, all weights",
    matches,
    read,
    program,
    example="porter port my_net.txt -o my_net.keras",
)
