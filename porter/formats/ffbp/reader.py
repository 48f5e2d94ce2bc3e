"""ffbp's text: a free header up to a line that begins with ``#``, ranges, ``$``, then all biases, then all weights.

Source: senbox-org/s3tbx, commit 87a854a, and snap-engine, commit 048ce3a.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, LayersError, TruncatedFileError
from porter.formats.fixed import Formula, Ranges, Stored, assemble, check_exact
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import count, is_text, numbers, read_lines
from porter.network import Claim, Network
from porter.network.weight_file import WeightFile
from reference.programs import ffbp

Array = NDArray[Any]

FAMILY = "ffbp"
FORMULA = Formula("C2RCC's", "plane by plane, as they are numbered")
SEARCHED = 1 << 20
TABLE, EXACT = "logistic_table", "sigmoid"
COMPARED_ROWS = 1000
_NAMES = re.compile(r"(input|output)\s+\d+ is (\S+) in \[")


def matches(opened: OpenedFile) -> bool:
    """Text with a line that begins with ``#planes=``, near its beginning."""
    if not is_text(opened):
        return False
    with opened.path.open("rb") as stream:
        return re.search(rb"[\r\n]#planes=", stream.read(SEARCHED)) is not None


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a network.

    Raises:
        UnreadableError: damaged text.
        UsageError: an option that does not fit.
    """
    where = str(opened.path)
    contents = _Contents.of(where, read_lines(opened))
    source = WeightFile(opened.path, FAMILY, opened.sha256, contents.arrays, contents.attributes)
    check_exact(where, options)
    own = EXACT if options.exact_activations else TABLE
    planes = contents.attributes["planes"]
    layers = [
        Stored(source.arrays[f"wgt/{n}"], source.arrays[f"bias/{n + 1}"], planes[n], planes[n + 1], "units-first", own)
        for n in range(len(planes) - 1)
    ]
    pairs = [source.arrays[name] for name in ("inputs", "outputs")]
    norm_in, norm_out = (Ranges(each[:, 0], each[:, 1], "[0,1]") for each in pairs)
    network = assemble(source, layers, options, FORMULA, norm_in=norm_in, norm_out=norm_out)
    return _with_exact_claim(network) if options.exact_activations else network


@dataclass
class _Contents:
    """The lines behind the header, taken one after the other.

    Attributes:
        where: the file, for messages.
        lines: with what is in them, and where they stand.
        arrays: (n, 2) ``inputs`` and ``outputs``; flat ``bias/1``, ... and ``wgt/0``, ...
        attributes: ``planes``: the widths; ``input_names`` and ``output_names`` where the header says them.
    """

    where: str
    lines: list[tuple[int, str]]
    arrays: dict[str, Array]
    attributes: dict[str, Any]

    @classmethod
    def of(cls, where: str, lines: Sequence[str]) -> _Contents:
        start = next((number for number, line in enumerate(lines) if line.startswith("#")), len(lines))
        behind = [(number + 1, line.strip()) for number, line in enumerate(lines) if number > start and line.strip()]
        found = cls(where, behind[::-1], {}, {})
        found._names(lines[:start])
        for name in ("inputs", "outputs"):
            found._ranges(name)
        found._planes()
        return found

    def _next(self, what: str) -> tuple[str, list[str]]:
        if not self.lines:
            raise TruncatedFileError(f"{self.where} ends before {what}", remedy="copy or download the file again")
        number, line = self.lines.pop()
        return f"{self.where}, line {number}", line.split()

    def _names(self, header: Sequence[str]) -> None:
        for line in header:
            match = _NAMES.match(line)
            if match is not None:
                self.attributes.setdefault(f"{match[1]}_names", []).append(match[2])

    def _ranges(self, name: str) -> None:
        place, words = self._next(f"the number of {name}")
        width = count(place, " ".join(words))
        rows = []
        for _ in range(width):
            place, words = self._next(f"the ranges of its {width} {name}")
            rows.append(numbers(place, words, 2))
        self.arrays[name] = np.array(rows)

    def _planes(self) -> None:
        place, words = self._next("the line '$'")
        if words != ["$"]:
            raise DamagedFileError(place, found=repr(" ".join(words)[:40]), expected="'$' behind the ranges")
        place, words = self._next("the planes")
        text = " ".join(words)
        if not text.startswith("#planes="):
            raise DamagedFileError(place, found=repr(text[:40]), expected="'#planes=' and the sizes of the planes")
        sizes = [count(place, word) for word in text.removeprefix("#planes=").split()]
        self._check_sizes(place, sizes)
        planes = self.attributes["planes"] = sizes[1:]
        for n in range(1, len(planes)):
            self._block(f"bias/{n}", ["bias", str(n), str(planes[n])], planes[n])
        for n in range(len(planes) - 1):
            self._block(f"wgt/{n}", ["wgt", str(n), str(planes[n]), str(planes[n + 1])], planes[n] * planes[n + 1])
        if self.lines:
            raise DamagedFileError(
                f"{self.where} goes on behind its weights", found=f"{len(self.lines)} more lines", expected="none"
            )

    def _check_sizes(self, place: str, sizes: Sequence[int]) -> None:
        ends = (len(self.arrays["inputs"]), len(self.arrays["outputs"]))
        if len(sizes) < 3 or sizes[0] != len(sizes) - 1 or (sizes[1], sizes[-1]) != ends:
            raise LayersError(
                f"{place}: the planes contradict themselves or the ranges",
                found=" ".join(map(str, sizes)),
                expected=f"their number, then {ends[0]} inputs, sizes of hidden planes, {ends[1]} outputs",
                remedy="the file is damaged, or put together from two: get it again",
            )

    def _block(self, name: str, wanted: list[str], size: int) -> None:
        place, words = self._next(f"the block {' '.join(wanted)!r}")
        if words != wanted:
            raise DamagedFileError(place, found=repr(" ".join(words)[:40]), expected=repr(" ".join(wanted)))
        taken: list[str] = []
        while len(taken) < size and self.lines and self.lines[-1][1][:1] not in "bw":
            taken += self.lines.pop()[1].split()
        self.arrays[name] = numbers(f"{self.where}: the block {' '.join(wanted)!r}", taken, size)


def _with_exact_claim(network: Network) -> Network:
    """The same network, with what it costs to leave the table."""
    share = departure(network)
    detail = (
        f"the original looks the logistic function up in a table of {ffbp.ENTRIES:,}: without it, outputs differ by up "
        f"to {share:.1e} of their range ({COMPARED_ROWS} rows in the documented range)"
    )
    claim = Claim("network", "activation table", "replaced by the exact function", "declared", detail)
    return replace(network, claims=(*network.claims, claim))


def departure(network: Network) -> float:
    """The largest difference that the exact function makes, as a share of an output's range."""
    rng = np.random.default_rng(0)
    low, high = network.source.arrays["inputs"].T
    rows = rng.uniform(low, high, (COMPARED_ROWS, len(low)))
    ((kept,), (exact,)) = (program(network, {"exact_activations": flag})(rows) for flag in (False, True))
    width = np.ptp(network.source.arrays["outputs"], axis=1)
    return float(np.max(np.abs(kept - exact) / width))


program = program_of(
    ffbp.program, "activation", "output_activation", "orientation", "scaling", "exact_activations", "dtype"
)

READER = Family(
    FAMILY,
    "text with `#planes=`, then all biases, then all weights (C2RCC, Case-2 Regional; ffbp)",
    matches,
    read,
    program,
    example="porter port rtosa_aann.net -o aann.keras --dtype float64",
    has_tables=True,
    has_jacobian=True,
)
