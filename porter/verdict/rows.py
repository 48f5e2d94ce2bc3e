"""Rows and findings say the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from porter.report.model import Finding, LayerRow


def agree(rows: Iterable[LayerRow], findings: Iterable[Finding]) -> tuple[LayerRow, ...]:
    """The rows, none of them at parity at which a mistake of the port is named.

    It may be one that a neighbour showed, or of what stands in front of the step or behind it.
    """
    named = {finding.layer for finding in findings if finding.code != "reading.contradicted"}
    return tuple(
        replace(row, verdict="mismatch") if row.verdict == "parity" and row.layer in named else row for row in rows
    )
