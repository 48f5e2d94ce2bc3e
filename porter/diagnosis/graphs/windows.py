"""Mistakes of a sliding window: how the edges are padded, how far it moves, and what pooling makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.suspect import Suspect, Variant
from reference.operations.conv_lstm_cell import ConvLSTMCell
from reference.operations.global_pooling import GlobalPooling
from reference.operations.pooling import Pooling
from reference.windows import count_before, count_outputs

Array = NDArray[Any]

MOST = 4
"""The largest stride, dilation and pooling window that is tried."""
RULES = ("valid", "same", "causal", "full", "half")


def paddings(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Another rule, then zeros by hand in every way that gives as many outputs."""
    own = getattr(step, "padding", None)
    if own is None or isinstance(step, ConvLSTMCell):
        return
    remedy = suspect.configure(padding="same" if own == "half" else own)
    for rule in RULES:
        if rule != own:
            yield Variant("padding", f"its edges are padded by the rule {rule!r} for {own!r}", remedy,
                          replace(step, padding=rule))  # fmt: skip
    counted = _own_amounts(suspect, step)  # zeros there are a mistake of the pooling, not of the padding
    for amounts in _by_hand(suspect, step):
        if counted is not None and all(mine[0] == own[0] for mine, own in zip(amounts, counted, strict=True)):
            continue
        message = f"its edges are padded with {amounts} zeros before and behind"
        yield Variant("padding", message, remedy, replace(step, padding="valid"), _padder(step, amounts))


def _by_hand(suspect: Suspect, step: Any) -> Iterator[tuple[tuple[int, int], ...]]:
    """Zeros before and behind along each axis, for as many outputs as the port has."""
    window, dilation = window_of(step), getattr(step, "dilation", (1,) * len(step.strides))
    if window is None or step.inputs[0] not in suspect.shapes or suspect.name not in suspect.shapes:
        return
    spaces = [_space(suspect.shapes[name], step) for name in (step.inputs[0], suspect.name)]
    if any(len(space) != len(window) for space in spaces):
        return
    options = []
    for size, spread, stride, n, out in zip(window, dilation, step.strides, *spaces, strict=True):
        span = (size - 1) * spread + 1
        total = (out - 1) * stride + span - n
        options.append([(a, b - a) for b in range(max(total, 0), max(total, 0) + stride) for a in range(b + 1)])
    if math.prod(map(len, options)) <= 100:
        yield from product(*options)


def _space(shape: Sequence[int], step: Any) -> Sequence[int]:
    return shape[1:] if getattr(step, "channels_first", False) else shape[:-1]


def _padder(step: Any, amounts: Sequence[tuple[int, int]], value: float = 0.0) -> Callable[..., tuple[Array, ...]]:
    first = getattr(step, "channels_first", False)
    widths = [(0, 0), *([(0, 0)] if first else []), *amounts, *([] if first else [(0, 0)])]
    return lambda fed: (np.pad(fed[0], widths, constant_values=value), *fed[1:])


def window_of(step: Any) -> tuple[int, ...] | None:
    """The lengths of the window, where a step has one."""
    if isinstance(step, Pooling):
        return step.window
    kernel = getattr(step, "depthwise", getattr(step, "kernel", None))
    return None if kernel is None or kernel.ndim < 3 or not hasattr(step, "strides") else kernel.shape[:-2]


def strides(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Another stride."""
    own = getattr(step, "strides", None)
    code = "pooling" if isinstance(step, Pooling) else "strides"
    for other in () if own is None else _others(own, range(1, MOST + 1)):
        message = f"its strides are {other} for {own}"
        yield Variant(code, message, suspect.configure(strides=own), replace(step, strides=other))


def dilations(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Another dilation."""
    own = getattr(step, "dilation", None)
    for other in () if own is None else _others(own, range(1, MOST + 1)):
        message = f"its dilation is {other} for {own}"
        yield Variant("strides", message, suspect.configure(dilation_rate=own), replace(step, dilation=other))


def _others(own: tuple[int, ...], values: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if len(own) < 3:
        yield from (other for other in product(values, repeat=len(own)) if other != tuple(own))
    else:
        yield from ((value,) * len(own) for value in values if (value,) * len(own) != tuple(own))


def pooling_kinds(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The largest number for the mean."""
    if isinstance(step, GlobalPooling | Pooling):
        kind: Any = "average" if step.kind == "max" else "max"
        message = f"it takes the {_said(kind)} for the {_said(step.kind)}"
        remedy = suspect.configure(f"keras.layers.{_class(suspect, step)}")
        yield Variant("pooling", message, remedy, replace(step, kind=kind))


def pooling_windows(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Another window, the padding counted."""
    if not isinstance(step, Pooling):
        return
    for window in _others(step.window, range(1, MOST + 1)):
        remedy = suspect.configure(pool_size=step.window)
        message = f"its window is {window} for {step.window}"
        yield Variant("pooling", message, remedy, replace(step, window=window))
        if step.window == step.strides:
            both = replace(step, window=window, strides=window)
            yield Variant("pooling", f"{message}, and its strides with it", remedy, both)
    yield from _counted(suspect, step)


def _class(suspect: Suspect, step: Any) -> str:
    """Keras' name of a pooling layer."""
    if isinstance(step, Pooling):
        return f"{step.kind.capitalize()}Pooling{len(step.window)}D"
    dims = len(suspect.shapes.get(step.inputs[0], (1, 1))) - 1
    return f"Global{step.kind.capitalize()}Pooling{dims}D"


def _said(kind: str) -> str:
    return "largest" if kind == "max" else "mean"


def _counted(suspect: Suspect, step: Pooling) -> Iterator[Variant]:
    """The mean of each window with the zeros of its padding; the largest where zeros may win."""
    amounts = _own_amounts(suspect, step)
    if amounts is not None:
        message = "the padding counts: zeros are among the numbers of a window"
        remedy = f'keras.layers.{_class(suspect, step)} with padding="same", and no zeros before it'
        yield Variant("pooling", message, remedy, replace(step, padding="valid"), _padder(step, amounts))


def _own_amounts(suspect: Suspect, step: Any) -> tuple[tuple[int, int], ...] | None:
    """What a pooling layer's own rule adds before and behind along each axis."""
    space = _space(suspect.shapes.get(step.inputs[0], ()), step)
    if not isinstance(step, Pooling) or len(space) != len(step.window):
        return None
    amounts = []
    for n, size, stride in zip(space, step.window, step.strides, strict=True):
        before = count_before(step.padding, n, size, stride)
        total = (count_outputs(step.padding, n, size, stride) - 1) * stride + size - n
        amounts.append((before, max(total - before, 0)))
    return tuple(amounts)
