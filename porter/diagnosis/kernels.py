"""How a port's kernel came about from the arrays of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.matching import Layout, Match, match_layouts, number_changes
from porter.examination.numbers import describe_entries, describe_permutation, is_reversal, match_vectors, rounded
from porter.examination.suspect import Stored, Suspect

Array = NDArray[Any]


@dataclass(frozen=True)
class KernelReading:
    """The explanation of a kernel.

    Attributes:
        causes: what is wrong with it; empty where nothing is.
        source: the layer of the file whose numbers it holds, or None where none fits.
        columns: (units,) the order of the units where they are permuted, or None.
        tried: how many explanations were compared.
        twins: other layers of the file that explain it just as well.
        exact: (inputs, units) the numbers of the file that it stands for, or None where entries are left over.
    """

    causes: tuple[Cause, ...]
    source: Stored | None
    columns: Array | None = None
    tried: int = 0
    twins: tuple[str, ...] = ()
    exact: Array | None = None


def layouts(source: Stored, shape: tuple[int, ...]) -> Iterator[Layout]:
    """Every layout of a layer's kernel that has the wanted shape, the right one first; equal ones once."""
    if source.kernel.size != np.prod(shape):
        return
    seen: list[Array] = []
    for code, message, kernel in _options(source, shape):
        if kernel.shape == shape and not any(np.array_equal(kernel, other) for other in seen):
            seen.append(kernel)
            yield Layout(source, code, message, kernel)


def _options(source: Stored, shape: tuple[int, ...]) -> Iterator[tuple[str, str, Array]]:
    kernel, raw = source.kernel, source.raw.astype(np.float64)
    yield "", "", kernel
    yield "kernel.transposed", "the kernel stands transposed", kernel.T
    for stored in (raw, raw.T):  # as NumPy has it, and as a language with the first index fastest does
        for order in ("C", "F"):
            message = f"the kernel was reshaped in {order} order where it should be transposed"
            yield "kernel.reshaped", message, np.reshape(stored, shape, order=order)
    yield "kernel.flipped", "the kernel's rows and columns stand in reverse order", kernel[::-1, ::-1]
    yield "kernel.flipped", "the kernel's columns stand in reverse order", kernel[:, ::-1]
    yield "kernel.flipped", "the kernel's rows stand in reverse order", kernel[::-1]
    yield "kernel.flipped", "the kernel is turned by a quarter to the left", np.rot90(kernel)
    yield "kernel.flipped", "the kernel is turned by a quarter to the right", np.rot90(kernel, -1)
    yield "kernel.flipped", "the kernel stands transposed about its other diagonal", kernel[::-1, ::-1].T
    if source.bias is not None:
        first, last = np.vstack([source.bias[None], kernel[:-1]]), np.vstack([kernel[1:], source.bias[None]])
        yield "kernel.augmented", "the bias stands in the kernel's first row, and its rows one further down", first
        yield "kernel.augmented", "the bias stands in the kernel's last row, and its rows one further up", last
    yield "kernel.values", "the kernel's bytes were read in the other byte order", source.swapped_kernel()


def explain_kernel(suspect: Suspect) -> KernelReading:
    """The explanation of the exposed kernel with the fewest mistakes that leaves the fewest entries open."""
    found = suspect.kernel
    assert found is not None
    if describe_constant(found, suspect.own.kernel) is not None:
        return _unrelated(suspect, found, 1)
    sources = _sources(suspect)
    candidates = [layout for source in sources for layout in layouts(source, found.shape)]
    reading = _permuted(suspect, found, candidates[0]) if candidates else None
    if reading is not None:
        return reading
    matches = match_layouts(found, candidates, suspect, number_changes(suspect, "kernel"))
    best = max(matches, key=lambda match: match.share, default=Match(0.0))
    if best.share >= 0.5:
        return _reading(suspect, found, matches, best)
    return _unrelated(suspect, found, len(matches))


def _sources(suspect: Suspect) -> list[Stored]:
    """The layer of the file, then all the others."""
    return [suspect.own, *(layer for i, layer in enumerate(suspect.layers) if i != suspect.position)]


def _same_numbers(suspect: Suspect, found: Array, layer: Stored) -> bool:
    """Whether both hold the same numbers, each as often; three digits would not tell."""
    if found.size != layer.kernel.size or not suspect.is_shown:
        return False
    return bool(suspect.equal(np.sort(found, axis=None), np.sort(layer.kernel, axis=None)).all())


def _twins(best: Match, matches: list[Match]) -> tuple[str, ...]:
    """Other layers of the file that account for every entry as well."""
    sources = [
        match.layout.source
        for match in matches
        if match.share == best.share == 1 and match.layout is not None and match.change is not None
        if not match.change.code and match.layout.code == (best.layout.code if best.layout is not None else "")
    ]
    own = best.layout.source if best.layout is not None else None
    return tuple(source.name for source in sources if source is not own)


def _reading(suspect: Suspect, found: Array, matches: list[Match], best: Match) -> KernelReading:
    layout, change = best.layout, best.change
    assert layout is not None and change is not None
    causes = []
    if layout.code:
        causes.append(Cause(layout.code, suspect.name, layout.message, suspect.assign("kernel")))
    wanted = change.apply(layout.array)
    differs = ~suspect.equal(found, wanted)
    if change.code:
        rest = f", all but {np.count_nonzero(differs):,} of {differs.size:,}" if differs.any() else ""
        causes.append(Cause(change.code, suspect.name, f"{change.message}{rest}", suspect.assign("kernel")))
    if differs.any():
        causes.append(_entries(suspect, found, rounded(wanted, suspect.dtype), differs))
    exact = None if differs.any() else wanted
    return KernelReading(tuple(causes), layout.source, None, len(matches), _twins(best, matches), exact)


def _entries(suspect: Suspect, found: Array, wanted: Array, differs: Array) -> Cause:
    return Cause(
        "kernel.values",
        suspect.name,
        f"in the kernel {describe_entries(found, wanted, differs)}",
        suspect.assign("kernel"),
    )


def _permuted(suspect: Suspect, found: Array, own: Layout) -> KernelReading | None:
    """Rows or columns of the right kernel in another order."""
    if own.code or own.array.shape != found.shape or suspect.equal(found, own.array).all():
        return None
    if not suspect.is_shown and found.size < TELLING_NUMBERS:
        return None
    columns = match_vectors(found.T, own.array.T, suspect.equal)
    if columns is not None:
        return _permuted_columns(suspect, columns[0])
    rows = match_vectors(found, own.array, suspect.equal)
    return None if rows is None else _permuted_rows(suspect, rows[0])


def _permuted_columns(suspect: Suspect, order: Array) -> KernelReading | None:
    if is_reversal(order) and not _follows(suspect, order):
        return None
    code = "outputs.permuted" if suspect.is_last else "units.permuted"
    what = "outputs" if suspect.is_last else "units"
    message = f"the {what} stand in another order: {describe_permutation(order, what)}"
    cause = Cause(code, suspect.name, message, suspect.assign("kernel", "bias"))
    return KernelReading((cause,), suspect.own, order, 2, exact=suspect.own.kernel[:, order])


def _follows(suspect: Suspect, order: Array) -> bool:
    """Whether the bias is permuted like the kernel's columns."""
    if suspect.own.bias is None or suspect.bias is None:
        return False
    return bool(suspect.equal(suspect.bias, suspect.own.bias[order]).all())


def _permuted_rows(suspect: Suspect, order: Array) -> KernelReading | None:
    if suspect.is_first:
        message = f"the inputs stand in another order: {describe_permutation(order, 'inputs')}"
        cause = Cause("inputs.permuted", suspect.name, message, suspect.assign("kernel"))
        return KernelReading((cause,), suspect.own, None, 2, exact=suspect.own.kernel[order])
    if is_reversal(order):
        return None
    before = suspect.layers[suspect.position - 1].name
    message = f"it takes the units of {before} in another order: {describe_permutation(order, 'units')}"
    cause = Cause("units.permuted", suspect.name, message, suspect.assign("kernel"))
    return KernelReading((cause,), suspect.own, None, 2, exact=suspect.own.kernel[order])


TELLING_NUMBERS = 12
"""Numbers of three digits from which on an array is not another one in another order by chance."""
TELLING_SIZE = 64
"""Entries from which on their spread says where a kernel comes from."""


def _unrelated(suspect: Suspect, found: Array, tried: int) -> KernelReading:
    """A kernel of none of the file's numbers: constant, an initializer's, a multiple, or something else."""
    remedy = suspect.assign("kernel")
    shuffled = next((layer for layer in _sources(suspect) if _same_numbers(suspect, found, layer)), None)
    if shuffled is not None:
        whose = "the file's own numbers" if shuffled is suspect.own else f"the numbers of {shuffled.name}"
        message = f"the kernel holds {whose} in another order, which is none of those that were tried"
        return KernelReading((Cause("kernel.values", suspect.name, message, remedy),), None, None, tried)
    initial = initial_values(found, suspect.own.kernel)
    if initial is not None:
        cause = Cause("kernel.unset", suspect.name, f"the kernel {initial[0]}", remedy)
        return KernelReading((cause,), None, None, tried, initial[1])
    stored = suspect.own.kernel
    relation = describe_relation(found, stored) if stored.shape == found.shape else None
    if relation is not None:
        return KernelReading((Cause("kernel.values", suspect.name, relation, remedy),), suspect.own, None, tried)
    message = "the kernel is none of the file's, in any layout"
    detail = f"least squares of the port's kernel on the stored one: {_least_squares(found, stored)}"
    return KernelReading((Cause("unexplained", suspect.name, message, remedy, detail),), None, None, tried)


def initial_values(found: Array, stored: Array) -> tuple[str, tuple[str, ...]] | None:
    """That values look like an initializer's, in words, and what else they may be; None where they do not."""
    initializer = describe_initializer(found, stored)
    if initializer is None:
        return None
    # A bell curve of that width may as well be another network's, and so may few numbers of any spread; many that are
    # trained do not end at a limit just so.
    twins = ("a kernel of another network",) if "_normal" in initializer or found.size < TELLING_SIZE else ()
    other = ", or another network's" if twins else ""
    return f"still has initial values{other}: {initializer}", twins


def describe_constant(found: Array, stored: Array) -> str | None:
    """The one value of every entry, where the stored ones are not all alike; None otherwise."""
    if found.size < 2 or np.ptp(found) != 0 or np.ptp(stored) == 0:
        return None
    value = float(found.flat[0])
    source = " (the first element of the stored array)" if np.isclose(value, stored.flat[0], rtol=1e-6) else ""
    return f"every entry is {value:.6g}{source}"


def describe_initializer(found: Array, stored: Array) -> str | None:
    """Which of Keras' initializers the values look like, or None where they do not, or follow the stored ones."""
    constant = describe_constant(found, stored)
    if constant is not None:
        return constant
    if found.ndim < 2 or (found.shape == stored.shape and abs(correlation(found, stored)) > _related(found.size)):
        return None
    places = int(np.prod(found.shape[:-2]))
    inputs, units = places * found.shape[-2], places * found.shape[-1]
    if found.ndim == 2 and inputs == units and np.array_equal(found, np.eye(inputs)):
        return "the identity matrix"
    for name, limit in (
        ("glorot_uniform", np.sqrt(6 / (inputs + units))),
        ("he_uniform", np.sqrt(6 / inputs)),
        ("lecun_uniform", np.sqrt(3 / inputs)),
        ("random_uniform", 0.05),
    ):
        reach = float(np.max(np.abs(found))) / limit
        if (
            _is_centred(found)
            and 1 - 12 / found.size < reach <= 1
            and abs(found.std() / limit * np.sqrt(3) - 1) < _noise(found.size)
            and _is_even(found / limit)
        ):
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


def _related(size: int) -> float:
    """A correlation that numbers drawn by themselves do not have with others: five standard deviations of it."""
    return float(min(0.5, 5 / np.sqrt(size)))


def _is_even(values: Array) -> bool:
    """Whether numbers are spread evenly over [-1, 1], none of them twice: Kolmogorov's test at one in a thousand."""
    ordered = np.sort(values, axis=None)
    if np.any(ordered[1:] == ordered[:-1]):
        return False
    ranks = np.arange(1, ordered.size + 1) / ordered.size
    return bool(np.max(np.abs((ordered + 1) / 2 - ranks + 0.5 / ordered.size)) * np.sqrt(ordered.size) < 1.95)


def _noise(size: int) -> float:
    """Five standard deviations of the relative error of a sample's standard deviation."""
    return 5 / np.sqrt(2 * size)


def describe_relation(found: Array, stored: Array) -> str | None:
    """A multiple of the stored kernel, as a whole, by row or by column; or one that follows it loosely."""
    scale = float(np.vdot(stored, found) / np.vdot(stored, stored)) if stored.any() else 0.0
    size = np.max(np.abs(stored), initial=0.0)
    for what, factor in (
        ("every entry", scale),
        ("rows", _factors(found, stored, 1)),
        ("columns", _factors(found, stored, 0)),
    ):
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
