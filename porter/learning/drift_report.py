"""How far a tuned network has moved: a report that shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from porter.errors import ParityError
from porter.learning.drift_model import DriftData
from porter.report.report import Report


@dataclass(frozen=True)
class DriftReport(DriftData, Report):
    """A report on how far a network has moved; ``DriftData`` says what it holds."""

    def __str__(self) -> str:
        from porter.learning.drift_text import render_drift

        return render_drift(self)

    def to_html(self, path: Any) -> None:
        """Write the report as one self-contained HTML page, whole or not at all."""
        from porter.learning.drift_page import render_page
        from porter.report.html import write_text

        write_text(path, render_page(self))

    def _repr_html_(self) -> str:
        from html import escape

        from porter.learning.drift_page import render_page

        page = escape(render_page(self))
        return f'<iframe srcdoc="{page}" style="width:100%;height:40rem;border:0" title="{self.verdict}"></iframe>'

    def raise_for_mismatch(self) -> None:
        """Raise where something that was meant to stay has moved, or could not be compared.

        Raises:
            ParityError: the message is the report.
        """
        if self.verdict in ("mismatch", "inconclusive"):
            raise ParityError(str(self))
