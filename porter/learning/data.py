"""What is learned from: inputs and targets, by name or position, out of files or arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import first_line
from porter.learning.errors import DataError
from porter.learning.tables import Table, read_table

Array = NDArray[Any]
Chosen = str | int | Sequence[str | int] | None

SIDES = ("inputs", "targets")
INPUT_KEYS, TARGET_KEYS = ("inputs", "x"), ("outputs", "targets", "y")


@dataclass(frozen=True)
class Data:
    """Samples to learn from.

    Attributes:
        inputs: (rows, ...) float64, in the units that the model takes, once ``units`` were settled.
        targets: (rows, ...) float64.
        input_names: one a column.
        target_names: one a column.
        groups: (rows,) values of the column by which the rows belong together, or None.
        source: where they came from, for people.
        sha256: of the file, or of the arrays.
    """

    inputs: Array
    targets: Array
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    groups: Array | None
    source: str
    sha256: str

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: Array) -> Data:
        """The same with some of the rows alone."""
        groups = None if self.groups is None else self.groups[chosen]
        return replace(self, inputs=self.inputs[chosen], targets=self.targets[chosen], groups=groups)


def load_data(
    source: Any,
    widths: tuple[int, int],
    *,
    inputs: Chosen = None,
    targets: Chosen = None,
    group: str | int | None = None,
) -> Data:
    """Samples out of a file, of columns, or of a pair of arrays.

    Args:
        source: a path (.npz, CSV, HDF5, netCDF-4), a mapping of names to arrays, a pair (inputs, targets), or ``Data``.
        widths: how many inputs and outputs the model has.
        inputs: names or positions of the columns that are inputs; a name may be that of an array of several columns,
            "0:7" is a range of positions. None: what the file says, else the first columns.
        targets: the same for the targets; None: what the file says, else the columns after the inputs.
        group: the column whose equal values keep rows together (a site, a date).

    Raises:
        DataError: columns that do not exist, or that are not as many as the model has.
    """
    if isinstance(source, Data):
        return source
    if isinstance(source, tuple | list) and len(source) == 2:
        source = {"inputs": source[0], "targets": source[1]}
    table = read_table(source) if isinstance(source, str | Path) else _as_table(source)
    taken = [name for name in table.blocks if name == group] if isinstance(group, str) else []
    groups = None if group is None else _group(table, group)
    columns = _columns(table, without=taken)
    if inputs is None and targets is None and _key(table, INPUT_KEYS) and _key(table, TARGET_KEYS):
        inputs, targets = _key(table, INPUT_KEYS), _key(table, TARGET_KEYS)
    picked = _pick(table, columns, (inputs, targets), widths)
    (x, x_names), (y, y_names) = (_joined(table, part) for part in picked)
    return Data(x, y, x_names, y_names, groups, table.source, table.sha256)


def _as_table(source: Any) -> Table:
    if not isinstance(source, Mapping):
        raise DataError(
            "the data", found=f"an object of type {type(source).__name__}",
            expected="a path, a pair (inputs, targets), or a mapping of names to arrays",
        )  # fmt: skip
    blocks = {str(name): _as_array(str(name), array) for name, array in source.items()}
    lengths = {name: (len(array) if array.ndim else 0) for name, array in blocks.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        told = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise DataError("the data", found=f"rows: {told}", expected="the same number of rows in each, at least one")
    digest = hashlib.sha256()
    for name, array in blocks.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes() if array.dtype.kind in "fiubU" else repr(array).encode())
    plain = {name: array if array.dtype.kind in "USO" else array.astype(np.float64) for name, array in blocks.items()}
    return Table("arrays", plain, digest.hexdigest())


def _as_array(name: str, given: Any) -> Array:
    """As it is; masked numbers are missing, as netCDF readers mean them."""
    try:
        array = np.ma.filled(given.astype(np.float64), np.nan) if np.ma.isMaskedArray(given) else np.asarray(given)
    except (ValueError, TypeError) as error:
        raise DataError(f"the data: {name}", found=first_line(error), expected="an array of numbers") from error
    if array.dtype.kind not in "fiubUSO":
        raise DataError(f"the data: {name}", found=f"numbers of type {array.dtype}", expected="real numbers")
    return array


Columns = list[tuple[str, Array]]


def _columns(table: Table, without: Iterable[str]) -> Columns:
    """Every column of numbers with a name of its own; an array of several gives ``name[0]``, ``name[1]``, ..."""
    found: Columns = []
    for name, block in table.blocks.items():
        if name in without or block.dtype.kind not in "fiub":
            continue
        if block.ndim == 1:
            found.append((name, block))
        elif block.ndim == 2:
            found += [(f"{name}[{place}]", block[:, place]) for place in range(block.shape[1])]
    return found


def _key(table: Table, keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in table.blocks), None)


def _pick(table: Table, columns: Columns, wanted: tuple[Chosen, Chosen], widths: tuple[int, int]) -> list[Columns]:
    """The columns of the inputs and of the targets; what is not named must be all that is left."""
    named = [
        None if one is None else [pair for part in _listed(one) for pair in _named(table, columns, part, what)]
        for one, what in zip(wanted, SIDES, strict=True)
    ]
    taken = {name for part in named if part is not None for name, _ in part}
    left = [pair for pair in columns if pair[0] not in taken]
    open_width = sum(width for part, width in zip(named, widths, strict=True) if part is None)
    if None in named and (len(left) != open_width or not (table.is_ordered or named.count(None) == 1 == open_width)):
        raise _unclear(table, columns, widths)
    found = []
    for part, width, what in zip(named, widths, SIDES, strict=True):
        chosen, left = (left[:width], left[width:]) if part is None else (part, left)
        if len(chosen) != width and not _is_block(table, chosen):
            raise DataError(
                f"data {table.source}: {what}", found=f"{len(chosen)} columns ({_some(chosen)})",
                expected=f"{width}, as the model has", remedy=f"the table has {_some(columns)}",
            )  # fmt: skip
        found.append(chosen)
    both = {name for name, _ in found[0]} & {name for name, _ in found[1]}
    if both and wanted[0] != wanted[1]:
        raise DataError(
            f"data {table.source}", found=f"{', '.join(sorted(both))} as input and as target",
            expected="each column on one side", remedy="name them: inputs=[...], targets=[...]",
        )  # fmt: skip
    return found


def _is_block(table: Table, chosen: Columns) -> bool:
    """Whether one array of more than two dimensions was chosen, whose rows are no columns."""
    return len(chosen) == 1 and chosen[0][1].ndim > 1


def _joined(table: Table, part: Columns) -> tuple[Array, tuple[str, ...]]:
    if _is_block(table, part):
        return part[0][1].astype(np.float64), (part[0][0],)
    return np.stack([column.astype(np.float64) for _, column in part], axis=1), tuple(name for name, _ in part)


def _listed(wanted: Chosen) -> list[str | int]:
    if isinstance(wanted, str):
        return [part.strip() for part in wanted.split(",")]
    return [wanted] if isinstance(wanted, int) else list(wanted or ())


def _named(table: Table, columns: Columns, wanted: str | int, what: str) -> Columns:
    names = [name for name, _ in columns]
    if isinstance(wanted, str) and wanted in names:
        return [columns[names.index(wanted)]]
    if isinstance(wanted, str) and wanted in table.blocks and table.blocks[wanted].ndim > 2:
        return [(wanted, table.blocks[wanted])]
    within = [pair for pair in columns if isinstance(wanted, str) and pair[0].startswith(f"{wanted}[")]
    if within:
        return within
    text = str(wanted)
    if not table.is_ordered and text.replace(":", "").isdigit():
        raise DataError(
            f"data {table.source}: {what}",
            found=f"position {text} in a file whose columns have no order",
            expected=f"names: {_some(columns)}",
        )
    if text.isdigit() and int(text) < len(columns):
        return [columns[int(text)]]
    first, colon, last = text.partition(":")
    if colon and first.isdigit() and last.isdigit() and int(first) < int(last) <= len(columns):
        return columns[int(first) : int(last)]
    raise DataError(
        f"data {table.source}: {what}", found=f"no column of numbers {text!r}", expected=f"one of {_some(columns)}"
    )


def _group(table: Table, group: str | int) -> Array:
    names = list(table.blocks)
    place = int(group) if str(group).isdigit() and str(group) not in names else None
    name = names[place] if place is not None and place < len(names) else str(group)
    if name not in table.blocks or table.blocks[name].ndim != 1:
        raise DataError(
            f"data {table.source}: the column to keep rows together by", found=f"no column {name!r}",
            expected=f"one of {', '.join(names)}",
        )  # fmt: skip
    values = table.blocks[name]
    return np.array(["" if value is None else str(value) for value in values]) if values.dtype.kind == "O" else values


def _unclear(table: Table, columns: Columns, widths: tuple[int, int]) -> DataError:
    ordered = "" if table.is_ordered else ", in no order of their own"
    return DataError(
        f"data {table.source}: which columns are inputs, which targets",
        found=f"{len(columns)} columns of numbers ({_some(columns)}){ordered}",
        expected=f"{widths[0]} inputs and {widths[1]} targets, and nothing else",
        remedy="name them: inputs=[...], targets=[...] (--inputs A,B,... --targets C,D,...)",
    )


def _some(columns: Columns) -> str:
    names = [name for name, _ in columns]
    return ", ".join(names if len(names) <= 12 else [*names[:11], f"... ({len(names)} in all)"])
