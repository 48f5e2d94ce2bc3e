"""Several files at once: one table, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from porter.errors import UsageError
from porter.jobs.batch import Outcome, worst_status
from porter.report.report import Report
from porter.report.terminal import HEAD, render_text, style
from porter.report.wording import headline, printable

SCHEMA_VERSION = 1
LINKS = ("reading", "build", "save")


def render_table(outcomes: Sequence[Outcome], width: int = 80, color: bool = False) -> str:
    """One line a file with its verdict and that of each link; then, one by one, what is the matter."""
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    for heading in ("verdict", *LINKS):
        table.add_column(heading, no_wrap=True)
    names = _short_names(outcomes)
    for outcome, name in zip(outcomes, names, strict=True):
        table.add_row(Text(name), *(Text(verdict, style(verdict)) for verdict in _verdicts(outcome)))
    remarks = [(name, _remark(outcome)) for outcome, name in zip(outcomes, names, strict=True) if outcome.status]

    def draw(console: Console) -> None:
        console.print(table)
        for name, remark in remarks:
            console.print(Text(f"\n{remark}" if name in remark else f"\n{name}: {remark}"))

    return captured(draw, width, color)


def _short_names(outcomes: Sequence[Outcome]) -> list[str]:
    """File names, or paths where names are not enough to tell the files apart."""
    names = [printable(outcome.file.name) for outcome in outcomes]
    return names if len(set(names)) == len(names) else [printable(outcome.file) for outcome in outcomes]


def _verdicts(outcome: Outcome) -> tuple[str, ...]:
    if outcome.error is not None:
        return "refused", *("-" for _ in LINKS)
    return outcome.result.verdict, *(outcome.result.links.get(link, "not checked") for link in LINKS)


def _remark(outcome: Outcome) -> str:
    return printable(outcome.error.what if outcome.error is not None else headline(outcome.result))


def captured(draw: Callable[[Console], None], width: int, color: bool) -> str:
    """What ``draw`` prints, as text of that width without trailing blanks."""
    console = Console(
        file=StringIO(), width=width, force_terminal=color, no_color=not color, highlight=False, legacy_windows=False
    )
    with console.capture() as capture:
        draw(console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def render_json(outcomes: Sequence[Outcome]) -> str:
    """One outcome as its own JSON; several as one object, each with its file's or the message of its refusal."""
    if len(outcomes) == 1:
        return _dump(_content(outcomes[0]))
    files = [{"file": str(outcome.file), "status": outcome.status} | _named(outcome) for outcome in outcomes]
    return _dump({"schema_version": SCHEMA_VERSION, "status": worst_status(outcomes), "files": files})


def _named(outcome: Outcome) -> dict[str, Any]:
    if outcome.error is not None:
        return _content(outcome)
    return {"report" if isinstance(outcome.result, Report) else "contents": _content(outcome)}


def _content(outcome: Outcome) -> dict[str, Any]:
    if outcome.error is not None:
        return {"error": str(outcome.error)}
    content: dict[str, Any] = json.loads(outcome.result.to_json())
    return content


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def render_outcomes(outcomes: Sequence[Outcome], width: int = 80, color: bool = False) -> str:
    """One report in full, or the table of several; nothing for a single refusal, whose message has been shown."""
    if len(outcomes) > 1:
        return render_table(outcomes, width, color)
    return "".join(render_text(outcome.result, width, color) for outcome in outcomes if outcome.error is None)


def write_reports(outcomes: Sequence[Outcome], html: Path | None, junit: Path | None) -> None:
    """Write the one report as a page and as JUnit XML, where asked for.

    Raises:
        UsageError: a path that cannot be written.
    """
    for outcome in outcomes:
        if outcome.error is not None:
            continue
        if html is not None:
            with _writing("--html", html):
                outcome.result.to_html(html)
        if junit is not None:
            with _writing("--junit", junit):
                from porter.report.junit import render_junit  # XML, which few ask for

                junit.write_text(render_junit(outcome.result, outcome.file.name), encoding="utf-8")


@contextmanager
def _writing(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{option} {path}", found=str(error.strerror), expected="a file that can be written"
        ) from error
