"""The forward pass of OC-SMART's neural networks, on the arrays exactly as they are stored.

Source: Light-and-Life-Lab/OC-SMART, commit 8e973e2: columns, ``np.tanh(np.matmul(W, x.T) + b)`` for every layer but
the last, which is linear; ``2 * (x - min) / (max - min) - 1`` before; ``(y + 1) / 2 * (max - min) + min`` after.

The order, the orientation and the activations are made out here from the arrays and the declarations alone, so that
a port and its reference do not share one reading of the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.dense import Dense, Orientation
from reference.operations.scaling import Rule, Scaling
from reference.operations.transforms import Transform
from reference.programs.declared import Declared, chosen_activations
from reference.programs.said import said
from reference.trace import Program, chain

Array = NDArray[Any]

KERNEL_GROUPS = frozenset({"weights", "weight", "w", "kernel", "kernels"})
BIAS_GROUPS = frozenset({"bias", "biases", "b"})
RULES = ("[-1,1]", "[0,1]", "mean-std", "none")

ANGLES = 3  # solar zenith, sensor zenith, relative azimuth
KINDS_WITH_ANGLES = frozenset({"aann", "aodnn", "rrsnn", "lrcann"})
KINDS_OF_REFLECTANCE = frozenset({"aphnn", "adgnn", "bbpnn", "apnn", "bpnn", "iopnn", "ocnn"})


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    orientation: Declared = None,
    scaling: Declared = None,
    physical: str | None = None,
    gains: Sequence[float] | None = None,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: stored name (``"Weights/Layer1"``) to stored array; kernels of two axes, biases (n,), (n, 1) or (1, n),
            ``Norm_in`` and ``Norm_out`` of (n, 2).
        attributes: stored attributes by ``"object@name"``; those that name activations are believed.
        activation: one spelling for all hidden layers, or a list for all layers, output included; the file's, or
            tanh, where None.
        output_activation: spelling for the last layer; linear where None.
        orientation: ``"units-first"`` or ``"inputs-first"``, for all layers or a list; made out from shapes where None.
        scaling: ``"[-1,1]"`` (where None), ``"[0,1]"``, ``"mean-std"``, or ``"none"`` to leave the scaling steps out; a
            list of two where the ends differ.
        physical: kind of network (``"aaNN"``) to add its physical transforms; None leaves them out.
        gains: what the physical outputs are multiplied by, one a column: ``rrs * vgain``.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    whole = chained_program(
        arrays, attributes, _named(arrays), activation, output_activation, orientation, scaling, physical, dtype
    )
    if gains is None:
        return whole
    factors = np.asarray(gains, np.float64)
    if physical is None or len(factors) != len(whole.steps[-1].functions):
        raise ValueError(f"{len(factors)} gains; expected one for each physical output")
    last = Scaling("Gains", (whole.steps[-1].name,), np.zeros(len(factors)), factors, "mean-std", True, dtype)
    return chain([*whole.steps, last])


def chained_program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    names: Sequence[tuple[str, str | None]],
    activation: Declared,
    output_activation: str | None,
    orientation: Declared,
    scaling: Declared,
    physical: str | None,
    dtype: Any,
    named: Sequence[Orientation | None] = (),
) -> Program:
    """The program of layers whose arrays are known by name: kernel, and bias or None, in order of computation.

    ``named`` are orientations that follow from the names, where they contradict neither shapes nor declarations.
    """
    kernels = [_matrix(name, arrays[name]) for name, _ in names]
    biases = [None if name is None else _flat(_native(np.asarray(arrays[name]))) for _, name in names]
    norms = {name: array for name in ("Norm_in", "Norm_out") if (array := _member(arrays, name)) is not None}
    known = _known_widths(arrays, norms, len(kernels))
    orientations, widths = _orientations(kernels, biases, orientation, known, named)
    activations = _activations(said(attributes, names), activation, output_activation)
    steps: list[Any] = []
    if physical is not None:
        steps.append(Transform("Transform_in", ("inputs",), _functions(physical, widths[0]), dtype))
    steps += _scaling("Norm_in", steps, norms, widths[0], scaling, dtype)
    for number, kernel in enumerate(kernels):
        steps.append(
            Dense(
                f"Layer{number + 1}",
                (_last(steps),),
                kernel,
                biases[number],
                activations[number],
                orientations[number],
                dtype,
            )
        )
    steps += _scaling("Norm_out", steps, norms, widths[-1], scaling, dtype)
    if physical is not None:
        steps.append(Transform("Transform_out", (_last(steps),), ("pow10",) * widths[-1], dtype))
    return chain(steps)


def _last(steps: Sequence[Any]) -> str:
    return steps[-1].name if steps else "inputs"


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _natural(name: str) -> tuple[Any, ...]:
    """A key that puts ``Layer10`` after ``Layer9``."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)


def _member(arrays: Mapping[str, Array], name: str) -> Array | None:
    for stored, array in arrays.items():
        if stored.rpartition("/")[2].lower() == name.lower():
            return _native(np.asarray(array))
    return None


def _matrix(name: str, stored: Array) -> Array:
    kernel = _native(np.asarray(stored))
    if kernel.ndim != 2:
        raise ValueError(f"kernel {name!r} has shape {kernel.shape}; expected two axes")
    return kernel


def _group(arrays: Mapping[str, Array], names: frozenset[str]) -> dict[str, str]:
    """The stored names in the groups of these names, in natural order, by member name."""
    found: dict[str, str] = {}
    for stored in arrays:
        group, _, member = stored.rpartition("/")
        if group.rpartition("/")[2].lower() in names:
            found[member] = stored
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _named(arrays: Mapping[str, Array]) -> list[tuple[str, str | None]]:
    """Kernels in order, and for each its bias or None; paired by name, else by order."""
    kernels, biases = _group(arrays, KERNEL_GROUPS), _group(arrays, BIAS_GROUPS)
    if not kernels:
        raise ValueError(f"no group of kernels among {', '.join(arrays)}; expected one of {', '.join(KERNEL_GROUPS)}")
    if not set(biases) <= set(kernels):
        if len(biases) != len(kernels):
            raise ValueError(f"{len(kernels)} kernels, but {len(biases)} biases of other names")
        biases = dict(zip(kernels, biases.values(), strict=True))
    return [(stored, biases.get(member)) for member, stored in kernels.items()]


def _flat(bias: Array) -> Array:
    if bias.ndim > 1 and max(bias.shape) != bias.size:
        raise ValueError(f"a bias has shape {bias.shape}; expected (n,), (n, 1) or (1, n)")
    return bias.reshape(-1)


def _known_widths(arrays: Mapping[str, Array], norms: Mapping[str, Array], layers: int) -> dict[int, set[int]]:
    """Widths by position (0 the inputs, then each layer) as ``Layers`` and the ranges give them."""
    known: dict[int, set[int]] = {}
    sizes = _member(arrays, "Layers")
    if sizes is not None and sizes.size == layers + 1:
        known = {place: {int(size)} for place, size in enumerate(sizes.reshape(-1))}
    for name, place in (("Norm_in", 0), ("Norm_out", layers)):
        if name in norms:
            norm = norms[name].shape
            allowed = {norm[axis] for axis in (0, 1) if norm[1 - axis] == 2}
            known[place] = known.get(place, allowed) & allowed
    return known


def _chains(kernels: Sequence[Array]) -> Iterator[tuple[int, ...]]:
    """Every sequence of widths through which the kernels chain; that of units-first comes first."""
    first = kernels[0].shape
    for start in dict.fromkeys((first[1], first[0])):
        widths = [start]
        for kernel in kernels:
            if widths[-1] not in kernel.shape:
                break
            units, inputs = kernel.shape
            widths.append(units if widths[-1] == inputs else inputs)
        else:
            yield tuple(widths)


def _orientations(
    kernels: Sequence[Array],
    biases: Sequence[Array | None],
    declared: Declared,
    known: Mapping[int, set[int]],
    named: Sequence[Orientation | None],
) -> tuple[list[Orientation], tuple[int, ...]]:
    """One orientation a layer, and the widths: inputs, then the units of each layer."""
    known = {**known}
    for number, bias in enumerate(biases):
        if bias is not None:
            known[number + 1] = known.get(number + 1, {bias.size}) & {bias.size}
    wanted = [declared] * len(kernels) if declared is None or isinstance(declared, str) else list(declared)
    if len(wanted) != len(kernels):
        raise ValueError(f"{len(wanted)} orientations for {len(kernels)} layers")
    declared_ones = [_checked(want) for want in wanted]
    with_names = [want or name for want, name in itertools.zip_longest(declared_ones, named)]
    for chosen, widths in itertools.product((with_names, declared_ones), _chains(kernels)):
        shaped = [_orientation(kernel, widths[i], widths[i + 1]) for i, kernel in enumerate(kernels)]
        fits = all(widths[place] in allowed for place, allowed in known.items())
        if fits and all(want is None or shape in (None, want) for want, shape in zip(chosen, shaped, strict=True)):
            proven = {shape for shape in shaped if shape is not None}
            default: Orientation = "inputs-first" if proven == {"inputs-first"} else "units-first"
            return [shape or want or default for shape, want in zip(shaped, chosen, strict=True)], widths
    shapes = ", ".join(str(kernel.shape) for kernel in kernels)
    raise ValueError(
        f"kernels of {shapes} do not chain with the biases, Layers, Norm_in, Norm_out and orientation={declared!r}"
    )


def _orientation(kernel: Array, inputs: int, units: int) -> Orientation | None:
    """What the shape says, or None for a square kernel."""
    if inputs == units:
        return None
    return "units-first" if kernel.shape == (units, inputs) else "inputs-first"


def _checked(orientation: str | None) -> Orientation | None:
    if orientation not in (None, "units-first", "inputs-first"):
        raise ValueError(f"orientation {orientation!r}; expected 'units-first' or 'inputs-first'")
    return cast("Orientation | None", orientation)


def _activations(own: Sequence[str | None], activation: Declared, output: str | None) -> list[Activation]:
    """One a layer: as declared, else as the file says, else OC-SMART's."""
    defaults = ["tanh"] * (len(own) - 1) + ["linear"]
    return chosen_activations(
        [text or default for text, default in zip(own, defaults, strict=True)], activation, output
    )


def _scaling(
    name: str, steps: Sequence[Any], norms: Mapping[str, Array], width: int, rule: Declared, dtype: Any
) -> list[Scaling]:
    """The scaling step of that name, where the file has its ranges and the rule is not "none"."""
    rule = rule if rule is None or isinstance(rule, str) else rule[name == "Norm_out"]
    rule = "[-1,1]" if rule is None else rule
    if rule not in RULES:
        raise ValueError(f"scaling {rule!r}; expected one of {', '.join(RULES)}")
    if name not in norms or rule == "none":
        return []
    stored = norms[name]
    pairs = stored if stored.shape == (width, 2) else stored.T
    return [Scaling(name, (_last(steps),), pairs[:, 0], pairs[:, 1], cast("Rule", rule), name == "Norm_out", dtype)]


def _functions(kind: str, inputs: int) -> tuple[str, ...]:
    """What turns physical inputs into the network's own, column by column.

    Three angles in degrees, then radiances (and last, for aaNN and aodNN, relative humidity); or reflectances alone.
    """
    if kind.lower() in KINDS_WITH_ANGLES:
        return ("cos_degrees",) * ANGLES + ("log10",) * (inputs - ANGLES)
    if kind.lower() in KINDS_OF_REFLECTANCE:
        return ("log10",) * inputs
    known = ", ".join(sorted(KINDS_WITH_ANGLES | KINDS_OF_REFLECTANCE))
    raise ValueError(f"kind {kind!r} of network; known are {known} (in any case of letters)")
