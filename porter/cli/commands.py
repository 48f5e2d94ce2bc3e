"""The command line: parsing and dispatch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from porter.cli import console
from porter.cli.options import Reading, with_reading
from porter.errors import PorterError, UsageError
from porter.formats.opened import os_reason
from porter.progress import tell

if TYPE_CHECKING:
    from porter.jobs.batch import Outcome
    from porter.network import Network
    from porter.report.report import Report

WITHOUT_KERAS = (".c", ".f90", ".onnx", ".py", ".tflite")
"""Endings of ports that something else runs."""

app = typer.Typer(
    name="porter",
    help="Port legacy neural networks into Keras and prove, layer by layer, that the port computes the same.",
    epilog="Exit status: 0 parity; 1 mismatch, inconclusive or a layer not compared; 2 unreadable or wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Legacy files, or folders: of them, or that are one.")
]


def _not_a_folder(path: Path | None) -> Path | None:
    """Samples, before every network is told that a folder is none."""
    if path is not None and path.is_dir():
        raise UsageError(
            f"--samples {path}", found="a folder", expected="a file, or a name for the file of each network",
            remedy=f"--samples '{path}/{{name}}.npz', where {{name}} stands for the network's file without its ending",
        )  # fmt: skip
    return path


Samples = Annotated[
    Path | None,
    typer.Option(metavar="NPZ|CSV", help="Golden samples; {folder}/{name}.npz: one for each.", callback=_not_a_folder),
]
PLACEMENT = "Where the port has the scaling: in layers of its own, in the first and last dense layer, or not at all."
PortPlacement = Annotated[Literal["inside", "folded", "outside"], typer.Option(help=PLACEMENT)]
DeclaredPlacement = Annotated[
    Literal["inside", "folded", "outside"] | None, typer.Option(help=f"{PLACEMENT} Found out where not given.")
]
Dtype = Annotated[
    Literal["float32", "float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16"],
    typer.Option(help="Dtype policy of the port."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="FORMAT", help="Another format than Keras' own; see porter export.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the probes and the search.")]
Search = Annotated[bool, typer.Option("--search/--no-search", help="Search for a counterexample beyond the probes.")]
Gradients = Annotated[
    bool, typer.Option("--gradients", help="Judge the port's derivatives, too, beside those of the legacy formula.")
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="MODEL|DIR", help="A .keras or .h5 file; or a folder.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def _with_a_folder(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """A place for a report, if there is a folder for it: before the work is done that is reported."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(
            f"--{parameter.name} {path}", found=f"no folder {path.parent}", expected="a file that can be written",
            remedy=f"mkdir -p {path.parent}",
        )  # fmt: skip
    return path


Html = Annotated[
    Path | None, typer.Option(metavar="PATH", help="Write the report as a page, too.", callback=_with_a_folder)
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite; write a port that does not match, too.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        import porter

        print(porter.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command()
@with_reading
def inspect(
    files: Files,
    *,
    reading: Reading,
    write_recipe: Annotated[Path | None, typer.Option(metavar="TOML", help="Write what is known as a recipe.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is in a file: layers, shapes, conventions and their evidence; of a port, its provenance."""
    from porter.cli import contents
    from porter.jobs.batch import expand, run_all

    by_recipe = reading.get("recipe") is not None
    found = expand(files, console.notice, by_recipe=by_recipe or write_recipe is not None)
    _one_file(found, "--write-recipe", write_recipe)
    listing = write_recipe is not None and not by_recipe
    outcomes = run_all(found, lambda file: contents.read_contents(file, listing=listing, **reading), console.notice)
    if write_recipe is not None:
        contents.write_recipe_of(outcomes, write_recipe, force=force)
    _finish(outcomes, as_json, lambda: contents.render_contents(outcomes, console.width(), console.in_color()))


@app.command()
def formats(as_json: Json = False) -> None:
    """List what is read, and what is written back, with an example each."""
    from porter.formats.listing import families_json, render_families

    sys.stdout.write(families_json() if as_json else render_families(console.width()))


@app.command()
def recipe(
    explain: Annotated[bool, typer.Option("--explain", help="Show everything that a recipe can say.")] = False,
    example: Annotated[str | None, typer.Option(metavar="FAMILY", help="Show the recipe of a family's files.")] = None,
) -> None:
    """Show what a recipe can say: how a file that no reader knows is to be read."""
    from porter.formats.recipe_explained import EXPLAINED, example_of

    if explain == (example is not None):
        raise UsageError(
            "porter recipe", found="both" if explain else "nothing to do", expected="--explain, or --example FAMILY"
        )
    sys.stdout.write(EXPLAINED if example is None else example_of(example))


@app.command()
@with_reading
def port(
    files: Files,
    *,
    output: Output,
    samples: Samples = None,
    placement: PortPlacement = "inside",
    dtype: Dtype = "float32",
    to: To = None,
    reading: Reading,
    seed: Seed = 0,
    search: Search = True,
    gradients: Gradients = False,
    force: Force = False,
    as_json: Json = False,
    html: Html = None,
) -> None:
    """Port legacy files into Keras models: read, build, verify, save, load again, verify again."""
    import porter
    from porter.jobs.batch import destinations, expand, run_all, samples_of
    from porter.jobs.saving import check_output

    found = expand(files, console.notice, by_recipe=reading.get("recipe") is not None)
    _one_file(found, "--html", html)
    if to is not None:
        from porter.cli.exporting import export_files

        if placement != "inside" or dtype != "float32" or gradients:
            raise UsageError(
                "porter port --to", found="--placement, --dtype or --gradients, which are of Keras models",
                expected="none of them",
                remedy="porter export has --precision",
            )  # fmt: skip
        print_reports(export_files(found, output, to, samples, seed, force, reading), as_json, html)
    targets = destinations(found, output)

    def task(file: Path) -> Report:
        check_output(targets[file], force=force)
        with console.working(file.name):
            network = _network(file, reading)
            how: dict[str, Any] = {"placement": placement, "dtype": dtype, "seed": seed}
            how |= {"samples": samples_of(file, samples), "gradients": gradients}
            return porter.port(network, targets[file], force=force, search=search, **how)

    print_reports(run_all(found, task, console.notice), as_json, html)


@app.command()
@with_reading
def verify(
    legacy: Annotated[Path, typer.Argument(metavar="LEGACY", help="The legacy file.")],
    ported: Annotated[
        Path,
        typer.Argument(
            metavar="PORT",
            help="Any port: .keras, .h5, what porter export writes, or module:function, which is imported.",
        ),
    ],
    *,
    samples: Samples = None,
    placement: DeclaredPlacement = None,
    reading: Reading,
    seed: Seed = 0,
    search: Search = True,
    gradients: Gradients = False,
    as_json: Json = False,
    html: Html = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write the report as JUnit XML, too.", callback=_with_a_folder)
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile and run a port that is a program: its code runs here.")
    ] = False,
    apply: Annotated[Path | None, typer.Option(metavar="PATH", help="Save a mended port, with every remedy.")] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Judge it as run by onnxruntime, litert, c, numpy, ... too; repeatable."),
    ] = None,
    custom_objects: Annotated[
        str | None, typer.Option(metavar="MODULE|PY", help="Classes of the port's own: the module is imported and run.")
    ] = None,
    unsafe_lambda: Annotated[
        bool, typer.Option("--unsafe-lambda", help="Run the Python that lies in Lambda layers of the port.")
    ] = False,
    architecture: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The model (.json, .keras) of a port that is weights alone.")
    ] = None,
) -> None:
    """Judge any port of a legacy file, layer by layer, and name what is wrong with it."""
    import porter
    from porter.exports.names import named_function
    from porter.jobs.batch import run_all, samples_of

    module, _ = named_function(ported)
    if module:
        console.notice(f"{module} is imported, and its code runs")

    def task(file: Path) -> Report:
        with console.working(file.name):
            network = _network(file, reading, by_keras=not module and ported.suffix.lower() not in WITHOUT_KERAS)
            return porter.verify(
                network,
                ported,
                samples=samples_of(file, samples),
                seed=seed,
                search=search,
                gradients=gradients,
                placement=placement,
                apply=apply,
                compile=compiled,
                custom_objects=custom_objects,
                unsafe_lambda=unsafe_lambda,
                architecture=architecture,
                runtimes=runtime or (),
            )

    print_reports(run_all([legacy], task, console.notice), as_json, html, junit)


def _network(file: Path, reading: dict[str, Any], *, by_keras: bool = True) -> Network:
    """The network, read before the seconds that Keras takes to load, so that a refusal comes at once."""
    import porter

    network = porter.read(file, **reading)
    if by_keras:
        console.load_keras()
    tell("building and verifying")
    return network


def _one_file(files: list[Path], option: str, value: Path | None) -> None:
    if value is not None and len(files) > 1:
        raise UsageError(option, found=f"{len(files)} files", expected="one file", remedy=f"leave {option} out")


def print_reports(outcomes: list[Outcome], as_json: bool, html: Path | None, junit: Path | None = None) -> None:
    """Print and write the reports, and leave with the status of them all."""
    from porter.cli.summary import render_outcomes, write_reports

    write_reports(outcomes, html, junit)
    _finish(outcomes, as_json, lambda: render_outcomes(outcomes, console.width(), console.in_color()))


def _finish(outcomes: list[Outcome], as_json: bool, text: Callable[[], str]) -> None:
    """Print the result and leave with the status of them all."""
    from porter.cli.summary import render_json
    from porter.jobs.batch import worst_status

    console.write(render_json(outcomes) if as_json else text())
    raise typer.Exit(worst_status(outcomes))


def main() -> None:
    """Run the command line; a refusal is a message and status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    console.quiet_tensorflow()
    try:
        try:
            app()
        finally:
            console.write("")  # what else was printed is written now, or it is said that it cannot be
    except PorterError as error:
        console.notice(str(error))
        sys.exit(2)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        console.notice(f"{place}{os_reason(error)}")
        sys.exit(2)
