"""OC-SMART's vicarious gains: one factor a band, by which it multiplies what its rrsNN gives.

Source: Light-and-Life-Lab/OC-SMART, commit 4b91529: ``rrs * vgaino`` or ``rrs * vgainc``, the sixth and the seventh
column of ``auxdata/sensorinfo/SENSOR.txt``, whose rows are the sensor's bands. Which of the two is chosen pixel by
pixel: the first where the largest reflectance below 700 nm is that of the first band and at least 70 times the smallest
(of EPIC, that of the first or the second, and 30 times).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, ListLengthError, OptionContradictionError
from porter.formats.opened import open_file
from porter.formats.text import is_text, numbers, read_lines
from porter.network import Claim, Scaling
from porter.network.network import GAINS

Array = NDArray[Any]

KIND = "rrsNN"
COLUMNS = 7
"""Of a sensor's table at least: wavelength, three constants, a gain of radiance, and the two of reflectance."""
LEFT_OUT = (
    "the original multiplies the reflectances of an rrsNN by vicarious gains, one a band, before it makes anything "
    "else of them: they are no part of this network unless they are given (--physical --gains FILE)"
)


def gains_of(gains: str | Path | Sequence[float], bands: int) -> tuple[float, ...]:
    """One factor for each band.

    Args:
        gains: the numbers themselves, or the path of a text that has them: one a line, or all in a line, separated by
            blanks, commas or semicolons, with comments behind ``#``; or OC-SMART's table of a sensor.
        bands: how many outputs the network has.

    Raises:
        ListLengthError: another number of gains.
        OptionContradictionError: a table that has two gains for a band; gains that are not positive.
        UnreadableError: a file that holds no such numbers.
    """
    where = f"{gains}" if isinstance(gains, str | Path) else "gains="
    values = _read(Path(gains), bands) if isinstance(gains, str | Path) else np.asarray(gains, np.float64).reshape(-1)
    if len(values) != bands:
        raise ListLengthError(
            f"{where}: there are {len(values)} gains",
            expected=f"{bands}, one for each output of the network",
            remedy="give the gains of the sensor that the network was made for, in the order of its bands",
        )
    if not np.all(np.isfinite(values) & (values > 0)):
        raise OptionContradictionError(
            f"{where}: a gain is no positive number",
            found=", ".join(f"{value:g}" for value in values),
            expected="factors near 1",
        )
    return tuple(float(value) for value in values)


def _read(path: Path, bands: int) -> Array:
    with open_file(path) as opened:
        if not is_text(opened):
            raise DamagedFileError(
                f"{path} holds no gains", found=f"it begins with {opened.head[:8]!r}", expected="numbers in a text"
            )
        lines = [line.partition("#")[0].replace(",", " ").replace(";", " ").split() for line in read_lines(opened)]
    rows = [numbers(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1) if line]
    widths = {len(row) for row in rows}
    if len(rows) == 1 or widths == {1}:
        return np.concatenate(rows)
    if len(widths) == 1 and widths.pop() >= COLUMNS:
        return _of_sensor(path, np.stack(rows)[:bands])
    raise DamagedFileError(
        f"{path} holds no gains that are understood",
        found=f"{len(rows)} lines of {', '.join(str(len(row)) for row in rows[:4])}{', ...' if len(rows) > 4 else ''}",
        expected=f"one number a line, all in one line, or OC-SMART's table of a sensor ({COLUMNS} columns or more)",
        remedy="write the gains alone, one a line",
    )


def _of_sensor(path: Path, table: Array) -> Array:
    """The gains of OC-SMART's table, where it has the same for clear and for coastal water.

    Raises:
        OptionContradictionError: it has not.
    """
    clear, coastal = table[:, 5], table[:, 6]
    if not np.array_equal(clear, coastal):
        band = int(np.flatnonzero(clear != coastal)[0])
        raise OptionContradictionError(
            f"{path} has two gains for a band, between which the original chooses pixel by pixel",
            found=f"{clear[band]:g} and {coastal[band]:g} for the band of {table[band, 0]:g} nm",
            expected="one for each band",
            remedy="write the column of the water in question, the sixth (clear) or the seventh (coastal), to a file: "
            f"awk '{{print $7}}' {path.name} > gains.txt",
        )
    return clear


def gains_layer(gains: Sequence[float]) -> Scaling:
    """The factors as a layer."""
    factors = np.array(gains, np.float64)
    zeros = np.zeros(len(factors))
    return Scaling(GAINS, "mean-std", np.stack([zeros, factors], axis=1), factors, zeros)


def gains_claim(gains: Sequence[float]) -> Claim:
    """What was declared."""
    return Claim(GAINS, "gains", f"{min(gains):g} to {max(gains):g}, one a band", "declared")
