"""How a port's kernel came about from the arrays of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.codes import Cause
from porter.diagnosis.numbers import (
    describe_entries,
    describe_permutation,
    equal_within_ulp,
    match_vectors,
    rounded,
    rounding_rules,
    sample_positions,
)
from porter.diagnosis.suspect import Stored, Suspect

Array = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """One way in which the kernel of one layer of the file may stand in a port.

    Attributes:
        source: which layer of the file.
        code: the mistake, or "" where it stands as it should.
        message: the mistake in words.
        remedy: a line to paste.
        kernel: (inputs, units) the numbers in that layout, float64.
    """

    source: Stored
    code: str
    message: str
    remedy: str
    kernel: Array


@dataclass(frozen=True)
class KernelReading:
    """The explanation of a kernel.

    Attributes:
        causes: what is wrong with it; empty where nothing is.
        source: the layer of the file whose numbers it holds, or None where none fits.
        columns: (units,) the order of the units where they are permuted, or None.
        tried: how many explanations were compared.
        twins: other layers of the file that explain it just as well.
    """

    causes: tuple[Cause, ...]
    source: Stored | None
    columns: Array | None = None
    tried: int = 0
    twins: tuple[str, ...] = ()


def layouts(source: Stored, shape: tuple[int, ...]) -> Iterator[Layout]:
    """Every layout of a layer's kernel that has the wanted shape, the right one first; equal ones once."""
    kernel, raw = source.kernel, source.raw.astype(np.float64)
    assign = f"layer.kernel.assign(weights[{source.name!r}]"
    options: list[tuple[str, str, str, Callable[[], Array]]] = [
        ("", "", "", lambda: kernel),
        ("kernel.transposed", "the kernel stands transposed", f"{assign}.T)", lambda: kernel.T),
        *(
            (
                "kernel.reshaped",
                f"the kernel was reshaped in {order} order where it should be transposed",
                f"{assign}.T)  # not .reshape({shape[0]}, {shape[1]})",
                partial(np.reshape, raw, shape, order=order),
            )
            for order in ("C", "F")
        ),
        ("kernel.flipped", "the kernel's rows and columns stand in reverse order", f"{assign}.T)", lambda: kernel[::-1, ::-1]),
        ("kernel.flipped", "the kernel's columns stand in reverse order", f"{assign}.T)", lambda: kernel[:, ::-1]),
        ("kernel.flipped", "the kernel's rows stand in reverse order", f"{assign}.T)", lambda: kernel[::-1]),
    ]  # fmt: skip
    if source.bias is not None and kernel.shape == shape and kernel.shape[1] == len(source.bias):
        bias = source.bias
        options += [
            ("kernel.augmented", "the bias stands in the kernel's first row, and its rows one further down", f"{assign}.T)",
             lambda: np.vstack([bias[None], kernel[:-1]])),
            ("kernel.augmented", "the bias stands in the kernel's last row, and its rows one further up", f"{assign}.T)",
             lambda: np.vstack([kernel[1:], bias[None]])),
        ]  # fmt: skip
    options.append(
        ("kernel.values", "the kernel's bytes were read in the other byte order", f"{assign}.T)", source.swapped_kernel)
    )
    seen: list[Array] = []
    for code, message, remedy, make in options:
        if kernel.size != np.prod(shape):
            return
        candidate = make()
        if candidate.shape == shape and not any(np.array_equal(candidate, other) for other in seen):
            seen.append(candidate)
            yield Layout(source, code, message, remedy, candidate)


def explain_kernel(suspect: Suspect) -> KernelReading:
    """The explanation of the exposed kernel with the fewest mistakes that leaves the fewest entries open."""
    found = suspect.kernel
    assert found is not None
    sources = [suspect.own, *(layer for i, layer in enumerate(suspect.layers) if i != suspect.position)]
    candidates = [layout for source in sources for layout in layouts(source, found.shape)]
    reading = _permuted(suspect, found, candidates[0])
    if reading is not None:
        return reading
    best = _best(found, candidates, suspect)
    if best.share >= 0.5 and best.layout is not None:
        return _reading(suspect, found, best)
    return _unrelated(suspect, found, best.tried)


@dataclass(frozen=True)
class _Match:
    layout: Layout | None
    share: float
    value_code: str = ""
    value_message: str = ""
    change: Callable[[Array], Array] = staticmethod(lambda values: values)
    tried: int = 0
    twins: tuple[str, ...] = ()


def _value_changes(layout: Layout, dtype: str) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    yield "", "", lambda values: values
    yield "kernel.values", "every entry of the kernel has the opposite sign", np.negative
    for message, rule in rounding_rules(dtype):
        yield "kernel.precision", f"the kernel was {message}", rule


def _best(found: Array, candidates: list[Layout], suspect: Suspect) -> _Match:
    positions = sample_positions(found.size)
    seen = found.reshape(-1)[positions]
    best, tried, twins = _Match(None, 0.0), 0, []
    for layout in candidates:
        sampled = layout.kernel.reshape(-1)[positions]
        for code, message, change in _value_changes(layout, suspect.dtype):
            tried += 1
            share = float(equal_within_ulp(seen, change(sampled), suspect.dtype, suspect.slack).mean())
            # A rounding that leaves an entry as it was explains nothing: it has to be clearly better.
            if share > best.share + (0.02 if best.share < 1 and code else 0.0) and share > best.share:
                best, twins = _Match(layout, share, code, message, change), []
            elif share == best.share == 1.0 and best.layout is not None and layout.source is not best.layout.source and not code:
                twins.append(layout.source.name)
    return _Match(best.layout, best.share, best.value_code, best.value_message, best.change, tried, tuple(twins))


def _reading(suspect: Suspect, found: Array, match: _Match) -> KernelReading:
    layout = match.layout
    assert layout is not None
    causes = []
    if layout.code:
        causes.append(Cause(layout.code, suspect.name, layout.message, layout.remedy))
    if match.value_code:
        remedy = f"layer.kernel.assign(weights[{layout.source.name!r}].T)  # in the dtype of the file"
        causes.append(Cause(match.value_code, suspect.name, match.value_message, remedy))
    wanted = match.change(layout.kernel)
    differs = ~equal_within_ulp(found, wanted, suspect.dtype, suspect.slack)
    if differs.any():
        causes.append(_entries(suspect, found, rounded(wanted, suspect.dtype), differs))
    return KernelReading(tuple(causes), layout.source, None, match.tried, match.twins)


def _entries(suspect: Suspect, found: Array, wanted: Array, differs: Array) -> Cause:
    return Cause(
        "kernel.values",
        suspect.name,
        f"entries of the kernel differ: {describe_entries(found, wanted, differs)}",
        f"layer.kernel.assign(weights[{suspect.name!r}].T)",
    )


def _permuted(suspect: Suspect, found: Array, own: Layout) -> KernelReading | None:
    """Rows or columns of the right kernel in another order."""
    if own.code or own.kernel.shape != found.shape or equal_within_ulp(found, own.kernel, suspect.dtype).all():
        return None
    columns = match_vectors(found.T, own.kernel.T, suspect.dtype)
    if columns is not None:
        return _permuted_columns(suspect, columns[0])
    rows = match_vectors(found, own.kernel, suspect.dtype)
    return None if rows is None else _permuted_rows(suspect, rows[0])


def _permuted_columns(suspect: Suspect, order: Array) -> KernelReading | None:
    is_reversal = bool(np.array_equal(order, np.arange(len(order))[::-1]))
    if is_reversal and not _follows(suspect, order):
        return None
    code = "outputs.permuted" if suspect.is_last else "units.permuted"
    what = "outputs" if suspect.is_last else "units"
    message = f"the {what} stand in another order: {describe_permutation(order, what)}"
    cause = Cause(code, suspect.name, message, _order_remedy(suspect.name, "kernel and bias", order))
    return KernelReading((cause,), suspect.own, order, 2)


def _follows(suspect: Suspect, order: Array) -> bool:
    """Whether the bias is permuted like the kernel's columns."""
    if suspect.own.bias is None or suspect.bias is None:
        return False
    return bool(equal_within_ulp(suspect.bias, suspect.own.bias[order], suspect.dtype).all())


def _permuted_rows(suspect: Suspect, order: Array) -> KernelReading | None:
    if suspect.is_first:
        message = f"the inputs stand in another order: {describe_permutation(order, 'inputs')}"
        cause = Cause("inputs.permuted", suspect.name, message, _order_remedy(suspect.name, "kernel's rows", order))
        return KernelReading((cause,), suspect.own, None, 2)
    if np.array_equal(order, np.arange(len(order))[::-1]):
        return None
    before = suspect.layers[suspect.position - 1].name
    message = (
        f"its units stand in another order than {suspect.name} takes them in: "
        f"{describe_permutation(order, 'units')}"
    )
    cause = Cause("units.permuted", before, message, _order_remedy(suspect.name, "kernel's rows", order))
    return KernelReading((cause,), suspect.own, None, 2)


def _order_remedy(name: str, what: str, order: Array) -> str:
    return f"assign {name}'s {what} in the order of the file (the port has {_short(order)})"


def _short(order: Array) -> str:
    listed = ", ".join(str(int(i)) for i in order[:8])
    return f"[{listed}{', ...' if len(order) > 8 else ''}]"


def _unrelated(suspect: Suspect, found: Array, tried: int) -> KernelReading:
    """A kernel of none of the file's numbers: constant, an initializer's, a multiple, or something else."""
    remedy = f"layer.kernel.assign(weights[{suspect.name!r}].T)"
    initializer = describe_initializer(found, suspect.own.kernel)
    if initializer is not None:
        cause = Cause("kernel.unset", suspect.name, f"the kernel still has initial values: {initializer}", remedy)
        return KernelReading((cause,), None, None, tried)
    stored = suspect.own.kernel
    relation = describe_relation(found, stored) if stored.shape == found.shape else None
    if relation is not None:
        return KernelReading((Cause("kernel.values", suspect.name, relation, remedy),), suspect.own, None, tried)
    message = "the kernel is none of the file's, in any layout"
    detail = f"least squares of the port's kernel on the stored one: {_least_squares(found, stored)}"
    return KernelReading((Cause("unexplained", suspect.name, message, remedy, detail),), None, None, tried)


def describe_initializer(found: Array, stored: Array) -> str | None:
    """Which of Keras' initializers the values look like, or None where they do not, or follow the stored ones."""
    if np.ptp(found) == 0:
        value = float(found.flat[0])
        source = " (the first element of the stored array)" if np.isclose(value, stored.flat[0], rtol=1e-6) else ""
        return f"every entry is {value:.6g}{source}"
    if found.shape == stored.shape and abs(correlation(found, stored)) > 0.5:
        return None
    inputs, units = found.shape
    if inputs == units and np.array_equal(found, np.eye(inputs)):
        return "the identity matrix"
    for name, limit in (
        ("glorot_uniform", np.sqrt(6 / (inputs + units))),
        ("he_uniform", np.sqrt(6 / inputs)),
        ("lecun_uniform", np.sqrt(3 / inputs)),
        ("random_uniform", 0.05),
    ):
        reach = float(np.max(np.abs(found))) / limit
        if _is_centred(found) and 1 - 12 / found.size < reach <= 1 and abs(found.std() / limit * np.sqrt(3) - 1) < _noise(found.size):
            return f"spread like {name} (largest {np.max(np.abs(found)):.4g}, limit {limit:.4g})"
    for name, deviation in (
        ("glorot_normal", np.sqrt(2 / (inputs + units))),
        ("he_normal", np.sqrt(2 / inputs)),
        ("lecun_normal", np.sqrt(1 / inputs)),
        ("random_normal", 0.05),
    ):
        if _is_centred(found) and found.size >= 16 and abs(found.std() / deviation - 1) < _noise(found.size):
            return f"spread like {name} (standard deviation {found.std():.4g}, expected {deviation:.4g})"
    return None


def _is_centred(values: Array) -> bool:
    return bool(abs(values.mean()) <= 5 * values.std() / np.sqrt(values.size))


def _noise(size: int) -> float:
    """Five standard deviations of the relative error of a sample's standard deviation."""
    return 5 / np.sqrt(2 * size)


def describe_relation(found: Array, stored: Array) -> str | None:
    """A multiple of the stored kernel, as a whole, by row or by column; or one that follows it loosely."""
    scale = float(np.vdot(stored, found) / np.vdot(stored, stored)) if stored.any() else 0.0
    size = np.max(np.abs(stored), initial=0.0)
    for what, factor in (("every entry", scale), ("rows", _factors(found, stored, 1)), ("columns", _factors(found, stored, 0))):
        if np.max(np.abs(found - factor * stored)) <= 1e-5 * size * np.max(np.abs(factor)):
            spread = f"{scale:.6g}" if np.ndim(factor) == 0 else f"{np.min(factor):.4g} to {np.max(factor):.4g}"
            return f"the kernel is the stored one with {what} multiplied by {spread}"
    close = correlation(found, stored)
    if close > 0.9:
        return f"the kernel follows the stored one only loosely: {_least_squares(found, stored)}"
    return None


def _factors(found: Array, stored: Array, axis: int) -> Array:
    weight = np.sum(stored * stored, axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0, np.sum(found * stored, axis=axis, keepdims=True) / weight, 1.0)


def correlation(found: Array, stored: Array) -> float:
    """Pearson's correlation of the entries; 0 where either is constant."""
    a, b = found.ravel() - found.mean(), stored.ravel() - stored.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0


def _least_squares(found: Array, stored: Array) -> str:
    if found.shape != stored.shape:
        return f"shape {found.shape} for {stored.shape}"
    scale = float(np.vdot(stored, found) / np.vdot(stored, stored)) if stored.any() else 0.0
    residual = float(np.max(np.abs(found - scale * stored)))
    return f"factor {scale:.4g}, correlation {correlation(found, stored):.4f}, largest residual {residual:.4g}"
