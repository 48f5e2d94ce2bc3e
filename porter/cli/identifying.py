"""``porter infer`` and ``porter capture``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from porter.cli import console
from porter.cli.commands import app

Language = Literal["matlab", "idl", "fortran", "c", "java", "python", "r"]
FOUND, NOT_FOUND = 0, 1
"""Exit status: one configuration, or several that the samples cannot tell apart; none."""


@app.command()
def infer(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Arrays of a legacy network, or a folder of them.")],
    *,
    samples: Annotated[
        Path | None,
        typer.Option(metavar="NPZ|CSV|H5|NC|MAT", help="What the original software gave; without, what shapes say."),
    ] = None,
    inputs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many columns of a table of samples are inputs.")
    ] = None,
    write_recipe: Annotated[Path | None, typer.Option(metavar="TOML", help="Write what was found as a recipe.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long the search may take, about.")] = 45.0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Find out how a file is to be read: what reproduces samples of the original software."""
    from porter.formats.recipe_writing import check_free
    from porter.identification.infer import infer as search

    if write_recipe is not None:
        check_free(write_recipe, force=force)
    with console.working(file.name, patience=1.0):
        found = search(file, samples, inputs=inputs, seconds=seconds)
    if write_recipe is not None and found.status in ("found", "open"):
        found.write_recipe(write_recipe, force=force)
    console.write(f"{found.to_json() if as_json else found}\n")
    raise typer.Exit(FOUND if found.status in ("found", "open", "no samples") else NOT_FOUND)


@app.command()
def capture(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A legacy network: its inputs and outputs are counted.")
    ] = None,
    *,
    language: Annotated[Language, typer.Option(metavar="LANGUAGE", help="matlab, idl, fortran, c, java, python or r.")],
    rows: Annotated[int, typer.Option(min=1, help="How many samples.")] = 20,
) -> None:
    """Print what to put into the original program, so that it records samples."""
    from porter.identification.capture import snippet, widths_of

    inputs, outputs = (None, None) if file is None else widths_of(file)
    console.write(snippet(language, inputs, outputs, rows))
