"""Arguments of layers without weights, each tried: interpolation, factors, axes, groups, modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.suspect import Suspect, Variant
from reference.operations.affine import Affine
from reference.operations.arithmetic import REDUCTIONS, Reduction
from reference.operations.bilinear_upsampling import BilinearUpsampling
from reference.operations.encoding import CategoryEncoding, Discretization, Mode
from reference.operations.group_normalization import GroupNormalization
from reference.operations.resizing import Resized
from reference.operations.shaping import Rearrangement, repeat_elements
from reference.operations.standardization import Standardization
from reference.operations.unit_normalization import UnitNormalization

Array = NDArray[Any]

FACTORS = (1.0, 1 / 255, 1 / 127.5, 255.0, 127.5, 1 / 256, 1 / 128)
OFFSETS = (0.0, -1.0, 1.0, -0.5, 0.5)
"""Of images, as people write them."""


def interpolations(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The nearest pixel for the mean of those around, or the other way round."""
    if isinstance(step, Resized):
        other: Any = "nearest" if step.method == "bilinear" else "bilinear"
        yield _interpolated(suspect, step.method, other, replace(step, method=other))
    elif isinstance(step, BilinearUpsampling):
        nearest = partial(repeat_elements, sizes=step.sizes, channels_first=step.channels_first)
        plain = Rearrangement(step.name, step.inputs, nearest, step.dtype)
        yield _interpolated(suspect, "bilinear", "nearest", plain)
        message = "its pixels are counted from their corners" if step.centres else "its pixels are counted from centres"
        remedy = f'porter.build(network).get_layer("{suspect.name}") has it as the file does'
        yield Variant("interpolation", message, remedy, replace(step, centres=not step.centres))
    else:
        yield from _enlarged(suspect, step)


def _enlarged(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Pixels that are repeated in the file, and averaged in the port."""
    function = getattr(step, "function", None)
    if not isinstance(function, partial) or function.func is not repeat_elements:
        return
    sizes, first = function.keywords["sizes"], function.keywords.get("channels_first", False)
    for centres in (True, False) if len(sizes) == 2 else ():
        other = BilinearUpsampling(step.name, step.inputs, tuple(sizes), centres, first, step.dtype)
        yield _interpolated(suspect, "nearest", "bilinear", other)


def _interpolated(suspect: Suspect, own: str, other: str, step: Any) -> Variant:
    remedy = suspect.configure(interpolation=own)
    return Variant("interpolation", f"its interpolation is {other!r} for {own!r}", remedy, step)


def settings(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Every other argument that its class has."""
    for kind, family in FAMILIES.items():
        if isinstance(step, kind):
            yield from family(suspect, step)


def _resized(suspect: Suspect, step: Resized) -> Iterator[Variant]:
    message = "its images are not cropped to the proportions wanted" if step.crops else "its images are cropped first"
    remedy = suspect.configure(crop_to_aspect_ratio=step.crops)
    yield Variant("layer.argument", message, remedy, replace(step, crops=not step.crops))


def _rescaled(suspect: Suspect, step: Affine) -> Iterator[Variant]:
    """Without its offset or factor, as images are usually scaled, and what the port itself shows."""
    own = _said(step.factor), _said(step.shift)
    remedy = suspect.configure(scale=own[0], offset=own[1])
    tried = [
        (step.factor, np.zeros(1)), (np.ones(1), step.shift), (1 / step.factor, step.shift),
        *((np.array(factor), np.array(offset)) for factor in FACTORS for offset in OFFSETS),
        *_shown(suspect, step),
    ]  # fmt: skip
    for factor, shift in tried:
        told = _said(factor), _said(shift)
        if told != own:
            message = f"it has the scale {_short(told[0])} and the offset {_short(told[1])} for {_short(own[0])} and "
            code = "scaling.missing" if np.all(factor == 1) and not np.any(shift) else "scaling.range"
            yield Variant(code, f"{message}{_short(own[1])}", remedy, replace(step, factor=factor, shift=shift))


def _shown(suspect: Suspect, step: Affine) -> Iterator[tuple[Array, Array]]:
    """The factor and the offset that the port's own numbers show, in few digits and in all."""
    pairs = [(part.fed[step.inputs[0]], part.actual) for part in suspect.seen if step.inputs[0] in part.fed]
    pairs = [(x, y) for x, y in pairs if x.shape == y.shape]
    if not pairs:
        return
    x, y = (np.concatenate([pair[at].ravel() for pair in pairs]) for at in (0, 1))
    held = np.isfinite(x) & np.isfinite(y)
    if np.ptp(x[held]) == 0:
        return
    factor, shift = np.polyfit(x[held], y[held], 1)
    for digits in (2, 3, 4, 6, 9, 17):
        yield np.array(float(f"{factor:.{digits}g}")), np.array(float(f"{shift:.{digits}g}"))


def _said(value: Array) -> Any:
    return np.asarray(value).tolist()


def _short(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    same = bool(values) and all(each == values[0] for each in values) and not isinstance(values[0], list)
    return f"{values[0]:.6g}" if same else str(value)


def _standardized(suspect: Suspect, step: Standardization) -> Iterator[Variant]:
    ones, zeros = np.ones_like(step.variances), np.zeros_like(step.centres)
    others = (
        ("it divides by the variance, not by its root", replace(step, variances=np.square(step.variances))),
        ("it takes the variance for the deviation's square root", replace(step, variances=np.sqrt(step.variances))),
        ("it is applied the other way round", replace(step, inverted=not step.inverted)),
        ("the mean is left out", replace(step, centres=zeros)),
        ("the variance is left out", replace(step, variances=ones)),
        ("it does nothing", replace(step, centres=zeros, variances=ones)),
    )
    for message, other in others:
        code = "scaling.inverted" if other.inverted != step.inverted else "layer.argument"
        remedy = suspect.configure(
            mean=_said(step.centres), variance=_said(step.variances), axis=list(step.axes) or None, invert=step.inverted
        )
        yield Variant(code, message, remedy, other)


def _of_length_one(suspect: Suspect, step: UnitNormalization) -> Iterator[Variant]:
    rank = len(suspect.shapes.get(suspect.name, ())) + 1
    own = tuple(axis % rank for axis in step.axes)
    for count in range(1, rank):
        for axes in combinations(range(1, rank), count):
            if axes != own:
                remedy = suspect.configure(axis=list(own) if len(own) > 1 else own[0])
                yield Variant("layer.argument", f"its axes are {axes} for {own}", remedy, replace(step, axes=axes))


def _grouped(suspect: Suspect, step: GroupNormalization) -> Iterator[Variant]:
    shape = suspect.shapes.get(suspect.name, ())
    channels = shape[step.axis - 1 if step.axis > 0 else step.axis] if shape else 0
    for groups in range(1, channels + 1):
        if channels % groups == 0 and groups != step.groups:
            remedy = suspect.configure(groups=step.groups)
            message = f"it has {groups} groups for {step.groups}"
            yield Variant("layer.argument", message, remedy, replace(step, groups=groups))
    for epsilon in (1e-3, 1e-5, 1e-6, 1e-2, 1e-7, 1e-8):
        if epsilon != step.epsilon:
            message = f"its epsilon is {epsilon:g} for {step.epsilon:g}"
            other = replace(step, epsilon=epsilon)
            yield Variant("layer_norm.epsilon", message, suspect.configure(epsilon=step.epsilon), other)


def _encoded(suspect: Suspect, step: CategoryEncoding | Discretization) -> Iterator[Variant]:
    for mode in get_args(Mode):
        if mode != step.mode and not (mode == "int" and isinstance(step, CategoryEncoding)):
            remedy, message = suspect.configure(output_mode=step.mode), f"its mode is {mode!r} for {step.mode!r}"
            yield Variant("layer.argument", message, remedy, replace(step, mode=mode))


def _reduced(suspect: Suspect, step: Reduction) -> Iterator[Variant]:
    remedy = f"keras.ops.{step.function}(x, axis={step.axes}, keepdims={step.keeps})"
    for function in REDUCTIONS:
        if function != step.function:
            message = f"it takes the {function} for the {step.function}"
            yield Variant("layer.argument", message, remedy, replace(step, function=function))
    rank = len(suspect.shapes.get(step.inputs[0], ())) + 1
    for axes in combinations(range(1, rank), len(step.axes)):
        if axes != tuple(axis % rank for axis in step.axes):
            message = f"it goes along {axes} for {step.axes}"
            yield Variant("layer.argument", message, remedy, replace(step, axes=axes))


FAMILIES: dict[type, Any] = {
    Affine: _rescaled,
    CategoryEncoding: _encoded,
    Discretization: _encoded,
    GroupNormalization: _grouped,
    Reduction: _reduced,
    Resized: _resized,
    Standardization: _standardized,
    UnitNormalization: _of_length_one,
}
