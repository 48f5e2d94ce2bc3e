"""SNNS network definition files: units with a bias and a function each, connections as ``source:weight``.

Source: SNNS 4.2/4.3 as in cbergmeir/RSNNS, commit 350c3a6 (kr_io, trans_f, func_tbl): single precision throughout. A
unit of a type has the functions of the type; else an empty field has the default's. An input hands on what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, TruncatedFileError, UnknownMemberError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.snns.sections import CONNECTIONS, DEFAULTS, DELAYS, TYPES, UNITS, Definition, Row, divided
from porter.formats.text import count, is_text, numbers, read_lines
from porter.formats.wired import WiredLayer, Wires, layers_of
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import snns

Array = NDArray[Any]

FAMILY = "snns"
FORMULA = Formula("SNNS'", "by the longest way from the inputs; units of a layer by their numbers", is_wired=True)
SIGNATURE = b"SNNS network definition file"
MOST_UNITS = 10**6
FIELDS = 10
IDENTITY = "Act_Identity"
"""It leaves the bias out."""
ACTIVATIONS = {
    "Act_Logistic": "sigmoid",
    "Act_TanH": "tanh",
    "Act_LogSym": "scaled_tanh(amplitude=0.5, slope=0.5)",
    "Act_Elliott": "softsign",
    IDENTITY: "linear",
    "Act_IdentityPlusBias": "linear",
}
"""The logistic function less 0.5 is half the tangent of the half. Tables, steps and radial functions are not read."""
ORDERS = ("Topological_Order", "Serial_Order")
_WIRE = re.compile(r"(\d{1,9})\s*:\s*(\S+)")


def matches(opened: OpenedFile) -> bool:
    """Text that begins as SNNS begins a network."""
    return opened.head.lstrip().startswith(SIGNATURE) and is_text(opened)


@dataclass(frozen=True)
class _Unit:
    """One unit.

    Attributes:
        bias: as the file has it, or its default.
        kind: ``"i"``, ``"h"`` or ``"o"``.
        activation: SNNS' name of it.
    """

    bias: float
    kind: str
    activation: str


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a network that SNNS updates layer by layer.

    Raises:
        UnreadableError: damaged text, a network that is no chain of layers, or a function that is not read.
        UsageError: an option that does not fit.
    """
    definition = divided(str(opened.path), read_lines(opened))
    units = _units(definition)
    sources, targets, weights = _connections(definition, len(units))
    _check_order(definition, sources, targets)
    arrays = {
        "bias": np.array([unit.bias for unit in units], np.float32),
        "sources": sources + 1,
        "targets": targets + 1,
        "weights": weights,
    }
    attributes = {"types": [unit.kind for unit in units], "functions": [unit.activation for unit in units]}
    source = WeightFile(opened.path, FAMILY, opened.sha256, arrays, attributes)
    kinds = [np.flatnonzero([unit.kind == kind for unit in units]).tolist() for kind in "io"]
    wires = Wires(definition.where, lambda n: f"unit {n + 1}", len(units), kinds[0], sources, targets, weights)
    layers = [_stored(definition.where, units, layer) for layer in layers_of(wires, kinds[1])]
    return assemble(source, layers, options, FORMULA)


def _units(definition: Definition) -> list[_Unit]:
    where = definition.where
    rows = definition.table(UNITS)
    wanted = count(f"{where}: no. of units", definition.header.get("no. of units", ""))
    if len(rows) != wanted or wanted > MOST_UNITS:
        kind = TruncatedFileError if len(rows) < wanted else DamagedFileError
        raise kind(f"{where}: units", found=f"{len(rows):,}", expected=f"{wanted:,}, as its header says")
    types = {row.fields[0]: row.fields[1:3] for row in definition.tables.get(TYPES, ()) if len(row.fields) > 2}
    defaults = _defaults(definition)
    return [_unit(row, number, types, defaults) for number, row in enumerate(rows, start=1)]


def _defaults(definition: Definition) -> list[str]:
    """Activation, bias, type, subnet, layer, activation function, output function; nothing where none are said."""
    rows = definition.tables.get(DEFAULTS, ())
    if not rows:
        return [""] * 7
    if len(rows) != 1 or len(rows[0].fields) != 7:
        raise DamagedFileError(f"{rows[0].place}: {DEFAULTS}", found=f"{len(rows)} lines", expected="one, of 7 fields")
    return rows[0].fields


def _unit(row: Row, number: int, types: Mapping[str, Sequence[str]], defaults: Sequence[str]) -> _Unit:
    if len(row.fields) != FIELDS or row.fields[0] != str(number):
        found = " | ".join(row.fields)[:40]
        raise DamagedFileError(
            f"{row.place}: no unit", found=repr(found), expected=f"unit {number}, in {FIELDS} fields"
        )
    _, type_name, _, _, bias, kind, _, activation, output, sites = row.fields
    if type_name and type_name not in types:
        raise DamagedFileError(f"{row.place}: a type that nothing defines", found=repr(type_name))
    functions = types[type_name] if type_name else [activation or defaults[5], output or defaults[6]]
    if sites:
        raise UnknownMemberError(f"{row.place}: a unit with sites, which are not read", found=repr(sites[:40]))
    if functions[1] != "Out_Identity":
        raise UnknownMemberError(
            f"{row.place}: an output function that is not read", found=repr(functions[1]), expected="Out_Identity"
        )
    value = float(numbers(f"{row.place}: the bias", [bias or defaults[1]], 1)[0])
    kind = kind or defaults[2]
    if kind not in ("i", "h", "o"):
        raise UnknownMemberError(
            f"{row.place}: a unit of a kind that is not read", found=repr(kind), expected="i, h or o: no special units"
        )
    if kind != "i" and functions[0] not in ACTIVATIONS:
        raise UnknownMemberError(
            f"{row.place}: an activation function that is not read",
            found=repr(functions[0]),
            expected=", ".join(ACTIVATIONS),
        )
    return _Unit(value, kind, functions[0])


def _connections(definition: Definition, units: int) -> tuple[Array, Array, Array]:
    """Sources and targets, counted from 0, and weights."""
    where = definition.where
    wires = list(_wires(definition.table(CONNECTIONS), units))
    wanted = count(f"{where}: no. of connections", definition.header.get("no. of connections", ""), 0)
    if len(wires) != wanted:
        kind = TruncatedFileError if len(wires) < wanted else DamagedFileError
        raise kind(f"{where}: connections", found=f"{len(wires):,}", expected=f"{wanted:,}, as its header says")
    ends = np.array([wire[:2] for wire in wires], np.int64).reshape(-1, 2)
    weights = numbers(f"{where}: the weights", [wire[2] for wire in wires], dtype=np.float32)
    return ends[:, 0] - 1, ends[:, 1] - 1, weights


def _wires(rows: Sequence[Row], units: int) -> Iterator[tuple[int, int, str]]:
    """(source, target, weight as printed); a line that ends in a comma goes on in the next."""
    target, is_open = 0, False
    for row in rows:
        if len(row.fields) != (1 if is_open else 3):
            found = " | ".join(row.fields)[:40]
            raise DamagedFileError(
                row.place, found=repr(found), expected="target | | source:weight, source:weight, ..."
            )
        if not is_open:
            target = _number(row, row.fields[0], units)
            if row.fields[1]:
                raise UnknownMemberError(f"{row.place}: sites, which are not read", found=repr(row.fields[1][:40]))
        parts = [part.strip() for part in row.fields[-1].split(",")]
        is_open = not parts[-1]
        for part in parts[: len(parts) - is_open]:
            match = _WIRE.fullmatch(part)
            if match is None:
                raise DamagedFileError(row.place, found=repr(part[:40]), expected="source:weight")
            yield _number(row, match[1], units), target, match[2]


def _number(row: Row, word: str, units: int) -> int:
    number = count(row.place, word)
    if number > units:
        raise DamagedFileError(f"{row.place}: a unit that is not there", found=word, expected=f"1 to {units:,}")
    return number


def _check_order(definition: Definition, sources: Array, targets: Array) -> None:
    """One pass from the inputs on has to be what the network's own update function makes."""
    order = definition.header.get("update function", "") or ORDERS[0]
    if DELAYS in definition.tables:
        raise UnknownMemberError(f"{definition.where}: {DELAYS}: delays are not read")
    if order not in ORDERS or (order == ORDERS[1] and bool(np.any(sources >= targets))):
        raise UnknownMemberError(
            f"{definition.where}: an update function that is not read",
            found=order,
            expected="Topological_Order, or Serial_Order where every unit stands behind those that it takes from",
        )


def _stored(where: str, units: Sequence[_Unit], layer: WiredLayer) -> Stored:
    functions = sorted({units[number].activation for number in layer.units})
    spelt = {ACTIVATIONS[name] for name in functions}
    if len(spelt) > 1:
        raise UnknownMemberError(
            f"{where}: several activation functions in the layer of unit {layer.units[0] + 1}",
            found=", ".join(functions),
            expected="one a layer",
        )
    added = [0.0 if units[n].activation == IDENTITY else units[n].bias for n in layer.units]
    bias = None if functions == [IDENTITY] else np.array(added, np.float32)
    size, inputs = layer.kernel.shape
    return Stored(layer.kernel, bias, inputs, size, "units-first", spelt.pop(), is_said=True)


program = program_of(snns.program, "activation", "output_activation", "orientation", "dtype")

READER = Family(
    FAMILY,
    "text that begins with `SNNS network definition file`: units, then connections",
    matches,
    read,
    program,
    example="porter port xor.net -o xor.keras",
)
