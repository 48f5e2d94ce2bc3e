"""What MATLAB's ``genFunction`` writes: constants, then a simulation. Read as data by a small parser, and never run.

Source: MathWorks' documentation of genFunction, mapminmax and mapstd, and files that it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, MissingMemberError, ScalingRangeError, UnknownMemberError
from porter.formats.fixed import Formula, Ranges, Stored, assemble
from porter.formats.matlab.simulation import (
    check_constants,
    check_functions,
    check_simulation,
    is_in_cells,
    refuse,
    words,
)
from porter.formats.matlab.statements import Statement, split_functions, split_statements
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import is_text, numbers, read_lines
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import matlab

Array = NDArray[Any]

FAMILY = "matlab-function"
FORMULA = Formula("MATLAB's", "layer by layer, as they are numbered")
SEARCHED = 1 << 20
TRANSFERS = {
    "purelin": "linear",
    "tansig": "tanh",
    "logsig": "sigmoid",
    "poslin": "relu",
    "satlin": "relu(max_value=1.0)",
    "satlins": "hard_tanh",
    "softmax": "softmax",
}
_CONSTANT = re.compile(r"([A-Za-z]\w*(?:\.\w+)?)\s*=\s*(\[[^\[\]=]*\]|[-+]?(?:[\d.][\w.+-]*|nan|inf))", re.IGNORECASE)
_LAYER = re.compile(r"a(\d{1,4})=(?:(\w+)_apply\()?(?:repmat\(b\d|bsxfun\(@plus,b\d)")
_WEIGHTS = re.compile(r"(IW|LW)(\d{1,4})_(\d{1,4})")
_STEP = re.compile(r"([xy])(\d+)_step(\d+)[._](\w+)")


def matches(opened: OpenedFile) -> bool:
    """Text with ``function`` in its first lines and a constant ``IW1_1``."""
    if not is_text(opened) or b"function" not in opened.head:
        return False
    with opened.path.open("rb") as stream:
        return re.search(rb"^\s*IW1_1\s*=", stream.read(SEARCHED), re.MULTILINE) is not None


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a function's constants, and the names of its transfer functions.

    Raises:
        UnreadableError: a constant that is missing or no matrix, or something in the network that is not read.
        UsageError: an option that does not fit.
    """
    where = str(opened.path)
    before, functions = split_functions(split_statements(read_lines(opened)))
    if before or not functions:
        raise MissingMemberError(
            f"{where}: no function of MATLAB's",
            found=f"{before[0].text[:80]!r} in line {before[0].line}" if before else "nothing but comments",
            expected="function [Y,Xf,Af] = name(X,~,~), or function [y1] = name(x1), before everything else",
            remedy="give the file as genFunction wrote it, whole",
        )
    main = functions[0]
    in_cells = is_in_cells(where, main[0])
    start = next((n for n, each in enumerate(main) if n and not _CONSTANT.fullmatch(each.text)), len(main))
    simulation = main[start:]
    code = [[main[0], *simulation], *functions[1:]]
    arrays = _constants(where, main[1:start], words(statement for function in code for statement in function))
    check_constants(where, simulation)
    transfers = _transfers(where, simulation)
    source = WeightFile(opened.path, FAMILY, opened.sha256, arrays, {"transfer_functions": transfers})
    _check_connections(where, arrays, len(transfers))
    check_simulation(where, arrays, simulation, transfers, in_cells=in_cells)
    check_functions(where, code)
    layers = [_layer(where, source, number) for number in range(1, len(transfers) + 1)]
    return assemble(
        source, layers, options, FORMULA, norm_in=_ranges(where, source, "x"), norm_out=_ranges(where, source, "y")
    )


def _constants(where: str, statements: Sequence[Statement], used: Mapping[str, int]) -> dict[str, Array]:
    """Weights, biases and settings; a constant of another name only where nothing uses it."""
    found: dict[str, Array] = {}
    for statement in statements:
        match = _CONSTANT.fullmatch(statement.text)
        assert match is not None
        name = _settings_name(match[1])
        if not (_WEIGHTS.fullmatch(name) or re.fullmatch(r"b\d{1,4}", name) or _STEP.fullmatch(name)):
            if name.partition(".")[0] in used:
                raise refuse(where, statement, "no name that the simulation uses")
            continue
        if name in found:
            raise DamagedFileError(f"{where}: {name!r} is assigned twice", expected="one network in a file")
        found[name] = _matrix(f"{where}: {match[1]!r}", match[2])
    return found


def _settings_name(name: str) -> str:
    """``x1_step1_gain``, as older versions write it, as ``x1_step1.gain``."""
    match = _STEP.fullmatch(name)
    return name if match is None else f"{match[1]}{match[2]}_step{match[3]}.{match[4]}"


def _matrix(place: str, text: str) -> Array:
    rows = [re.split(r"[,\s]+", row.strip()) for row in re.split(r"[;\n]", text.strip("[]")) if row.strip()]
    values = [numbers(place, row) for row in rows]
    if not values or len({row.size for row in values}) > 1:
        raise DamagedFileError(f"{place} is no matrix", found=repr(text[:40]), expected="as many numbers in every row")
    return np.array(values)


def _transfers(where: str, simulation: Sequence[Statement]) -> list[str]:
    """The transfer function of each layer, by its number."""
    if any("tapdelay" in statement.text for statement in simulation):
        raise UnknownMemberError(f"{where}: a network with delays", expected="one that takes one row at a time")
    matches = [match for statement in simulation if (match := _LAYER.match(statement.plain))]
    found = {int(match[1]): match[2] or "purelin" for match in matches}
    if not found or sorted(found) != list(range(1, len(found) + 1)):
        raise MissingMemberError(
            f"{where}: the simulation of its layers",
            found=", ".join(f"a{number}" for number in sorted(found)) or "none",
            expected="a1 = tansig_apply(repmat(b1,1,Q) + IW1_1*xp1), and so on",
            remedy="give the file as genFunction wrote it, whole",
        )
    unknown = [name for name in found.values() if name not in TRANSFERS]
    if unknown:
        raise UnknownMemberError(
            f"{where}: a transfer function that is not read", found=unknown[0], expected=", ".join(TRANSFERS)
        )
    return [found[number] for number in sorted(found)]


def _check_connections(where: str, arrays: Mapping[str, Array], layers: int) -> None:
    wanted = {"IW1_1", *(f"LW{n}_{n - 1}" for n in range(2, layers + 1))}
    weights = {name for name in arrays if _WEIGHTS.fullmatch(name)}
    if weights != wanted:
        extra = sorted(weights - wanted)
        raise UnknownMemberError(
            f"{where}: its layers are no chain",
            found=f"{extra[0]} too" if extra else f"no {sorted(wanted - weights)[0]}",
            expected=", ".join(sorted(wanted)),
            remedy="networks with several inputs, or connections past a layer, are not read",
        )
    for name in arrays:
        match = _STEP.fullmatch(name)
        known = match is None or (match[2] == match[3] == "1" and match[4] in ("xoffset", "gain", "ymin", "ymean"))
        if not known:
            raise UnknownMemberError(
                f"{where}: a processing step that is not read",
                found=name,
                expected="mapminmax or mapstd alone (xoffset, gain, ymin or ymean)",
                remedy="train without removeconstantrows and fixunknowns, or take their rows out by hand",
            )


def _layer(where: str, source: WeightFile, number: int) -> Stored:
    kernel = source.arrays["IW1_1" if number == 1 else f"LW{number}_{number - 1}"]
    bias = source.arrays.get(f"b{number}")
    if bias is None or bias.size != len(kernel):
        raise MissingMemberError(
            f"{where}: b{number}",
            found="none" if bias is None else f"{bias.size} values",
            expected=f"{len(kernel)}, one for each row of the weights",
        )
    transfer = TRANSFERS[source.attributes["transfer_functions"][number - 1]]
    return Stored(kernel, bias.reshape(-1), kernel.shape[1], len(kernel), "units-first", transfer, is_said=True)


def _ranges(where: str, source: WeightFile, end: str) -> Ranges | None:
    """gain (x - xoffset) + ymin as what it is: a minimum and a maximum for ymin = -1, else a mean and a deviation."""
    own = {name.partition(".")[2]: array.reshape(-1) for name, array in source.arrays.items() if name[0] == end}
    if not own:
        return None
    level = own.get("ymin", own.get("ymean"))
    if "xoffset" not in own or "gain" not in own or level is None or own["xoffset"].size != own["gain"].size:
        raise MissingMemberError(
            f"{where}: {end}1_step1", found=", ".join(own), expected="xoffset, gain and ymin, as many of the first two"
        )
    if np.any(own["gain"] <= 0) or level.size not in (1, own["gain"].size):
        raise ScalingRangeError(f"{where}: {end}1_step1.gain", found="not positive", expected="a gain above zero")
    if "ymin" in own and np.all(level == -1):
        return Ranges(own["xoffset"], own["xoffset"] + 2 / own["gain"], "[-1,1]", is_said=True)
    return Ranges(own["xoffset"] - level / own["gain"], 1 / own["gain"], "mean-std", is_said=True)


program = program_of(matlab.program, "activation", "output_activation", "orientation", "scaling", "dtype")

READER = Family(
    FAMILY,
    "a function that MATLAB's genFunction wrote (.m): x1_step1.xoffset, IW1_1, b1, ...; read, never run",
    matches,
    read,
    program,
    example="porter port myNeuralNetworkFunction.m -o net.keras",
)
