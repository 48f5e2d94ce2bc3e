"""What is wrong with data before anything is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.probes import FILL_VALUES
from porter.learning.data import Data
from porter.learning.errors import DataError
from porter.learning.splits import Split

Array = NDArray[Any]

GUESSES: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("log10 of it would fit", np.log10),
    ("10 to its power would fit", lambda x: np.power(10.0, x)),
    ("the cosine of it in degrees would fit", lambda x: np.cos(np.deg2rad(x))),
    ("a hundredth of it would fit (per cent)", lambda x: x / 100),
    ("a thousandth of it would fit", lambda x: x / 1000),
    ("a thousand times it would fit", lambda x: x * 1000),
)
"""What people forget to apply to a column, and what they would see."""


@dataclass(frozen=True)
class Problem:
    """What was noticed in the data.

    Attributes:
        text: one sentence.
        fatal: whether nothing sensible can follow.
        remedy: what to do.
    """

    text: str
    fatal: bool = False
    remedy: str = ""


def drop_missing(data: Data) -> tuple[Data, int]:
    """The rows whose numbers are all finite, and how many were left out.

    Raises:
        DataError: there are none.
    """
    finite = _finite(data.inputs) & _finite(data.targets)
    if not finite.any():
        raise DataError(f"data {data.source}", found="a missing number in every row", expected="rows without one")
    return data.rows(np.flatnonzero(finite)), int(np.sum(~finite))


def _finite(array: Array) -> Array:
    return np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))


def seen_by(data: Data, dtypes: tuple[str, str]) -> Data:
    """The rows in the dtypes of the model's input and output, as it takes them."""
    with np.errstate(over="ignore"):
        return replace(data, inputs=data.inputs.astype(dtypes[0]), targets=data.targets.astype(dtypes[1]))


def check_range_of_dtype(data: Data, seen: Data) -> list[Problem]:
    """Numbers that are finite, and are not in the dtype of the model."""
    found = []
    for kind in ("inputs", "targets"):
        before, after = getattr(data, kind), getattr(seen, kind)
        lost = np.isfinite(before) & ~np.isfinite(after)
        if lost.any():
            row = int(np.argwhere(lost)[0][0])
            told = f"{int(lost.sum()):,} {kind} are larger than {after.dtype} holds, the first in row {row}"
            found.append(Problem(told, fatal=True, remedy="leave these rows out"))
    return found


def check_data(data: Data, limits: tuple[Array | None, Array | None]) -> list[Problem]:
    """What can be said of the rows themselves.

    Args:
        data: in the units that the model takes and gives.
        limits: (n, 2) documented range of the inputs and of the outputs, or None.
    """
    sides = (
        ("input", data.inputs, data.input_names, limits[0]),
        ("target", data.targets, data.target_names, limits[1]),
    )
    found: list[Problem] = []
    for kind, values, given, documented in sides:
        flat = values.reshape(len(values), -1)
        names = given if len(given) == flat.shape[1] else tuple(f"{given[0]}[{k}]" for k in range(flat.shape[1]))
        found += _missing(kind, flat, names)
        if not any(problem.fatal for problem in found):
            found += [*_constant(kind, flat, names), *_outside(kind, flat, names, documented)]
    return found


def _missing(kind: str, values: Array, names: tuple[str, ...]) -> Iterator[Problem]:
    bad = ~np.isfinite(values)
    if bad.any():
        columns = [names[place] for place in np.flatnonzero(bad.any(axis=0))]
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        yield Problem(
            f"{int(bad.any(axis=1).sum()):,} of {len(values):,} rows have {kind}s that are no numbers: "
            f"{_some(columns)}, first in row {row}",
            fatal=True, remedy="leave these rows out: drop_missing=True (--drop-missing)",
        )  # fmt: skip
        return
    for place, name in enumerate(names):
        column = values[:, place]
        for fill in FILL_VALUES:
            share = float(np.mean(column == fill))
            others = column[column != fill]
            if 0 < share < 1 and others.size and abs(fill) > 10 * np.abs(others).max(initial=0.0) + 1:
                yield Problem(
                    f"{kind} {name}: {fill:g} stands in {share:.1%} of the rows and nothing comes near it: "
                    "a fill value, not a measurement",
                    fatal=True, remedy="put NaN in its place, and drop_missing=True (--drop-missing)",
                )  # fmt: skip


def _constant(kind: str, values: Array, names: tuple[str, ...]) -> Iterator[Problem]:
    same = np.ptp(values, axis=0) == 0
    columns = [names[place] for place in np.flatnonzero(same)]
    if columns and len(values) > 1:
        everything = kind == "target" and bool(same.all())
        told = "there is nothing to learn" if kind == "target" else "nothing can be learned about it"
        yield Problem(f"{kind} {_some(columns)}: the same value in every row; {told}", fatal=everything)


def _outside(kind: str, values: Array, names: tuple[str, ...], limits: Array | None) -> Iterator[Problem]:
    """Columns outside the documented range; so far outside that the units must be others is fatal."""
    if limits is None or len(limits) != values.shape[1]:
        return
    for place, name in enumerate(names):
        low, high = limits[place]
        column, width = values[:, place], high - low
        outside = float(np.mean((column < low) | (column > high)))
        if outside == 0 or width <= 0:
            continue
        range_told = f"its documented range {low:.4g} to {high:.4g}"
        median = float(np.median(column))
        if median < low - width or median > high + width:
            yield Problem(
                f"{kind} {name}: its median {median:.4g} lies more than a whole range outside {range_told}: "
                f"these cannot be the units that the model takes{_guess(column, low, high)}",
                fatal=True, remedy="convert it, or say units= (--units physical|network|scaled) with the legacy file",
            )  # fmt: skip
        else:
            guess = _guess(column, low, high) if outside > 0.5 else ""
            yield Problem(f"{kind} {name}: {outside:.1%} of the rows lie outside {range_told}{guess}")


def _guess(column: Array, low: float, high: float) -> str:
    with np.errstate(all="ignore"):
        for words, function in GUESSES:
            tried = function(column)
            if np.isfinite(tried).all() and np.mean((tried >= low) & (tried <= high)) > 0.9:
                return f"; {words}"
    return ""


def check_split(data: Data, split: Split) -> list[Problem]:
    """What can be said of the parts: rows of one part that are also in another.

    Args:
        data: in the dtypes that the model takes: it cannot tell apart what rounds to the same.
        split: of its rows.
    """
    keys = [row.tobytes() for row in np.ascontiguousarray(data.inputs.reshape(len(data), -1) + 0)]  # -0 is 0
    seen = {keys[row] for row in split.train}
    found = list(_ungrouped(data))
    for name in ("validation", "test"):
        rows = split.parts()[name]
        again = sum(keys[row] in seen for row in rows)
        if again:
            everything = again == len(rows)
            found.append(
                Problem(
                    f"{again:,} of {len(rows):,} {name} rows have the very inputs of a training row, so that the "
                    f"{name} error tells little about new inputs",
                    fatal=everything,
                    remedy="keep such rows together by a column: group= (--group COLUMN)",
                )
            )
    return found


def _ungrouped(data: Data) -> Iterator[Problem]:
    """Rows of which nobody knows where they belong."""
    if data.groups is None:
        return
    is_number = data.groups.dtype.kind == "f"
    count = int(np.sum(np.isnan(data.groups) if is_number else data.groups.astype(str) == ""))
    if count:
        yield Problem(f"{count:,} rows have no value in the column that keeps rows together: they were kept together")


def refuse(problems: list[Problem], source: str) -> None:
    """Stop where nothing sensible can follow.

    Raises:
        DataError: the first fatal problem, with the number of others.
    """
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise DataError(f"data {source}", found=f"{fatal[0].text}{more}", remedy=fatal[0].remedy or None)


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 6 else [*names[:5], f"... ({len(names)} in all)"])
