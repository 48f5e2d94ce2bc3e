"""How far a tuned network has moved, as data, and without a word on how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from porter.report.model import ReportData


@dataclass(frozen=True)
class LayerDrift:
    """One layer, before and after.

    Attributes:
        layer: its name in the first model; in the second where the first has none.
        tuned_layer: its name in the second model, or None.
        frozen: whether it was meant to stay.
        identical: whether every bit of its arrays is the same; None where it could not be compared.
        weights: how many numbers it has.
        changed: how many of them differ.
        norm: Euclidean norm of the change over that of the arrays before; None where those are all zero.
        largest: the largest absolute change.
        where: ``"kernel[3, 7]"``, where that is.
        isolated: the largest change of its outputs, both fed with what the first model feeds it, over the range of its
            outputs; None where the layer could not be called alone.
        cumulative: the same from the network's inputs up to there.
        on_samples: the same from the samples' inputs; None without samples.
    """

    layer: str
    tuned_layer: str | None
    frozen: bool
    identical: bool | None
    weights: int
    changed: int
    norm: float | None
    largest: float
    where: str | None
    isolated: float | None = None
    cumulative: float | None = None
    on_samples: float | None = None

    @property
    def verdict(self) -> str:
        """``"identical"``, ``"moved"``, ``"frozen, moved"`` or ``"not compared"``."""
        if self.identical is None:
            return "not compared"
        if self.identical:
            return "identical"
        return "frozen, moved" if self.frozen else "moved"


@dataclass(frozen=True)
class OutputDrift:
    """One output on the rows whose outcome is known.

    Attributes:
        output: its name.
        legacy: root-mean-square error of the first model.
        tuned: that of the second.
        low: lower end of the 95 % interval of the difference, tuned - legacy; None with too few rows.
        high: upper end.
        moved: the largest difference between the two models over the output's range, on documented inputs.
    """

    output: str
    legacy: float | None
    tuned: float | None
    low: float | None
    high: float | None
    moved: float

    @property
    def verdict(self) -> str:
        """``"better"`` or ``"worse"`` where the interval excludes zero, else ``"no clear difference"``."""
        if self.low is None or self.high is None:
            return "too few rows" if self.legacy is not None else ""
        return "better" if self.high < 0 else "worse" if self.low > 0 else "no clear difference"


@dataclass(frozen=True)
class DriftData(ReportData):
    """A report on how far a network has moved.

    The verdict is "parity" where no array has changed, "mismatch" where one that was meant to stay has, "inconclusive"
    where a layer could not be compared, and "drift" where only what was free to move has moved.

    Attributes:
        changes: one row a layer with arrays.
        outputs: one row an output; the first is all of them, each over its range.
        regions: where in the input range the two differ most, a sentence each.
        history: of the training: values of loss and metrics by name, or empty.
        title: what was compared with what.
        trials: of the search that found how to train, best first; empty where there was none.
    """

    changes: tuple[LayerDrift, ...] = ()
    outputs: tuple[OutputDrift, ...] = ()
    regions: tuple[str, ...] = ()
    history: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    trials: tuple[Any, ...] = ()


def headline(report: DriftData) -> str:
    """One sentence: what was found."""
    from porter.report.wording import plural, series

    frozen = [row for row in report.changes if row.frozen]
    astray = [row.layer for row in frozen if row.identical is False]
    lost = [row.layer for row in report.changes if row.identical is None]
    held = f"{plural(len(frozen), 'layer')} meant to stay {'is' if len(frozen) == 1 else 'are'} identical, bit by bit"
    if astray:
        return f"{series(astray)}: meant to stay as it was, and it has moved."
    if lost:
        return f"{series(lost)}: not compared, for the two models have no such layer in common."
    if report.verdict == "inconclusive":
        return "How far it moved is not known: the notes say why."
    if report.verdict == "parity":
        return f"Nothing has moved: all arrays of {plural(len(report.changes), 'layer')} are identical, bit by bit."
    loose = [row.layer for row in report.changes if row.identical is False]
    return f"{plural(len(loose), 'layer')} moved ({series(loose)}); " + (
        f"{held}." if frozen else "none was meant to stay."
    )
