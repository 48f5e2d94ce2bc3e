"""How a file is to be read: options that several commands have, declared once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

Reading = dict[str, Any]
"""The options of ``porter.read`` that were given."""

Name = Annotated[
    str | None,
    typer.Option(metavar="NAME[,NAME...]", help="Of all hidden layers; or a list for all layers, output included."),
]
OutputName = Annotated[str | None, typer.Option(metavar="NAME", help="Activation of the last layer.")]
Orientation = Annotated[
    str | None,
    typer.Option(metavar="ORIENTATION[,...]", help="units-first or inputs-first, of all kernels or a list."),
]
Rule = Annotated[str | None, typer.Option(metavar="RULE", help="Of the scaling: [-1,1], [0,1], mean-std or none.")]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help="Kind of OC-SMART network (aaNN, rrsNN, ...).")]
Physical = Annotated[bool, typer.Option("--physical", help="From physical units to physical units.")]
Recipe = Annotated[Path | None, typer.Option(metavar="TOML", help="How the file is to be read.")]
Backend = Annotated[
    str | None, typer.Option(metavar="BACKEND", help="theano or tensorflow: trained a Keras file that does not say.")
]
Weights = Annotated[Path | None, typer.Option(metavar="H5", help="Weights of a Keras architecture in JSON.")]
Replace = Annotated[
    list[str] | None,
    typer.Option(metavar="LAYER=MODULE:FUNCTION", help="A function in the place of a Keras layer that is not run."),
]
Exact = Annotated[
    bool, typer.Option("--exact-activations", help="Functions for the tables that the original looks them up in.")
]
Gains = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Vicarious gains of an rrsNN of OC-SMART in physical units, one a band."),
]

OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "activation": (Name, None),
    "output_activation": (OutputName, None),
    "orientation": (Orientation, None),
    "scaling": (Rule, None),
    "kind": (Kind, None),
    "physical": (Physical, False),
    "gains": (Gains, None),
    "recipe": (Recipe, None),
    "backend": (Backend, None),
    "weights": (Weights, None),
    "replace": (Replace, None),
    "exact_activations": (Exact, False),
}
"""Annotation and default of each, in the order of the help."""


def spread(
    parameter: str, options: Mapping[str, tuple[Any, Any]], gather: Callable[..., dict[str, Any]]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command options that several have, in the place of one parameter of its own.

    Args:
        parameter: of the command, which is handed what was gathered.
        options: annotation and default of each, in the order of the help.
        gather: makes of them what the command is handed.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
        every = [each for one in own.parameters.values() for each in (shared if one.name == parameter else [one])]

        @wraps(command)
        def run(**given: Any) -> None:
            declared = {name: given.pop(name) for name in options}
            command(**given, **{parameter: gather(**declared)})

        del run.__wrapped__  # whose signature typer would follow
        run.__signature__ = own.replace(parameters=every)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in every}
        return run

    return decorate


def read_options(**declared: Any) -> Reading:
    """The options of ``porter.read`` that were given."""
    lists: dict[str, Any] = {name: listed(declared[name]) for name in ("activation", "orientation")}
    if declared["replace"]:
        from porter.formats.keras_legacy.replace import parse_replacements

        lists["replace"] = parse_replacements(declared["replace"])
    return {name: value for name, value in (declared | lists).items() if value is not None and value != []}


def listed(value: str | None) -> str | list[str] | None:
    """One name, or a list of them; commas inside parentheses separate parameters."""
    if value is None:
        return None
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", value)]
    return parts[0] if len(parts) == 1 else parts


with_reading = spread("reading", OPTIONS, read_options)
"""Gives a command the options on how a file is read, as its parameter ``reading``."""
