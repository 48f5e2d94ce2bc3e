"""Ranges and kinds of network turned into canonical scaling and transform layers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import ScalingRangeError, ScalingShapeError, UnknownKindError
from porter.network import Claim, Evidence, Scaling, Transform

Array = NDArray[Any]

DEFAULT_RULE = "[-1,1]"
HOW_TO_PROVE = "golden samples of the original software (--samples) would prove it"

ROOTS = {"sqrt": 2, "root4": 4, "root8": 8}
ANGLES = 3  # solar zenith, sensor zenith, relative azimuth, in degrees
KINDS_WITH_ANGLES = ("aaNN", "aodNN", "rrsNN", "LrcaNN")
KINDS = (*KINDS_WITH_ANGLES, "aphNN", "adgNN", "bbpNN", "apNN", "bpNN", "iopNN", "ocNN")


def ranges_as_rows(where: str, name: str, stored: Array, width: int) -> tuple[Array, Claim]:
    """Ranges as (n, 2) in native byte order, and what says that they lie so.

    Args:
        where: the file, for messages.
        name: ``"Norm_in"`` or ``"Norm_out"``.
        stored: (n, 2), or (2, n) where n is not 2.
        width: n.

    Raises:
        ScalingShapeError: it is neither.
    """
    native = stored.astype(stored.dtype.newbyteorder("="))
    square = width == 2
    if native.shape == (width, 2):
        detail = "two columns fit the width only so" if not square else f"a 2 x 2 array; {HOW_TO_PROVE}"
        claim = Claim(name, "range orientation", "one row a column", "assumed" if square else "shape", detail)
        return native, claim
    if native.shape == (2, width):
        claim = Claim(name, "range orientation", "one column a column", "shape", "two rows fit the width only so")
        return np.ascontiguousarray(native.T), claim
    raise ScalingShapeError(
        f"{where}: {name} does not fit the network", found=f"shape {stored.shape}", expected=f"({width}, 2)"
    )


def build_scaling(where: str, name: str, ranges: Array, rule: str) -> Scaling:
    """The affine layer of a rule: into the network for ``Norm_in``, out of it for ``Norm_out``.

    Raises:
        ScalingRangeError: a maximum that is not above its minimum; a standard deviation that is not positive.
    """
    first, second = ranges.astype(np.float64).T
    _check_ranges(where, name, first, second, rule)
    half, centre = _unit(first, second, rule)
    if name == "Norm_in":
        return Scaling(name, rule, ranges, 1 / half, -centre / half)
    return Scaling(name, rule, ranges, half, centre)


def _unit(first: Array, second: Array, rule: str) -> tuple[Array, Array]:
    """(scale, offset) from the network's units to those of the range."""
    if rule == "[-1,1]":
        return (second - first) / 2, (first + second) / 2
    return (second - first, first) if rule == "[0,1]" else (second, first)


def _check_ranges(where: str, name: str, first: Array, second: Array, rule: str) -> None:
    wrong = np.flatnonzero(second <= (0 if rule == "mean-std" else first))
    if wrong.size == 0:
        return
    column = int(wrong[0])
    pair = "mean and standard deviation" if rule == "mean-std" else "minimum and maximum"
    raise ScalingRangeError(
        f"{where}: {name} has {wrong.size} impossible range(s), the first in column {column}",
        found=f"{pair} {first[column]:.6g}, {second[column]:.6g}",
        expected="a positive standard deviation" if rule == "mean-std" else "a maximum above the minimum",
        remedy='declare the rule that holds ("mean-std", "none"), or repair the file',
    )


def scaling_claim(name: str, rule: str, declared: bool) -> Claim:
    """The claim on the rule."""
    if declared:
        return Claim(name, "scaling", rule, "declared")
    return Claim(name, "scaling", rule, "assumed", f"OC-SMART's rule; the file does not say; {HOW_TO_PROVE}")


def documented_range(scaling: Scaling) -> Array:
    """(n, 2) float64 least and greatest value of each column; three standard deviations where only those are known."""
    first, second = scaling.stored.astype(np.float64).T
    if scaling.rule == "mean-std":
        return np.stack([first - 3 * second, first + 3 * second], axis=1)
    return np.stack([first, second], axis=1)


def physical_range(ranges: Array, transform: Transform) -> Array:
    """The same ranges before the transform: (n, 2) float64 in degrees, radiances and so on."""
    rows = [_physical(function, *ends) for function, ends in zip(transform.functions, ranges, strict=True)]
    return np.array(rows, np.float64).reshape(-1, 2)


def _physical(function: str, least: float, greatest: float) -> tuple[float, float]:
    """The arguments at which a function takes these values."""
    ends = np.array([least, greatest], np.float64)
    with np.errstate(over="ignore"):
        if function == "cos_degrees":  # it falls from 0 to 180 degrees: the greatest cosine is the least angle
            ends = np.rad2deg(np.arccos(np.clip(ends[::-1], -1, 1)))
        elif function in ("log10", "ln"):
            ends = 10.0**ends if function == "log10" else np.exp(ends)
        elif function in ROOTS:
            ends = ends ** ROOTS[function]
        elif function == "square":
            ends = np.sqrt(np.abs(ends))
        elif function == "cos":
            ends = np.arccos(np.clip(ends[::-1], -1, 1))
    return float(ends[0]), float(ends[1])


def kind_of(path: Path, declared: str | None) -> str | None:
    """The kind of network, as declared or by a part of the file's name such as ``aaNN``; None where neither says.

    Raises:
        UnknownKindError: the declared one does not exist.
    """
    by_lower = {kind.lower(): kind for kind in KINDS}
    if declared is not None:
        if declared.lower() not in by_lower:
            raise UnknownKindError(f"kind {declared!r} of network is not known", expected=", ".join(KINDS))
        return by_lower[declared.lower()]
    found = [by_lower[part] for part in re.split(r"[^a-z]+", path.stem.lower()) if part in by_lower]
    return found[0] if len(set(found)) == 1 else None


def physical_kind(path: Path, declared: str | None) -> str:
    """The same, where physical units were asked for.

    Raises:
        UnknownKindError: neither the option nor the file's name says it.
    """
    kind = kind_of(path, declared)
    if kind is None:
        raise UnknownKindError(
            f"physical units were asked for, but the name of {path.name} does not say which kind of network it is",
            expected=", ".join(KINDS),
            remedy="say it: --kind aaNN",
        )
    return kind


def transforms(where: str, kind: str, inputs: int, outputs: int) -> tuple[Transform, Transform]:
    """From physical units to the network's, and back.

    Angles in degrees and then positive quantities for the kinds that see the atmosphere; positive quantities alone
    for those that see water. Every output is a decimal logarithm.

    Source: OC-SMART, commit 8e973e2.

    Raises:
        UnknownKindError: a network of this kind has more inputs.
    """
    angles = ANGLES if kind in KINDS_WITH_ANGLES else 0
    if inputs <= angles:
        raise UnknownKindError(
            f"{where} cannot be of the kind {kind}",
            found=f"{inputs} inputs",
            expected=f"{angles} angles, and at least one more",
            remedy=f"say which kind it is: one of {', '.join(KINDS)}",
        )
    functions = ("cos_degrees",) * angles + ("log10",) * (inputs - angles)
    return Transform("Transform_in", functions), Transform("Transform_out", ("pow10",) * outputs)


def transform_claims(kind: str, before: Transform, after: Transform, declared: bool) -> tuple[Claim, Claim]:
    """The claims on both transforms."""
    detail = "" if declared else f"the kind {kind} by the file's name; {HOW_TO_PROVE}"
    evidence: Evidence = "declared" if declared else "assumed"
    angles = before.functions.count("cos_degrees")
    value = f"log10 of {len(before.functions) - angles}"
    value = value if angles == 0 else f"cos of {angles}, {value}"
    return (
        Claim(before.name, "transform", value, evidence, detail),
        Claim(after.name, "transform", f"10**y of {len(after.functions)}", evidence, detail),
    )
