"""Several files at once: one table, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from porter.batch import Outcome, status_of, worst_status
from porter.report.model import Report
from porter.report.terminal import HEAD, style
from porter.report.wording import headline, printable

LINKS = ("reading", "build", "save")


def render_table(outcomes: Sequence[Outcome], width: int = 80, color: bool = False) -> str:
    """One line a file: its verdict, that of each link, and what is the matter with it."""
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    for heading in ("file", "verdict", *LINKS):
        table.add_column(heading, overflow="fold")
    table.add_column("", overflow="fold", ratio=1)
    for outcome in outcomes:
        verdicts, told = _cells(outcome)
        cells = (Text(verdict, style(verdict)) for verdict in verdicts)
        table.add_row(Text(printable(outcome.file)), *cells, Text(printable(told)))
    return _captured(table, width, color)


def _cells(outcome: Outcome) -> tuple[tuple[str, ...], str]:
    if outcome.error is not None:
        return ("refused", *("-" for _ in LINKS)), outcome.error.what
    report = outcome.result
    told = "" if status_of(report) == 0 else headline(report)
    return (report.verdict, *(report.links.get(link, "not checked") for link in LINKS)), told


def _captured(table: Table, width: int, color: bool) -> str:
    console = Console(
        file=StringIO(), width=width, force_terminal=color, no_color=not color, highlight=False, legacy_windows=False
    )
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def render_json(outcomes: Sequence[Outcome]) -> str:
    """All outcomes as one JSON object, each with its file's report or the message of its refusal."""
    files = [{"file": str(outcome.file), "status": outcome.status, **_content(outcome)} for outcome in outcomes]
    content = {"schema_version": 1, "status": worst_status(outcomes), "files": files}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _content(outcome: Outcome) -> dict[str, Any]:
    if outcome.error is not None:
        return {"error": str(outcome.error)}
    if isinstance(outcome.result, Report):
        return {"report": json.loads(outcome.result.to_json())}
    return {"contents": outcome.result}
