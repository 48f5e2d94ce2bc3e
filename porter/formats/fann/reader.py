"""FANN's text: a version, settings, ``layer_sizes``, then every neuron and every connection in brackets.

Source: libfann/fann, commit 0ecce54 (fann_io.c, fann_data.h). Sizes count a bias neuron in every layer, the last too;
a connection names the neuron that it comes from, and belongs to the neuron whose turn it is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, MissingMemberError, TruncatedFileError, UnknownMemberError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import count, is_text, numbers, read_lines
from porter.network import Claim, Extremes, Network
from porter.network.weight_file import WeightFile
from reference.programs import fann

Array = NDArray[Any]

FAMILY = "fann"
FORMULA = Formula("FANN's", "as layer_sizes has them")
VERSIONS = (b"FANN_FLO_2.0", b"FANN_FLO_2.1")
NEURONS = "neurons (num_inputs, activation_function, activation_steepness)"
CONNECTIONS = "connections (connected_to_neuron, weight)"
MOST_NEURONS = 10**6
FREE_NUMBERS, MOST_EMPTY = 2**20, 64
"""Numbers that a kernel may have anyway, and for each connection of the file: most are there as a rule."""
ACTIVATIONS = {0: "linear", 3: "sigmoid", 5: "tanh", 11: "softsign", 12: "relu(max_value=1.0)", 13: "hard_tanh"}
"""FANN's numbers of its functions; FANN_SIGMOID takes twice its argument."""
LARGEST, FARTHEST = 150.0, {"linear": np.inf, "softsign": np.inf, "sigmoid": 9.5, "tanh": 9.5}
"""``fann_run`` holds arguments to LARGEST / steepness; beyond FARTHEST functions are constant in float32."""


def matches(opened: OpenedFile) -> bool:
    """Text that begins with FANN's version."""
    return opened.head.startswith(VERSIONS) and is_text(opened)


@dataclass(frozen=True)
class _Layer:
    """One layer of neurons.

    Attributes:
        kernel: (units, inputs + 1), the bias in the last column, times what the steepness makes of it.
        activation: FANN's number.
        steepness: (units,)
    """

    kernel: Array
    activation: int
    steepness: Array


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a layered network of floating-point numbers; scaling that the file keeps is not part of ``fann_run``.

    Raises:
        UnreadableError: damaged text, or a network that is no chain of layers.
        UsageError: an option that does not fit.
    """
    where = str(opened.path)
    settings = dict(line.split("=", 1) for line in read_lines(opened)[1:] if "=" in line)
    if settings.get("network_type", "0").strip() != "0":
        raise UnknownMemberError(
            f"{where}: a network with shortcuts", expected="network_type=0, one layer after another"
        )
    sizes = [count(f"{where}: layer_sizes", word, 2) for word in _needed(where, settings, "layer_sizes").split()]
    if len(sizes) < 2 or sum(sizes) > MOST_NEURONS:
        raise DamagedFileError(f"{where}: layer_sizes", found=" ".join(map(str, sizes))[:60], expected="two at least")
    neurons = _entries(f"{where}: neurons", _needed(where, settings, NEURONS), 3)
    connections = _entries(f"{where}: connections", _needed(where, settings, CONNECTIONS), 2)
    if len(neurons) != sum(sizes):
        kind = TruncatedFileError if len(neurons) < sum(sizes) else DamagedFileError
        raise kind(f"{where}: neurons", found=f"{len(neurons):,}", expected=f"{sum(sizes):,}, as layer_sizes says")
    if int(neurons[:, 0].sum()) != len(connections):
        kind = TruncatedFileError if len(connections) < neurons[:, 0].sum() else DamagedFileError
        expected = f"{int(neurons[:, 0].sum()):,}, as the neurons say"
        raise kind(f"{where}: connections", found=f"{len(connections):,}", expected=expected)
    source = WeightFile(
        opened.path, FAMILY, opened.sha256, {"neurons": neurons, "connections": connections}, {"layer_sizes": sizes}
    )
    layers = _layers(where, sizes, neurons, connections)
    network = assemble(source, [_stored(each) for each in layers], options, FORMULA)
    claims = [*network.claims, *_held_claims(layers[:-1]), *_scaling_claims(settings)]
    held = _held(layers[-1])
    if held is None:
        return replace(network, claims=(*claims, *_held_claims(layers[-1:], len(layers))))
    told = Claim("Extremes", "transform", "held to 150 / steepness", "declared", "as fann_run does")
    return replace(network, layers=(*network.layers, held), claims=(*claims, told))


def _held(last: _Layer) -> Extremes | None:
    """What linear outputs are held to."""
    if ACTIVATIONS[last.activation] != "linear":
        return None
    bound = LARGEST / last.steepness
    return Extremes("Extremes", -bound, bound, np.full(bound.shape, np.inf))


def _held_claims(layers: Sequence[_Layer], first: int = 1) -> list[Claim]:
    """What the port leaves out of other layers, where it can show."""
    found = []
    for number, layer in enumerate(layers, start=first):
        bound = LARGEST / float(np.max(layer.steepness))
        if bound < FARTHEST.get(ACTIVATIONS[layer.activation], 1.0):
            detail = f"fann_run holds its argument to {bound:.6g} on either side, which is left out"
            found.append(Claim(f"Layer{number}", "transform", "not held", "assumed", detail))
    return found


def _scaling_claims(settings: Mapping[str, str]) -> list[Claim]:
    """What the file says that only ``fann_scale_input`` and ``fann_descale_output`` use."""
    if settings.get("scale_included", "0").strip() == "0":
        return []
    detail = "the file keeps means and deviations, which fann_run does not apply: scale outside where the original does"
    return [Claim(end, "scaling", "none", "assumed", detail) for end in ("Norm_in", "Norm_out")]


def _needed(where: str, settings: Mapping[str, str], name: str) -> str:
    if name not in settings:
        raise MissingMemberError(
            f"{where}: no line {name.split(maxsplit=1)[0]!r}", remedy="copy or download the file again"
        )
    return settings[name]


def _entries(place: str, text: str, width: int) -> Array:
    """(n, width) of ``(a, b, c) (d, e, f)``; the first number of each is whole."""
    if re.sub(r"\([^()]*\)", "", text).strip():
        raise DamagedFileError(f"{place}: not a list of brackets", found=repr(text[:40]))
    words = [part.replace(",", " ").split() for part in re.findall(r"\(([^()]*)\)", text)]
    wrong = next((row for row in words if len(row) != width or not row[0].isdigit()), None)
    if wrong is not None:
        raise DamagedFileError(place, found=repr(" ".join(wrong)[:40]), expected=f"{width} numbers, the first whole")
    return numbers(place, [word for row in words for word in row]).reshape(-1, width)


def _layers(where: str, sizes: Sequence[int], neurons: Array, connections: Array) -> list[_Layer]:
    found, start, place = [], 0, int(neurons[: sizes[0], 0].sum())
    if place:
        raise DamagedFileError(f"{where}: its inputs have connections", expected="none")
    for before, size in itertools.pairwise(sizes):
        if (size - 1) * before > max(FREE_NUMBERS, MOST_EMPTY * len(connections)):
            raise DamagedFileError(f"{where}: layer_sizes", found=f"{before} and {size}", expected="what memory holds")
        first = start + before
        kernel = np.zeros((size - 1, before))
        for unit in range(size - 1):
            here = connections[place : place + int(neurons[first + unit, 0])]
            place += len(here)
            origin = here[:, 0] - start
            if np.any((origin < 0) | (origin >= before)) or len(set(origin.tolist())) < len(origin):
                raise UnknownMemberError(
                    f"{where}: neuron {first + unit} takes what is no neuron of the layer before it, or one twice",
                    expected=f"neurons {start} to {start + before - 1}, each once",
                )
            kernel[unit, origin.astype(np.int64)] = here[:, 1]
        if neurons[first + size - 1, 0]:
            raise DamagedFileError(f"{where}: the bias neuron {first + size - 1} has connections", expected="none")
        found.append(_steepened(where, kernel, neurons[first : first + size - 1]))
        start = first
    return found


def _steepened(where: str, kernel: Array, neurons: Array) -> _Layer:
    kinds = set(neurons[:, 1].tolist())
    if len(kinds) > 1 or not kinds <= set(ACTIVATIONS):
        raise UnknownMemberError(
            f"{where}: activation functions that are not read",
            found=", ".join(f"{kind:g}" for kind in sorted(kinds)),
            expected=f"one a layer of {', '.join(f'{number} ({name})' for number, name in ACTIVATIONS.items())}",
        )
    if np.any(neurons[:, 2] <= 0):
        raise DamagedFileError(f"{where}: a steepness", found=f"{neurons[:, 2].min():g}", expected="more than zero")
    kind = int(kinds.pop())
    steepness = neurons[:, 2:] * (2.0 if ACTIVATIONS[kind] == "sigmoid" else 1.0)
    return _Layer(kernel * steepness, kind, neurons[:, 2])


def _stored(layer: _Layer) -> Stored:
    units, columns = layer.kernel.shape
    kernel = np.ascontiguousarray(layer.kernel[:, :-1]).reshape(-1)
    activation = ACTIVATIONS[layer.activation]
    return Stored(kernel, layer.kernel[:, -1], columns - 1, units, "units-first", activation, is_said=True)


program = program_of(fann.program, "activation", "output_activation", "orientation", "dtype")

READER = Family(
    FAMILY,
    "text of FANN (FANN_FLO_2.0, FANN_FLO_2.1): layer_sizes, neurons, connections",
    matches,
    read,
    program,
    example="porter port network.net -o network.keras",
)
