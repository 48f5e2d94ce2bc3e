"""CANYON-MED: ``poids_VAR_IW_1.txt``, ``moy_VAR.txt``, ...: ten networks a variable, and the mean of them.

Source: MarineFou/CANYON-MED, commit b167b60. All members stand in one network: their layers side by side in one kernel,
with zeros where one member's units would take another's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import KernelShapeError, OptionContradictionError, UsageError, WidthError
from porter.formats import scalings
from porter.formats.folders import OpenedFolder, open_folder
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions, one_a_layer
from porter.formats.registry import Family, program_of
from porter.network import Claim, Dense, Ensemble, Layer, Network
from porter.network.activations import format_activation, parse_activation
from porter.network.weight_file import WeightFile
from reference.programs import canyon_med

Array = NDArray[Any]

FAMILY = "canyon-med"
UNSAID = f"CANYON-MED's; the files do not say; {scalings.HOW_TO_PROVE}"
HIDDEN, OUTPUT = "scaled_tanh", "linear"
SCALE = 1.5
"""What deviations are multiplied by, in (2/3) (x - mean) / std and in 1.5 y std + mean."""
LAYERS = (("IW", "b1"), ("LW1", "b2"), ("LW2", "b3"))
PLAIN, WITHIN = "mean", "mean within one deviation"
_FIRST = re.compile(r"poids_(.+?)_IW_(?:([A-Za-z])_)?(\d{1,4})\.txt")


@dataclass(frozen=True)
class Member:
    """One network of an ensemble.

    Attributes:
        variable: what it predicts.
        group: letter of its set, empty where there is one set only.
        number: within the set.
    """

    variable: str
    group: str
    number: int

    @property
    def ending(self) -> str:
        """What its files' names end in."""
        return f"{self.group}_{self.number}" if self.group else str(self.number)

    @property
    def set_ending(self) -> str:
        """What the names of its set's means and deviations end in."""
        return f"{self.variable}_{self.group}" if self.group else self.variable


def matches(opened: OpenedFile) -> bool:
    """A folder with a file ``poids_..._IW_1.txt``."""
    return isinstance(opened, OpenedFolder) and any(_FIRST.fullmatch(name) for name in opened.names)


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read the ensemble of one variable, or one member of it.

    Raises:
        UnreadableError: a file is missing, or holds no matrix of the size that it should have.
        UsageError: it is not said which variable, or an option does not fit.
    """
    folder = opened if isinstance(opened, OpenedFolder) else open_folder(Path(opened.path))
    members = _chosen(folder, options.kind)
    where = str(folder.path)
    if options.orientation is not None or options.physical or options.scaling is not None:
        raise OptionContradictionError(
            f"{where}: orientation=, scaling= or physical=",
            found="an ensemble of CANYON-MED, whose files have one orientation and one scaling",
            expected="activation= and kind= at most",
            remedy="leave them out",
        )
    arrays = _arrays(folder, members)
    source = WeightFile(folder.path, FAMILY, folder.digest(), arrays)
    return _network(source, members, options)


def _chosen(folder: OpenedFolder, kind: str | None) -> list[Member]:
    found = [_FIRST.fullmatch(name) for name in folder.names]
    every = [Member(match[1], match[2] or "", int(match[3])) for match in found if match is not None]
    every.sort(key=lambda member: (member.variable, member.group, member.number))
    variables = list(dict.fromkeys(member.variable for member in every))
    if kind is None and len(variables) > 1:
        raise UsageError(
            f"{folder.path} holds the networks of several variables",
            found=", ".join(variables),
            expected="one of them to be named",
            remedy=f"--kind {variables[0]}; one member alone is --kind {every[0].variable}_{every[0].ending}",
        )
    wanted = variables[0] if kind is None else kind
    chosen = [each for each in every if wanted in (each.variable, f"{each.variable}_{each.ending}")]
    if not chosen:
        names = ", ".join(variables)
        raise UsageError(f"{folder.path}: kind {kind!r}", found=names, expected="one of these, or a member of one")
    return chosen


def _arrays(folder: OpenedFolder, members: Sequence[Member]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for member in members:
        for part in (part for pair in LAYERS for part in pair):
            name = f"poids_{member.variable}_{part}_{member.ending}"
            arrays[name] = folder.matrix(f"{name}.txt")
        for kind in ("moy", "std"):
            name = f"{kind}_{member.set_ending}"
            if name not in arrays:
                arrays[name] = folder.matrix(f"{name}.txt")
    return arrays


def _network(source: WeightFile, members: Sequence[Member], options: ReadOptions) -> Network:
    where = str(source.path)
    spelt = _spelt(options)
    activations = [parse_activation(text if text is not None else own) for text, own in zip(spelt, OWN, strict=True)]
    inputs = {source.arrays[f"poids_{member.variable}_IW_{member.ending}"].shape[1] for member in members}
    if len(inputs) > 1:
        raise WidthError(f"{where}: the members take different inputs", found=", ".join(map(str, sorted(inputs))))
    width = inputs.pop()
    sets = list(dict.fromkeys(member.set_ending for member in members))
    pairs = {each: _pairs(where, source.arrays, each, width) for each in sets}
    blocks = [_blocks(where, source.arrays, member) for member in members]
    before, columns = _scaled_inputs(where, pairs, width)
    dense = []
    for number, activation in enumerate(activations):
        kernels = [each[number][0] for each in blocks]
        kernel = _side_by_side(kernels, [columns[member.set_ending] for member in members] if number == 0 else None)
        if number == 0:
            kernel = _padded(kernel, width * len(sets))
        bias = np.concatenate([each[number][1] for each in blocks])
        dense.append(Dense(f"Layer{number + 1}", kernel, bias, activation))
    out = np.array([pairs[member.set_ending][-1] for member in members])
    after: tuple[Layer, ...] = (scalings.build_scaling(where, "Norm_out", out, "mean-std"),)
    rule = WITHIN if len(sets) > 1 else PLAIN
    if len(members) > 1:
        after = (*after, Ensemble("Ensemble", len(members), rule))
    name = members[0].variable if len(members) > 1 else f"{members[0].variable}_{members[0].ending}"
    limits = np.stack([each[:-1] for each in pairs.values()])
    spread = 3 / SCALE * limits[:, :, 1]
    return Network(
        name=name,
        family=FAMILY,
        source=source,
        layers=(before, *dense, *after),
        claims=tuple(_claims(dense, spelt, members, rule)),
        declarations={**options.declarations(), "kind": name},
        input_range=np.stack([(limits[:, :, 0] - spread).min(0), (limits[:, :, 0] + spread).max(0)], axis=1),
    )


OWN = (HIDDEN, HIDDEN, OUTPUT)


def _spelt(options: ReadOptions) -> list[str | None]:
    if isinstance(options.activation, tuple):
        return list(one_a_layer("activation", options.activation, len(OWN)))
    return [options.activation, options.activation, options.output_activation]


def _pairs(where: str, arrays: Mapping[str, Array], ending: str, width: int) -> Array:
    """(inputs + 1, 2) mean and one and a half deviations: of each input, then of the output."""
    mean, deviation = (arrays[f"{kind}_{ending}"].reshape(-1) for kind in ("moy", "std"))
    if mean.size != width + 1 or deviation.size != width + 1:
        raise KernelShapeError(
            f"{where}: moy_{ending} and std_{ending}",
            found=f"{mean.size} and {deviation.size} values",
            expected=f"{width + 1}: one for each input, and one for the output",
        )
    return np.stack([mean, SCALE * deviation], axis=1)


def _blocks(where: str, arrays: Mapping[str, Array], member: Member) -> list[tuple[Array, Array]]:
    """(inputs, units) and (units,) of each layer of a member."""
    found: list[tuple[Array, Array]] = []
    for kernel_name, bias_name in LAYERS:
        kernel, bias = (arrays[f"poids_{member.variable}_{part}_{member.ending}"] for part in (kernel_name, bias_name))
        units, inputs = kernel.shape
        before = found[-1][1].size if found else inputs
        if bias.size != units or inputs != before:
            raise WidthError(
                f"{where}: {kernel_name} of member {member.ending} does not fit",
                found=f"shape {kernel.shape}, {bias.size} biases",
                expected=f"{before} inputs, and a bias a unit",
            )
        found.append((kernel.T, bias.reshape(-1)))
    if found[-1][1].size != 1:
        raise WidthError(f"{where}: member {member.ending}", found=f"{found[-1][1].size} outputs", expected="one")
    return found


def _scaled_inputs(where: str, pairs: Mapping[str, Array], width: int) -> tuple[Layer, dict[str, int]]:
    """The scaling of the inputs, and in which column each set's begin: side by side where there are several."""
    if len(pairs) == 1:
        (own,) = pairs.values()
        return scalings.build_scaling(where, "Norm_in", own[:-1], "mean-std"), dict.fromkeys(pairs, 0)
    kernel = np.zeros((width, width * len(pairs)))
    bias = np.zeros(width * len(pairs))
    starts = {}
    for place, (name, own) in enumerate(pairs.items()):
        scaling = scalings.build_scaling(where, "Norm_in", own[:-1], "mean-std")
        columns = slice(place * width, (place + 1) * width)
        kernel[:, columns], bias[columns] = np.diag(scaling.scale), scaling.offset
        starts[name] = place * width
    return Dense("Norm_in", kernel, bias, parse_activation("linear")), starts


def _side_by_side(kernels: Sequence[Array], starts: Sequence[int] | None) -> Array:
    """Kernels (inputs, units) along a diagonal; on the same inputs where their first rows are given."""
    rows = [0, *np.cumsum([len(kernel) for kernel in kernels])] if starts is None else starts
    height = rows[-1] if starts is None else max(start + len(k) for start, k in zip(starts, kernels, strict=True))
    whole = np.zeros((int(height), sum(kernel.shape[1] for kernel in kernels)))
    column = 0
    for start, kernel in zip(rows, kernels, strict=False):
        whole[start : start + len(kernel), column : column + kernel.shape[1]] = kernel
        column += kernel.shape[1]
    return whole


def _padded(kernel: Array, height: int) -> Array:
    return np.pad(kernel, ((0, height - len(kernel)), (0, 0)))


def _claims(dense: Sequence[Dense], spelt: Sequence[str | None], members: Sequence[Member], rule: str) -> list[Claim]:
    claims = [Claim("Norm_in", "scaling", "mean-std", "assumed", f"with a factor 2/3; {UNSAID}")]
    for layer, text in zip(dense, spelt, strict=True):
        value = format_activation(layer.activation)
        claims.append(Claim(layer.name, "orientation", "units-first", "assumed", UNSAID))
        if text is None:
            claims.append(Claim(layer.name, "activation", value, "assumed", UNSAID))
        else:
            claims.append(Claim(layer.name, "activation", value, "declared"))
    claims.append(Claim("Norm_out", "scaling", "mean-std", "assumed", f"with a factor 1.5; {UNSAID}"))
    claims.append(Claim("network", "order", "IW, LW1, LW2", "assumed", UNSAID))
    if len(members) > 1:
        claims.append(Claim("Ensemble", "transform", f"{rule} of {len(members)} members", "assumed", UNSAID))
    return claims


program = program_of(canyon_med.program, "activation", "output_activation", "dtype")

READER = Family(
    FAMILY,
    "a folder with poids_VAR_IW_1.txt, moy_VAR.txt, ...: ensembles, a text file a matrix (CANYON-MED)",
    matches,
    read,
    program,
    example="porter port CANYON-MED_weights --kind nit -o nit.keras",
)
