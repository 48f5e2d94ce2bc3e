"""What a program does for its user beside its functions: rows of text made lines of outputs, and a test of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.compare import Comparison, compare_outputs
from porter.examination.power import has_power
from porter.exports.program import Program
from porter.report.model import Finding
from reference.precision import Precision
from reference.rounding.bounds import end_to_end
from reference.trace import Program as Reference

Array = NDArray[Any]

MOST_NUMBERS = 2**18
"""Of text that a program is given to read."""
WRONG_TEST, REMEDY = "selftest.values", "export it again, which writes rows of the reference"
BEYOND = 4.0
"""Times what is allowed, by which outputs are moved that no right program gives."""
SLACK = 1.01
"""By how much a bound may be another where another machine, or another number of rows, sums in another order."""


@dataclass(frozen=True)
class Mode:
    """One thing that a program does.

    Attributes:
        told: what was seen of it, as half a sentence.
        code: of the mistake in it; "" for none.
        remedy: what to do about that.
        is_judged: whether it could be judged.
        is_told: whether people are to hear of it, whatever the verdict is.
    """

    told: str
    code: str = ""
    remedy: str = ""
    is_judged: bool = True
    is_told: bool = False

    def finding(self, layer: str, name: str) -> Finding:
        """The mistake, at the last row of the report."""
        return Finding(self.code, layer, (), f"{layer}: of {name}, {self.told}", "", self.remedy)


def judge_modes(
    reference: Reference, program: Program, inputs: Sequence[Array], precision: Precision, *, is_right: bool
) -> list[Mode]:
    """Its text and its test of itself.

    Args:
        reference: the legacy forward pass.
        program: that can be started.
        inputs: (rows, ...) for each input, as its precision holds them.
        precision: in which it computes.
        is_right: whether its functions are, so that its test of itself has to pass.

    Raises:
        PortError: it does not run.
    """
    modes = [_text(program, inputs, precision), _selftest(reference, program, precision, is_right)]
    own = list(program.inputs)
    if own != list(reference.inputs) and sorted(own) == sorted(reference.inputs):
        told = f"the inputs are said to be {', '.join(own)}, and it computes with {', '.join(reference.inputs)}"
        modes.append(Mode(told, "inputs.permuted", "name them in the order in which they are taken"))
    return modes


# --- text -----------------------------------------------------------------------------------------------------------


def _text(program: Program, inputs: Sequence[Array], precision: Precision) -> Mode:
    """What it prints beside what its function gives, as far as it prints digits."""
    width = sum(each[:1].size for each in inputs)
    few = [each[: max(MOST_NUMBERS // width, 1)] for each in inputs]
    count = len(few[0])
    wanted = np.concatenate([each.reshape(count, -1) for each in program.call(few).values()], axis=1)
    read = _read(program.print_outputs(few), wanted.shape)
    if isinstance(read, str):
        return Mode(f"what it prints for rows of text was not compared: {read}", is_judged=False)
    found, unit = read
    same = found.astype(program.precision) == wanted
    compared = compare_outputs(wanted, np.where(same, wanted, found), np.where(same, 0.0, unit), probes="rows of text")
    if compared.exceeding:
        told = f"what is printed for rows of text is not what its function gives: {_worst(compared)}"
        return Mode(told, "call.overridden", "print what the function gives")
    if not has_power(compared.coarseness, precision):
        told = (
            f"what it prints for rows of text has too few digits to be compared: {compared.coarseness:.2g} of the range"
        )
        return Mode(told, is_judged=False)
    digits = "to the last bit" if compared.error == 0 else "to the digits printed"
    return Mode(f"what it prints for {count:,} rows of text is what its function gives, {digits}")


def _read(lines: Sequence[Sequence[str]], shape: tuple[int, ...]) -> tuple[Array, Array] | str:
    """Numbers, and the unit of the last digit of each; or why these are no such rows of numbers."""
    rows, columns = shape
    if len(lines) != rows:
        return f"{len(lines)} lines for {rows} rows"
    if any(len(words) != columns for words in lines):
        return f"a line of {next(len(words) for words in lines if len(words) != columns)} words for {columns} outputs"
    words = [word for line in lines for word in line]
    try:
        values, units = zip(*map(_number, words), strict=True)
    except (InvalidOperation, ValueError):
        return f"not every word of {' '.join(lines[0])[:60]!r} and so on is a number"
    return np.array(values).reshape(shape), np.array(units).reshape(shape)


def _number(word: str) -> tuple[float, float]:
    """A number, and the unit of its last digit."""
    number = Decimal(word)
    place = number.as_tuple().exponent
    return float(number), 10.0**place if isinstance(place, int) else 0.0


def _worst(found: Comparison) -> str:
    return f"{found.actual:.9g} for {found.expected:.9g} ({found.exceeding:,} of {found.elements:,} numbers)"


# --- the test of itself ---------------------------------------------------------------------------------------------


def _selftest(reference: Reference, program: Program, precision: Precision, is_right: bool) -> Mode:
    """Its golden rows beside the reference, and whether it is content with itself, and with nothing else."""
    inputs, outputs, allowed = program.golden()
    wrong = _wrong_rows(reference, program, precision, inputs, outputs, allowed) if len(inputs) else ""
    if wrong:
        return Mode(wrong, WRONG_TEST, REMEDY)
    told = f"its test of itself has {len(inputs)} rows of the reference and"
    if not program.selftest(BEYOND * float(allowed.max(initial=0.0)) if len(inputs) else 0.0).failed:
        return Mode(f"{told} passes with other outputs as well", WRONG_TEST, REMEDY)
    if not len(inputs):
        return Mode("it has no rows to test itself with, for want of a bound from end to end")
    if program.selftest().passed:
        return Mode(f"{told} passes, and fails with other outputs")
    return Mode(f"{told} fails", WRONG_TEST if is_right else "", REMEDY)


def _wrong_rows(
    reference: Reference, program: Program, precision: Precision, inputs: Array, outputs: Array, allowed: Array
) -> str:
    """What is wrong with golden rows; "" where nothing is."""
    feeds = _feeds(reference, program, inputs)
    try:
        bounds = end_to_end(reference, feeds, precision, with_platform=False)
    except KeyError as error:  # a step without a bound
        return f"it tests itself with rows that nothing can be held against: {error.args[0]}"
    wanted, bound = _flat(reference(feeds)), _flat([bounds[name] for name in reference.outputs])
    compared = compare_outputs(wanted, outputs, bound, probes="golden rows")
    if compared.exceeding:
        return f"the rows that it tests itself with are not those of the legacy network: {_worst(compared)}"
    loose = ~(allowed <= bound * SLACK) | np.isinf(bound)
    if loose.any():
        at = tuple(np.argwhere(loose)[0])
        return f"its test of itself allows an error of {allowed[at]:.3g}, where rounding explains {bound[at]:.3g}"
    return ""


def _feeds(reference: Reference, program: Program, rows: Array) -> Mapping[str, Array]:
    """The columns of each input.

    Raises:
        PortError: another number of inputs.
    """
    shapes = list(program.inputs.values())
    if len(shapes) != len(reference.inputs):
        raise PortError(f"the port {program.name}", found=f"{len(shapes)} inputs", expected=f"{len(reference.inputs)}")
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    parts = np.split(rows, ends, axis=1)
    return {name: part.reshape(-1, *shape) for name, part, shape in zip(reference.inputs, parts, shapes, strict=True)}


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.asarray(each, np.float64).reshape(len(each), -1) for each in arrays], axis=1)
