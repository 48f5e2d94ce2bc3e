"""``porter export``: a network in another format, or back in its legacy file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from porter.cli import commands, console
from porter.cli.exporting import export_files
from porter.cli.options import Reading, with_reading
from porter.errors import UsageError

if TYPE_CHECKING:
    from porter.jobs.export_all import Exported

Source = Annotated[Path, typer.Argument(metavar="SOURCE", help="A legacy file, or a .keras port.")]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="c, fortran, numpy, onnx, ...; all: each, into a folder. By the ending where not given.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE|DIR", help="What to write.")]
Like = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the values back into a copy of this legacy file.")
]
Precision = Annotated[
    str | None, typer.Option(metavar="PRECISION", help="float64, float32, or what else the format has.")
]
Placement = Annotated[
    Literal["inside", "outside"] | None, typer.Option(help="With --like: where the port has the scaling.")
]
Project = Annotated[bool, typer.Option("--project", help="A CMakeLists.txt or fpm.toml beside a program.")]
Layers = Annotated[bool, typer.Option("--layers", help="Every layer an output of the file, where it may be (onnx).")]
Compile = Annotated[
    bool, typer.Option("--compile/--no-compile", help="Compile and run what porter has written, to judge it.")
]


@commands.app.command()
@with_reading
def export(
    source: Source,
    *,
    output: Output,
    to: To = None,
    like: Like = None,
    precision: Precision = None,
    placement: Placement = None,
    project: Project = False,
    layers: Layers = False,
    compiled: Compile = True,
    samples: commands.Samples = None,
    reading: Reading,
    seed: commands.Seed = 0,
    force: commands.Force = False,
    as_json: commands.Json = False,
    html: commands.Html = None,
) -> None:
    """Write a network in another format, run it by that format's own runtime, and judge it layer by layer."""
    given = {"like": like, "precision": precision, "placement": placement, "project": project or None, "html": html}
    given["layers"] = layers or None
    if to == "all":
        extra = [f"--{name}" for name, value in given.items() if value is not None]
        if extra:
            raise UsageError("--to all", found=", ".join(extra), expected="none of these beside it")
        export_everything(source, output, samples, seed, force, as_json, reading)
    how = {"precision": precision, "project": project, "compile": compiled, "like": like, "placement": placement}
    how["layers"] = layers
    outcomes = export_files([source], output, to, samples, seed, force, {**how, **reading})
    commands.print_reports(outcomes, as_json, html)


def export_everything(
    source: Path, folder: Path, samples: Path | None, seed: int, force: bool, as_json: bool, reading: dict[str, Any]
) -> None:
    """Every format into a folder, as one table. Leaves with status 1 where one does not match, else 0."""
    from porter.jobs.export_all import export_all

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output {folder}", found="a file", expected="a folder for --to all")
    with console.working(source.name):
        rows = export_all(source, folder, force=force, samples=samples, seed=seed, **reading)
    console.write(_json(rows) if as_json else render_exports(rows, console.width(), console.in_color()))
    raise typer.Exit(int(any(row.verdict not in ("parity", "refused") for row in rows)))


def _json(rows: Sequence[Exported]) -> str:
    formats = [
        {
            "format": row.form.name,
            "path": str(row.path),
            "verdict": row.verdict,
            "refusal": row.refusal or None,
            "size": row.size,
            "error": row.error,
            "rows_per_second": row.rate,
            "report": None if row.report is None else json.loads(row.report.to_json()),
        }
        for row in rows
    ]
    return json.dumps({"schema_version": 1, "formats": formats}, indent=2, ensure_ascii=False) + "\n"


def render_exports(rows: Sequence[Exported], width: int = 100, color: bool = False) -> str:
    """One line a format; then, one by one, why it was refused."""
    from rich.table import Table
    from rich.text import Text

    from porter.cli.summary import captured
    from porter.report.terminal import HEAD, style

    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    for heading in ("format", "size", "error", "rows/s", "verdict", "layers shown"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("size", "error", "rows/s") else "left")
    for row in rows:
        cells = (row.form.name, _bytes(row.size), _figure(row.error), _rate(row.rate))
        table.add_row(*cells, Text(row.verdict, style(row.verdict)), _shown(row))
    refusals = [f"{row.form.name}: {row.refusal}" for row in rows if row.refusal]

    def draw(to: Any) -> None:
        to.print(table)
        for line in refusals:
            to.print(Text(f"\n{line}"))

    return captured(draw, width, color)


def _bytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1024:,.0f} kB"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{float(f'{value:.2g}'):,.0f}"


def _shown(row: Exported) -> str:
    if row.report is None:
        return "-"
    layers = row.report.layers
    return f"{sum(one.verdict in ('parity', 'mismatch') for one in layers)} of {len(layers)}"
