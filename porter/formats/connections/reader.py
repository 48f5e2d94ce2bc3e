"""One connection a line under a heading that says what is what: ``from to weight``, or ``layer from to weight``.

Whose it is, nothing says: what is not written is not guessed. Units are numbers, or a word and a number, by which they
are ordered; a bias comes from ``bias``; every connection between two layers is listed; activations are a guess.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from porter.errors import DamagedFileError, UnknownMemberError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.listed import check_end
from porter.formats.opened import OpenedFile
from porter.formats.options import HIDDEN, OUTPUT, ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import is_text, numbers, read_lines
from porter.formats.wired import named_layers
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import connections

Array = NDArray[Any]

FAMILY = "connections"
FORMULA = Formula("a guess", "as the connections say; units of a layer by their numbers", is_wired=True)
HEADINGS = (
    ("from", "to", "weight"),
    ("source", "target", "weight"),
    ("layer", "from", "to", "weight"),
    ("layer", "source", "target", "weight"),
)
BIAS = "bias"
_UNIT = re.compile(r"([A-Za-z_]*)(\d{1,9})")


def matches(opened: OpenedFile) -> bool:
    """Text whose first line with something in it is one of the headings."""
    if not is_text(opened):
        return False
    lines = opened.head.decode("latin-1").removeprefix("\xef\xbb\xbf").splitlines()
    return _heading(next((line for line in lines if line.strip()), "")) is not None


def _words(line: str) -> list[str]:
    return re.sub(r"[,;]", " ", line).replace('"', "").split()


def _heading(line: str) -> tuple[str, ...] | None:
    words = tuple(word.lower() for word in _words(line))
    return words if words in HEADINGS else None


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a listing of whole layers.

    Raises:
        UnreadableError: damage, no chain of layers, or units whose order nothing says.
        UsageError: an option that does not fit.
    """
    where = str(opened.path)
    rows = list(_rows(where, read_lines(opened)))
    check_end(opened)
    weights = numbers(f"{where}: the weights", [words[-1] for _, words in rows])
    listed = [list(words[:-1]) for _, words in rows]
    source = WeightFile(opened.path, FAMILY, opened.sha256, {"weights": weights}, {"connections": listed})
    ends = _ends(where, rows)
    targets = {target for _, target in ends}
    inputs = _ordered(where, "inputs", {end for pair in ends for end in pair if end != BIAS} - targets)
    found = named_layers(where, [*inputs, *sorted(targets, key=_key)], len(inputs), ends, weights, BIAS)
    outputs = _ordered(where, "outputs", set(found[-1].units))
    _check_starts(where, inputs, outputs, has_bias=any(source == BIAS for source, _ in ends))
    spelt = [HIDDEN] * (len(found) - 1) + [OUTPUT]
    layers = [
        Stored(layer.kernel, layer.bias, layer.kernel.shape[1], len(layer.units), "units-first", name)
        for layer, name in zip(found, spelt, strict=True)
    ]
    return assemble(source, layers, options, FORMULA)


def _rows(where: str, lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The place and the words of each line behind the heading."""
    wanted = 0
    for number, line in enumerate(lines, start=1):
        words = _words(line)
        if not words:
            continue
        if wanted and len(words) != wanted:
            raise DamagedFileError(
                f"{where}, line {number}", found=repr(line.strip()[:60]), expected=f"{wanted} words, as its heading has"
            )
        if wanted:
            yield f"{where}, line {number}", words
        wanted = len(words)


def _ends(where: str, rows: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """Source and target of each connection; of layers that the file numbers, by the layer too: ``1:3``."""
    layers = _ordered(where, "layers", {_unit(place, words[0]) for place, words in rows if len(words) == 4})
    number_of = {name: number for number, name in enumerate(layers, start=1)}
    ends = []
    for place, words in rows:
        *layer, source, target, _ = words
        source = BIAS if source.lower() == BIAS else _unit(place, source)
        target = _unit(place, target)
        if layer:
            number = number_of[_unit(place, layer[0])]
            source, target = source if source == BIAS else f"{number - 1}:{source}", f"{number}:{target}"
        ends.append((source, target))
    return ends


def _unit(place: str, word: str) -> str:
    """The same without zeros before its number."""
    match = _UNIT.fullmatch(word)
    if match is None:
        raise UnknownMemberError(
            f"{place}: a unit whose place nothing says",
            found=repr(word[:40]),
            expected="a number, or a word and a number (x1, h2, y1); 'bias' as a source",
        )
    return f"{match[1]}{int(match[2])}"


def _key(name: str) -> tuple[int, int, str]:
    """By layer, where the name has one; then by number, and by what stands before the number."""
    layer, _, unit = name.rpartition(":")
    match = _UNIT.fullmatch(unit)
    assert match is not None, "names are made by _unit"
    return int(layer or 0), int(match[2]), match[1]


def _ordered(where: str, what: str, units: set[str]) -> list[str]:
    """Units in the order of their numbers, which stand behind one and the same word, and run without a gap.

    Raises:
        UnknownMemberError: they do not.
    """
    found = sorted(units, key=_key)
    keys = [_key(name) for name in found]
    if len({(layer, stem) for layer, _, stem in keys}) > 1 or any(
        after[1] - before[1] != 1 for before, after in itertools.pairwise(keys)
    ):
        raise UnknownMemberError(
            f"{where}: nothing says in which order the {what} are, or which there are",
            found=", ".join(name.rpartition(":")[2] for name in found[:8]),
            expected="names that differ in their number only, and numbers without a gap",
        )
    return found


def _check_starts(where: str, inputs: Sequence[str], outputs: Sequence[str], *, has_bias: bool) -> None:
    """Inputs are counted from 1, or from 0 where that can be no bias; within layers all units are counted alike."""
    first, last = _key(inputs[0]), _key(outputs[0])
    is_layered = ":" in inputs[0]
    is_doubtful = first[1] != last[1] if is_layered else first[1] == 0 and not has_bias
    if first[1] > 1 or is_doubtful:
        raise UnknownMemberError(
            f"{where}: nothing says which the first input is",
            found=f"inputs from {first[1]}, outputs from {last[1]}, {'a' if has_bias else 'no'} unit called 'bias'",
            expected="inputs from 1, or from 0 beside a bias; in layers that are numbered, outputs from the same",
            remedy="call the bias 'bias'; count the inputs from 1",
        )


program = program_of(connections.program, "activation", "output_activation", "orientation", "dtype")

READER = Family(
    FAMILY,
    "text under the heading `from to weight` or `layer from to weight`, one connection a line, biases from `bias`",
    matches,
    read,
    program,
    example="porter port connections.csv --activation sigmoid -o net.keras",
)
