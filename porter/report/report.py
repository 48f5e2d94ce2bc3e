"""The result of a verification, which shows itself."""

from __future__ import annotations

import os
from dataclasses import dataclass

from porter.errors import ParityError
from porter.report.model import ReportData


@dataclass(frozen=True)
class Report(ReportData):
    """The result of a verification; ``ReportData`` says what it holds."""

    def __str__(self) -> str:
        from porter.report.terminal import render_text

        return render_text(self)

    def to_json(self) -> str:
        """The report as JSON; the keys are these attributes' names, beside ``schema_version``."""
        from porter.report.json import render_json

        return render_json(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as one self-contained HTML page, whole or not at all."""
        from porter.report.html import render_html, write_text

        write_text(path, render_html(self))

    def _repr_html_(self) -> str:
        from porter.report.html import render_frame

        return render_frame(self)

    def raise_for_mismatch(self) -> None:
        """Raise unless parity was found.

        Raises:
            ParityError: the verdict is "mismatch" or "inconclusive"; the message is the report.
        """
        if self.verdict != "parity":
            raise ParityError(str(self))
