"""What MATLAB's ``genFunction`` writes: constants, then a simulation. Read as data by a small parser, and never run.

Source: MathWorks' documentation of genFunction, mapminmax and mapstd, and files that it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, MissingMemberError, ScalingRangeError, UnknownMemberError
from porter.formats.fixed import Formula, Ranges, Stored, assemble
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family
from porter.formats.text import is_text, numbers, read_lines
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import matlab
from reference.trace import Program

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
_CONSTANT = re.compile(r"^[ \t]*([A-Za-z]\w*(?:\.\w+)?)[ \t]*=[ \t]*(\[[^\]=]*\]|[-+\w.]+)[ \t]*;", re.MULTILINE)
_LAYER = re.compile(r"\ba(\d{1,4})\s*=\s*(?:(\w+)_apply\()?\s*(?:repmat\(b(\d{1,4})|bsxfun\(@plus,\s*b(\d{1,4}))")
_WEIGHTS = re.compile(r"(IW|LW)(\d{1,4})_(\d{1,4})")
_STEP = re.compile(r"([xy])(\d+)_step(\d+)[._](\w+)")
_COMMENT = re.compile(r"%[^\n]*")
_DATA = re.compile(r"\b(?:X|x1|[Xx]p1|temp|a\d+|Y|y1)\b")
_FRAME = re.compile(
    r"isCellX=iscell\(X\)|X=\{X\}|TS=size\(X,2\)|if~isempty\(X\)|Q=size\((?:X\{1\}|x1),[12]\)|Y=cell\(1,TS\)|Y=cell2mat\(Y\)"
    r"|(X\{1,ts\}|x1|Y\{1,ts\}|y1)=\1'"
)
"""Statements around the network: cells, sizes, and rows for columns."""


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
    text = "\n".join(line for line in read_lines(opened) if not line.lstrip().startswith("%"))
    arrays = dict(_constants(where, text))
    transfers = _transfers(where, text)
    source = WeightFile(opened.path, FAMILY, opened.sha256, arrays, {"transfer_functions": transfers})
    _check_connections(where, arrays, text, len(transfers))
    _check_statements(where, arrays, text, len(transfers))
    layers = [_layer(where, source, number) for number in range(1, len(transfers) + 1)]
    return assemble(
        source, layers, options, FORMULA, norm_in=_ranges(where, source, "x"), norm_out=_ranges(where, source, "y")
    )


def _constants(where: str, text: str) -> list[tuple[str, Array]]:
    """Weights, biases and settings; other assignments are the simulation's."""
    found: dict[str, Array] = {}
    for match in _CONSTANT.finditer(text):
        name = match[1]
        if not (_WEIGHTS.fullmatch(name) or re.fullmatch(r"b\d{1,4}", name) or _STEP.fullmatch(name)):
            continue
        if name in found:
            raise DamagedFileError(f"{where}: {name!r} is assigned twice", expected="one network in a file")
        found[_settings_name(name)] = _matrix(f"{where}: {name!r}", match[2])
    return list(found.items())


def _settings_name(name: str) -> str:
    """``x1_step1_gain``, as older versions write it, as ``x1_step1.gain``."""
    match = _STEP.fullmatch(name)
    return name if match is None else f"{match[1]}{match[2]}_step{match[3]}.{match[4]}"


def _matrix(place: str, text: str) -> Array:
    inner = re.sub(r"\.\.\.[^\n]*\n", " ", text.strip("[]"))
    rows = [re.split(r"[,\s]+", row.strip()) for row in re.split(r"[;\n]", inner) if row.strip()]
    values = [numbers(place, row) for row in rows]
    if not values or len({row.size for row in values}) > 1:
        raise DamagedFileError(f"{place} is no matrix", found=repr(text[:40]), expected="as many numbers in every row")
    return np.array(values)


def _transfers(where: str, text: str) -> list[str]:
    """The transfer function of each layer, by its number."""
    found = {int(match[1]): match[2] or "purelin" for match in _LAYER.finditer(text)}
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


def _check_connections(where: str, arrays: Mapping[str, Array], text: str, layers: int) -> None:
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
    if "tapdelay" in text:
        raise UnknownMemberError(f"{where}: a network with delays", expected="one that takes one row at a time")
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


def _check_statements(where: str, arrays: Mapping[str, Array], text: str, layers: int) -> None:
    """See that what happens to the data is what genFunction writes: a hand may have put a logarithm before it."""
    wanted = [*_ends(arrays, "x"), *(_product(arrays, number) for number in range(1, layers + 1))]
    wanted += _ends(arrays, "y", layers)
    found: list[str] = []
    for statement in _statements(text):
        plain = re.sub(r"\s", "", statement)
        if not _DATA.search(statement) or _FRAME.fullmatch(plain):
            continue
        if len(found) == len(wanted) or not re.fullmatch(wanted[len(found)], plain):
            raise UnknownMemberError(
                f"{where}: a statement of the simulation that is not read",
                found=statement.strip()[:80],
                expected="the inputs scaled by x1_step1, if it is there, the layers, and the outputs scaled back",
                remedy="give the file as genFunction wrote it, and what was added by hand as transforms in a recipe",
            )
        found.append(plain)
    if len(found) < len(wanted):
        raise MissingMemberError(
            f"{where}: the simulation ends early",
            found=found[-1] if found else "none of its statements",
            expected="all layers, and mapminmax or mapstd wherever there are settings for it",
            remedy="give the file as genFunction wrote it, whole",
        )


def _statements(text: str) -> list[str]:
    """Those of the first function, but for its constants."""
    body = re.split(r"^\s*function\b[^\n]*", text, maxsplit=2, flags=re.MULTILINE)[1]
    body = re.sub(r"\.\.\.[^\n]*\n", " ", _COMMENT.sub("", _CONSTANT.sub("", body)))
    return [statement for statement in re.split(r"[;\n]", body) if statement.strip()]


def _ends(arrays: Mapping[str, Array], end: str, layers: int = 0) -> list[str]:
    """The pattern of the statement that scales an end, where there are settings; else that of one that need not be."""
    kind = {"ymin": "mapminmax", "ymean": "mapstd"}
    level = next((key for key in kind if f"{end}1_step1.{key}" in arrays), None)
    inner = rf"(?:{end}1_step1|(?:{end}1_step1_\w+,?){{3}})"
    if end == "x":
        return [] if level is None else [rf"[Xx]p1={kind[level]}_apply\((?:X\{{1,ts\}}|x1),{inner}\)"]
    given = rf"a{layers}" if level is None else rf"{kind[level]}_reverse\(a{layers},{inner}\)"
    return [rf"(?:Y\{{1,ts\}}|y1)={given}"]


def _product(arrays: Mapping[str, Array], number: int) -> str:
    """The pattern of a layer's statement."""
    is_scaled = any(name.startswith("x1_step1") for name in arrays)
    first = "[Xx]p1" if is_scaled else r"(?:[Xx]p1|X\{1,ts\}|x1)"
    weights, taken = ("IW1_1", first) if number == 1 else (f"LW{number}_{number - 1}", f"a{number - 1}")
    sums = (rf"repmat\(b{number},1,Q\)\+{weights}\*{taken}", rf"bsxfun\(@plus,b{number},{weights}\*{taken}\)")
    either = f"(?:{'|'.join(sums)})"
    return rf"a{number}=(?:{either}|\w+_apply\({either}\))"


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


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The legacy forward pass."""
    declared = {key: value for key, value in {**network.declarations, **changes}.items() if key in PROGRAM_OPTIONS}
    return matlab.program(network.source.arrays, network.source.attributes, **declared)


PROGRAM_OPTIONS = ("activation", "output_activation", "orientation", "scaling", "dtype")

READER = Family(
    FAMILY,
    "a function that MATLAB's genFunction wrote (.m): x1_step1.xoffset, IW1_1, b1, ...; read, never run",
    matches,
    read,
    program,
    example="porter port myNeuralNetworkFunction.m -o net.keras",
)
