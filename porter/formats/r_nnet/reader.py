"""R's nnet: ``coef(fit)`` as text (``b->h1``, a weight a line), or the arrays ``n`` and ``wts`` of a fit.

Source: cran/nnet, commit 2245c5e (src/nnet.c, R/nnet.R). Weights are in order of the unit that they lead to; its bias
comes first. Hidden units are logistic, cut off at 15; outputs are likewise, linear (``linout``) or a softmax. Of that
``nsunits``, the number of logistic units with the bias and the inputs, and ``softmax`` tell where they are stored too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import (
    DamagedFileError,
    KernelShapeError,
    MissingMemberError,
    NonFiniteError,
    PorterError,
    StoredTypeError,
    UnknownMemberError,
)
from porter.formats.containers.arrays import container_of
from porter.formats.fixed import Formula, Stored, assemble, check_exact
from porter.formats.folders import OpenedFolder
from porter.formats.listed import NamedNumber, numbers_by_name
from porter.formats.npz import NpzError, names_in, read_npz
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import is_text, numbers
from porter.formats.wired import named_layers
from porter.network import Claim, Network
from porter.network.weight_file import WeightFile
from reference.programs import r_nnet

Array = NDArray[Any]

FAMILY = "r-nnet"
LISTED = Formula("nnet's default", "as the names of the connections say", is_wired=True)
STORED = Formula("nnet's default", "hidden units, then outputs")
SIZES, WEIGHTS = "n", "wts"
READ = (SIZES, WEIGHTS, "nconn", "conn", "nsunits", "softmax")
"""Of a fit: sizes, weights, where each weight comes from, and what the outputs are. The rest does not matter here."""
MOST_UNITS = 10**6
OWN, EXACT = "cut_sigmoid", "sigmoid"
SMOOTHED = "the original's is exactly 0 below -15 and 1 above 15, where each unit is now up to 3.1e-7 off"
_FIRST = re.compile(rb'(?:[^\n]*\n)?\s*"?b->(?:h1|o1?)"?[\s,;]')
_NAME = re.compile(r"(b|[ih][1-9]\d{0,5})->(h[1-9]\d{0,5}|o(?:[1-9]\d{0,5})?)")


def matches(opened: OpenedFile) -> bool:
    """Text whose first or second line is a weight from the bias; or arrays called ``n`` and ``wts``."""
    if not isinstance(opened, OpenedFolder) and is_text(opened) and _FIRST.match(opened.head):
        return True
    try:
        return {SIZES, WEIGHTS} <= set(_names(opened))
    except PorterError:
        return False


def _names(opened: OpenedFile) -> list[str]:
    container = container_of(opened)
    if isinstance(opened, OpenedFolder):
        return [name.partition(".")[0] for name in opened.names]
    if container is not None:
        return list(container[1](opened)) if container[0] != "numbers in text" else []
    if opened.is_hdf5:
        return list(opened.hdf5.datasets)
    return list(names_in(opened.path)) if opened.is_npz else []


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a fit without connections past the hidden layer.

    Raises:
        UnreadableError: damage, or a fit with such connections.
        UsageError: an option that does not fit.
    """
    is_listed = not isinstance(opened, OpenedFolder) and is_text(opened) and _FIRST.match(opened.head) is not None
    check_exact(str(opened.path), options)
    network = _listed(opened, options) if is_listed else _stored(opened, options)
    if not options.exact_activations:
        return network
    claim = Claim("network", "activation cut", "replaced by the exact function", "declared", SMOOTHED)
    return replace(network, claims=(*network.claims, claim))


def _own(options: ReadOptions) -> str:
    return EXACT if options.exact_activations else OWN


def _listed(opened: OpenedFile, options: ReadOptions) -> Network:
    rows = list(numbers_by_name(opened, "->"))
    ends = [_cut(row) for row in rows]
    weights = numbers(f"{opened.path}: the weights", [row.word for row in rows])
    attributes = {"connections": [row.name for row in rows]}
    source = WeightFile(opened.path, FAMILY, opened.sha256, {"weights": weights}, attributes)
    names = sorted({end for pair in ends for end in pair if end != "b"}, key=_key)
    _check_numbers(str(opened.path), names)
    inputs = sum(name.startswith("i") for name in names)
    found = named_layers(str(opened.path), names, inputs, ends, weights, "b")
    if any(layer.bias is None for layer in found):
        raise MissingMemberError(f"{opened.path}: a layer without biases", expected="a weight from b to every unit")
    layers = [
        Stored(layer.kernel, layer.bias, layer.kernel.shape[1], len(layer.units), "units-first", _own(options))
        for layer in found
    ]
    return assemble(source, layers, options, LISTED)


def _cut(row: NamedNumber) -> tuple[str, str]:
    match = _NAME.fullmatch(row.name)
    if match is None:
        raise DamagedFileError(
            f"{row.place}: no connection of nnet's", found=repr(row.name[:40]), expected="b->h1, i1->h1, h1->o, ..."
        )
    return match[1], match[2]


def _check_numbers(where: str, names: Sequence[str]) -> None:
    """Units of a kind are numbered from 1 without a gap; a single output has no number."""
    for kind in "iho":
        own = [name for name in names if name[0] == kind]
        if not own and kind != "h":
            raise MissingMemberError(
                f"{where} has no unit {kind}", found=", ".join(names[:6]), expected="inputs i1, ... and outputs o"
            )
        wanted = ["o"] if own == ["o"] else [f"{kind}{number}" for number in range(1, len(own) + 1)]
        if own != wanted:
            missing = next(name for name in (*wanted, *own) if (name in wanted) != (name in own))
            raise MissingMemberError(
                f"{where}: the units {kind} are not numbered from 1 without a gap",
                found=", ".join(own[:6]),
                expected=f"{missing!r} {'too' if missing in wanted else 'not beside others'}",
                remedy="copy the file again",
            )


def _key(name: str) -> tuple[int, int]:
    """Inputs, hidden units, outputs, each by number; a single output has none."""
    return "iho".index(name[0]), int(name[1:] or 0)


def _stored(opened: OpenedFile, options: ReadOptions) -> Network:
    where = str(opened.path)
    arrays = {name: array for name, array in _arrays(opened).items() if name in READ}
    missing = [name for name in (SIZES, WEIGHTS) if name not in arrays]
    if missing:
        raise MissingMemberError(
            f"{where}: no numbers called {missing[0]!r}",
            found=", ".join(map(repr, arrays)) or "none that a fit has",
            expected=f"{SIZES!r} and {WEIGHTS!r}",
            remedy="of a folder, write numbers alone: write.table(..., row.names = FALSE, col.names = FALSE)",
        )
    digest = opened.digest() if isinstance(opened, OpenedFolder) else opened.sha256
    inputs, hidden, outputs = _sizes(where, arrays[SIZES])
    weights = _checked(where, arrays, inputs, hidden, outputs)
    pairs = [(inputs, hidden), (hidden, outputs)] if hidden else [(inputs, outputs)]
    spelt, is_said = _output(where, arrays, outputs)
    spelt = _own(options) if spelt == OWN else spelt
    layers, start = [], 0
    for number, (taken, units) in enumerate(pairs, start=1):
        matrix = weights[start : start + units * (taken + 1)].reshape(units, taken + 1)
        start += matrix.size
        is_last = number == len(pairs)
        kernel = np.ascontiguousarray(matrix[:, 1:]).reshape(-1)
        said = is_said if is_last else "nsunits" in arrays
        layers.append(
            Stored(kernel, matrix[:, 0], taken, units, "units-first", spelt if is_last else _own(options), is_said=said)
        )
    formula = replace(STORED, is_wired="conn" in arrays)
    return assemble(WeightFile(opened.path, FAMILY, digest, arrays), layers, options, formula)


def _arrays(opened: OpenedFile) -> dict[str, Array]:
    container = container_of(opened)
    if container is not None:
        return dict(container[1](opened))
    if opened.is_hdf5:
        return {name: opened.hdf5.read(name) for name in opened.hdf5.datasets if name in READ}
    try:
        return read_npz(opened.path, lambda name: name in READ, kinds="fiub")
    except NpzError as error:
        raise DamagedFileError(f"{opened.path} cannot be read as .npz of numbers", found=str(error)) from error


def _whole(where: str, name: str, array: Array) -> list[int]:
    """Whole numbers from 0, which R may have stored as reals."""
    stored = np.asarray(array).reshape(-1)
    flat = stored.astype(np.float64) if stored.dtype.kind in "fiub" else np.array([-1.0])
    if not np.all((flat >= 0) & (flat < 2**53) & (flat == np.floor(flat))):
        raise StoredTypeError(
            f"{where}: {name!r} holds no counts",
            found=f"{stored.dtype} {str(stored[:6])[:60]}",
            expected="whole numbers",
        )
    return [int(value) for value in flat]


def _sizes(where: str, array: Array) -> tuple[int, int, int]:
    sizes = _whole(where, SIZES, array)
    if len(sizes) != 3 or not sizes[0] or not sizes[2] or sum(sizes) > MOST_UNITS:
        raise DamagedFileError(
            f"{where}: {SIZES!r}", found=", ".join(map(str, sizes[:6])), expected="inputs, hidden units and outputs"
        )
    return sizes[0], sizes[1], sizes[2]


def _checked(where: str, arrays: Mapping[str, Array], inputs: int, hidden: int, outputs: int) -> Array:
    """The weights, as many as the sizes ask for."""
    weights = np.asarray(arrays[WEIGHTS]).reshape(-1)
    weights = weights.astype(weights.dtype.newbyteorder("="), copy=False)
    if weights.dtype.kind != "f":
        raise StoredTypeError(f"{where}: {WEIGHTS!r} does not hold floats", found=f"{weights.dtype}")
    size = hidden * (inputs + 1) + outputs * (hidden + 1) if hidden else outputs * (inputs + 1)
    if hidden and weights.size == size + inputs * outputs:
        raise UnknownMemberError(
            f"{where}: skip-layer connections, which are not read",
            found=f"{weights.size:,} weights",
            expected=f"{size:,}, for {inputs}-{hidden}-{outputs} without them",
            remedy="fit it with skip=FALSE; or build the model by hand and judge it as a function",
        )
    if weights.size != size:
        raise KernelShapeError(
            f"{where}: {WEIGHTS!r} does not fit {SIZES!r}",
            found=f"{weights.size:,} weights",
            expected=f"{size:,}, for {inputs}-{hidden}-{outputs}",
        )
    if not np.all(np.isfinite(weights)):
        raise NonFiniteError(f"{where}: {WEIGHTS!r} has values that are no numbers", expected="finite values")
    _check_sources(where, arrays, inputs, hidden, outputs)
    return weights


def _check_sources(where: str, arrays: Mapping[str, Array], inputs: int, hidden: int, outputs: int) -> None:
    """``conn`` and ``nconn`` say what the sizes say: each unit takes the bias and the whole layer before it."""
    first = list(range(inputs + 1))
    second = [0, *range(inputs + 1, inputs + hidden + 1)] if hidden else first
    counts = [len(first)] * hidden + [len(second)] * outputs
    wanted = {"conn": first * hidden + second * outputs, "nconn": [0] * (inputs + 2) + np.cumsum(counts).tolist()}
    for name, expected in wanted.items():
        if name in arrays and _whole(where, name, arrays[name]) != expected:
            raise UnknownMemberError(
                f"{where}: {name!r} says that the connections are others",
                expected=f"what nnet makes of {inputs}-{hidden}-{outputs}",
            )


def _output(where: str, arrays: Mapping[str, Array], outputs: int) -> tuple[str, bool]:
    """The outputs' activation, and whether the file says it."""
    flags = {name: _whole(where, name, arrays[name]) for name in ("nsunits", "softmax") if name in arrays}
    if any(len(values) != 1 for values in flags.values()):
        raise DamagedFileError(f"{where}: {' or '.join(flags)}", expected="one number each")
    units = 1 + sum(_whole(where, SIZES, arrays[SIZES]))
    if "nsunits" in flags and flags["nsunits"][0] not in (units, units - outputs):
        raise DamagedFileError(
            f"{where}: 'nsunits'",
            found=str(flags["nsunits"][0]),
            expected=f"{units} or, without the outputs, {units - outputs}",
        )
    if flags.get("softmax", [0])[0]:
        if flags.get("nsunits", [0])[0] == units:
            raise DamagedFileError(f"{where}: 'softmax' of outputs that 'nsunits' counts as logistic")
        return "softmax", True
    if "nsunits" not in flags:
        return OWN, False
    is_logistic = flags["nsunits"][0] == units
    return (OWN, True) if is_logistic else ("linear", "softmax" in flags)


program = program_of(r_nnet.program, "activation", "output_activation", "orientation", "exact_activations", "dtype")

READER = Family(
    FAMILY,
    "R's nnet: coef(fit) as text (b->h1, ...), or arrays `n` and `wts` in HDF5, .npz, .mat or a folder of text files",
    matches,
    read,
    program,
    example="porter port coefficients.csv --output-activation linear -o net.keras",
    has_tables=True,
)
