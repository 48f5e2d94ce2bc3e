"""R's neuralnet: ``result.matrix`` as text: an error, then ``Intercept.to.1layhid1``, ``x.to.1layhid1``, a line each.

Source: cran/neuralnet, commit c4e62da (R/neuralnet.r, R/compute.r). The names say which unit takes from which; they say
neither the activation (``act.fct``, logistic by default) nor whether outputs have it (``linear.output``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from porter.errors import DamagedFileError, MissingMemberError, UnknownMemberError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.listed import NamedNumber, numbers_by_name
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.text import is_text, numbers
from porter.formats.wired import named_layers
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import r_neuralnet

Array = NDArray[Any]

FAMILY = "r-neuralnet"
FORMULA = Formula("neuralnet's default", "as the names of the connections say", is_wired=True)
BIAS, BETWEEN = "Intercept", ".to."
HIDDEN, OUTPUT = "sigmoid", "linear"
BEFORE = ("error", "reached.threshold", "steps", "aic", "bic")
"""What the matrix has above the weights."""
EXCLUDED = "NA"
"""A weight that was excluded counts as zero."""
_FIRST = re.compile(rb'(?:[^\n]*\n)?\s*"?error"?[\s,;]')
_UNIT = re.compile(r"\d{1,6}layhid\d{1,6}")
_HIDDEN = re.compile(rf"(.+)\.to\.({_UNIT.pattern})")


def matches(opened: OpenedFile) -> bool:
    """Text whose first or second line is the error, with a weight from the intercept in what follows."""
    return is_text(opened) and _FIRST.match(opened.head) is not None and b"Intercept.to." in opened.head


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read the weights of one repetition.

    Raises:
        UnreadableError: damaged text, or a name that can be cut in several ways.
        UsageError: an option that does not fit.
    """
    where = str(opened.path)
    rows = [row for row in numbers_by_name(opened, BEFORE[0]) if row.name not in BEFORE]
    ends = _ends(rows)
    words = ["0" if row.word == EXCLUDED else row.word for row in rows]
    weights = numbers(f"{where}: the weights", words)
    source = WeightFile(
        opened.path, FAMILY, opened.sha256, {"weights": weights}, {"connections": [row.name for row in rows]}
    )
    targets = list(dict.fromkeys(target for _, target in ends))
    inputs = [name for name in dict.fromkeys(end for end, _ in ends) if name != BIAS and name not in targets]
    found = named_layers(where, [*inputs, *targets], len(inputs), ends, weights, BIAS)
    _check_names(where, [layer.units for layer in found])
    spelt = [HIDDEN] * (len(found) - 1) + [OUTPUT]
    layers = [
        Stored(layer.kernel, layer.bias, layer.kernel.shape[1], len(layer.units), "units-first", name)
        for layer, name in zip(found, spelt, strict=True)
    ]
    return assemble(source, layers, options, FORMULA)


def _ends(rows: Sequence[NamedNumber]) -> list[tuple[str, str]]:
    """Source and target of each connection: neuralnet lists them unit by unit, the bias first."""
    ends = [_cut(row) for row in rows]
    for (_, target), own in itertools.groupby(zip(ends, rows, strict=True), key=lambda pair: (None, pair[0][1])):
        first = next(own)
        if first[0][0] != BIAS:
            raise DamagedFileError(
                f"{first[1].place}: the weights of {target!r} do not begin with its bias",
                found=repr(first[1].name[:60]),
                expected=f"{BIAS}{BETWEEN}{target}",
            )
    return ends


def _cut(row: NamedNumber) -> tuple[str, str]:
    hidden = _HIDDEN.fullmatch(row.name)
    if hidden is not None:
        return hidden[1], hidden[2]
    source, between, target = row.name.partition(BETWEEN)
    if not between or BETWEEN in target:
        raise UnknownMemberError(
            f"{row.place}: a name that is no connection, or could be cut in several ways",
            found=repr(row.name[:60]),
            expected="SOURCE.to.TARGET",
            remedy="give the variables names without '.to.'",
        )
    return source, target


def _check_names(where: str, layers: Sequence[Sequence[str]]) -> None:
    """Hidden units have the numbers of their layer and of their place in it; outputs are called otherwise."""
    for number, units in enumerate(layers, start=1):
        wanted = [f"{number}layhid{place}" for place in range(1, len(units) + 1)]
        is_last = number == len(layers)
        wrong = [name for name in units if is_last and _UNIT.fullmatch(name)] or (
            [] if is_last else [name for name, other in zip(units, wanted, strict=True) if name != other]
        )
        if wrong:
            raise MissingMemberError(
                f"{where}: layer {number} is not as neuralnet names its units",
                found=", ".join(units[:6]),
                expected="names of responses" if is_last else f"{wanted[0]} to {wanted[-1]}",
                remedy="copy the file again",
            )


program = program_of(r_neuralnet.program, "activation", "output_activation", "orientation", "dtype")

READER = Family(
    FAMILY,
    "text of R's neuralnet: result.matrix, as write.csv or print give it (error, ..., Intercept.to.1layhid1, ...)",
    matches,
    read,
    program,
    example="porter port result_matrix.csv --activation tanh -o net.keras",
)
