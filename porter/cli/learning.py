"""The commands of learning: parsing and dispatch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from porter.cli import console
from porter.cli.commands import Force, Html, Json, Seed, app
from porter.cli.options import Kind, Physical, Recipe, spread

if TYPE_CHECKING:
    from porter.learning.drift_report import DriftReport
    from porter.report.report import Report

Model = Annotated[
    Path | None, typer.Argument(metavar="MODEL", help="A saved port (.keras, .h5), or a legacy file, ported first.")
]
Rows = Annotated[Path | None, typer.Argument(metavar="DATA", help="Inputs and targets: .npz, CSV, HDF5 or netCDF-4.")]
Inputs = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Input columns: names, positions, or 0:7 for a range.")
]
Targets = Annotated[str | None, typer.Option(metavar="C,D,...", help="Target columns, likewise.")]
Group = Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows of one value stay on one side of the split.")]
Tuned = Annotated[Path | None, typer.Option("--output", "-o", metavar="MODEL", help="A .keras or .h5 file.")]
Units = Annotated[
    Literal["model", "physical", "network", "scaled"], typer.Option(help="Of the data; model: as the model takes them.")
]
Legacy = Annotated[Path | None, typer.Option(metavar="FILE", help="The legacy file, for its ranges and units.")]
Placement = Annotated[
    Literal["inside", "folded", "outside"] | None, typer.Option(help="Where the port has the scaling.")
]
Freeze = Annotated[
    str | None, typer.Option(metavar="A,B|until:NAME", help="Layers that stay; left out: those that do so already.")
]
Samples = Annotated[Path | None, typer.Option(metavar="DATA", help="Rows whose outcome is known: .npz, CSV, HDF5.")]
Epochs = Annotated[int, typer.Option(min=1, help="At most.")]
Patience = Annotated[int, typer.Option(min=0, help="Epochs without a better validation loss before it stops; 0 never.")]


Test = Annotated[float, typer.Option(help="Share of the rows held out for the report.")]
Loss = Annotated[str, typer.Option(metavar="NAME", help="As Keras names it.")]
Chosen = dict[str, Any]
"""What was said of the rows, and of how the file is read."""

ROWS: Mapping[str, tuple[Any, Any]] = {
    "inputs": (Inputs, None),
    "targets": (Targets, None),
    "group": (Group, None),
    "units": (Units, "model"),
    "legacy": (Legacy, None),
    "placement": (Placement, None),
    "kind": (Kind, None),
    "physical": (Physical, False),
    "recipe": (Recipe, None),
    "drop_missing": (
        Annotated[bool, typer.Option("--drop-missing", help="Leave rows with missing numbers out.")], False,
    ),
}  # fmt: skip
"""Options on the rows that a network learns from, or is compared on."""


def _chosen(kind: str | None, physical: bool, recipe: Path | None, **rows: Any) -> Chosen:
    """All of the rows, and what ``porter.read`` was told."""
    told = {"kind": kind, "physical": physical, "recipe": recipe}
    return rows | {name: value for name, value in told.items() if value not in (None, False)}


def with_rows(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options on rows, but for some, as its parameter ``rows``."""
    return spread("rows", {name: option for name, option in ROWS.items() if name not in without}, _chosen)


@app.command()
@with_rows()
def finetune(
    model: Model = None,
    data: Rows = None,
    *,
    output: Tuned = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder; else OUTPUT with .run.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with a run, alone.")] = None,
    freeze: Freeze = None,
    epochs: Epochs = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows of a batch.")] = 32,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="As Keras names it.")] = "adam",
    learning_rate: Annotated[float, typer.Option(help="At the beginning.")] = 1e-3,
    schedule: Annotated[
        Literal["inverse_time", "cosine", "constant"], typer.Option(help="Of the learning rate.")
    ] = "inverse_time",
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled from the gradient.")] = None,
    loss: Loss = "mse",
    patience: Patience = 20,
    validation: Annotated[float, typer.Option(help="Share of the rows that decide when to stop.")] = 0.2,
    test: Test = 0.1,
    rows: Chosen,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write events (extra: train).")] = False,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
    html: Html = None,
) -> None:
    """Train a port on, and say how far it has moved."""
    _check_given("finetune", model, data, output, resume)
    console.load_keras()
    from porter.learning.training import finetune as train

    how: dict[str, Any] = rows | {"tensorboard": tensorboard}
    how |= {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate}
    how |= {"schedule": schedule, "weight_decay": weight_decay, "loss": loss, "patience": patience, "freeze": freeze}
    how |= {"validation": validation, "test": test, "seed": seed, "force": force, "output": output, "run": run}
    how = how if resume is None else {"resume": resume}
    with _to_go_on("finetune", _place(resume, run, output, ".run")):
        tuned = train(model, data, progress=sys.stderr.isatty(), **how)
    if tuned.run is not None:
        console.notice(f"the run is in {tuned.run}" + (f", the tuned model in {output}" if output is not None else ""))
    _show(tuned.report, as_json, html)


@app.command()
@with_rows("legacy", "drop_missing")
def drift(
    legacy: Annotated[Path, typer.Argument(metavar="LEGACY", help="The legacy file, or a port of it.")],
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="A tuned port.")],
    *,
    samples: Samples = None,
    freeze: Annotated[
        str | None, typer.Option(metavar="A,B|until:NAME", help="What was meant to stay; else what the model says.")
    ] = None,
    rows: Chosen,
    seed: Seed = 0,
    as_json: Json = False,
    html: Html = None,
) -> None:
    """Say how far a tuned network has moved, layer by layer and output by output."""
    console.load_keras()
    from porter.learning.drift import drift as compare

    with console.working(tuned.name):
        report = compare(
            legacy, tuned, samples=samples, frozen=freeze, seed=seed, **rows,
        )  # fmt: skip
    _show(report, as_json, html)


@app.command()
@with_rows()
def search(
    model: Model = None,
    data: Rows = None,
    *,
    output: Tuned = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder; else OUTPUT with .search.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with a search, alone.")] = None,
    tuner: Annotated[Literal["random", "hyperband", "bayesian"], typer.Option(help="Of KerasTuner.")] = "random",
    trials: Annotated[int, typer.Option(min=1, help="At most; hyperband decides by its brackets.")] = 20,
    freeze: Freeze = None,
    epochs: Epochs = 50,
    patience: Patience = 10,
    validation: Annotated[float, typer.Option(help="Share of the rows that trials are compared on.")] = 0.2,
    test: Test = 0.1,
    loss: Loss = "mse",
    rows: Chosen,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
    html: Html = None,
) -> None:
    """Search for how to train a port on, by KerasTuner, and train it so."""
    _check_given("search", model, data, output, resume)
    console.load_keras()
    from porter.learning.tuning import search as look

    place = _place(resume, run, output, ".search")
    how: dict[str, Any] = {"run": place, "progress": sys.stderr.isatty(), "resume": resume is not None}
    if resume is None:
        how |= {"output": output, "tuner": tuner, "trials": trials, "freeze": freeze, "epochs": epochs, "loss": loss}
        how |= {"patience": patience, "validation": validation, "test": test, "seed": seed, "force": force}
        how |= rows
    with _to_go_on("search", place), console.working("search"):
        found = look(model, data, **how)
    console.notice(f"{len(found.trials)} trials are in {place}")
    _show(found.tuned.report, as_json, html)


@app.command()
@with_rows("group", "drop_missing")
def compress(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A saved model (.keras, .h5), or a legacy file.")],
    *,
    budget: Annotated[str, typer.Option(metavar="SHARE", help="Largest error, of each output's range: 0.5% or 0.005.")],
    output: Tuned = None,
    method: Annotated[
        str | None, typer.Option(metavar="A|B|...", help="units, prune, weights, distill, float16, int8; else all.")
    ] = None,
    samples: Samples = None,
    rows: Chosen,
    epochs: Annotated[int, typer.Option(min=0, help="Of training after each change.")] = 20,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
    html: Html = None,
) -> None:
    """Make a network smaller, as far as a budget of error allows."""
    share = _share(budget)
    console.load_keras()
    from porter.learning.compress import compress as shrink
    from porter.learning.compression_report import render_compression

    with console.working(model.name):
        made = shrink(
            model, budget=share, method=method, output=output, force=force, samples=samples, epochs=epochs, seed=seed,
            **rows,
        )  # fmt: skip
    _write_page(made.report, html)
    text = render_compression(made.report, console.width(), console.in_color())
    console.write(made.report.to_json() if as_json else text)
    raise typer.Exit(1 if made.model is None else 0)


def _share(text: str) -> float:
    """A share of a range: "0.5%" or "0.005"."""
    from porter.errors import UsageError

    number, percent, rest = text.strip().partition("%")
    try:
        if rest:
            raise ValueError
        return float(number) / (100 if percent else 1)
    except ValueError as error:
        raise UsageError("--budget", found=repr(text), expected="0.5% or 0.005") from error


def _check_given(command: str, model: Path | None, data: Path | None, output: Path | None, resume: Path | None) -> None:
    from porter.errors import UsageError

    if resume is None and (model is None or data is None or output is None):
        raise UsageError(command, found="no MODEL, DATA or --output", expected="all three, or --resume DIR alone")


def _place(resume: Path | None, run: Path | None, output: Path | None, suffix: str) -> Path | None:
    """The folder in which a command keeps what it needs to go on."""
    place = resume if resume is not None else run
    return place if place is not None or output is None else output.with_suffix(suffix)


@contextmanager
def _to_go_on(command: str, place: Path | None) -> Iterator[None]:
    """An interrupt is told with the command that goes on from there."""
    try:
        yield
    except KeyboardInterrupt:
        console.notice(f"\ninterrupted; to go on: porter {command} --resume {place}")
        raise typer.Exit(130) from None


def _show(report: DriftReport | None, as_json: bool, html: Path | None) -> None:
    """Print the report, write its page, and leave with its status."""
    from porter.learning.drift_text import render_drift

    if report is None:
        console.notice("the model cannot be copied by its configuration: how far it has moved was not compared")
        raise typer.Exit(1)
    _write_page(report, html)
    console.write(report.to_json() if as_json else render_drift(report, console.width(), console.in_color()))
    raise typer.Exit(0 if report.verdict in ("parity", "drift") else 1)


def _write_page(report: Report, html: Path | None) -> None:
    from porter.errors import UsageError

    if html is None:
        return
    try:
        report.to_html(html)
    except OSError as error:
        found = str(error.strerror)
        raise UsageError(f"--html {html}", found=found, expected="a file that can be written") from error
