"""Networks and arrays written down as recipes, to begin with."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomlkit

from porter.errors import OutputExistsError, UsageError
from porter.formats import oc_smart
from porter.formats.arrays import names
from porter.formats.arrays import reader as arrays
from porter.formats.members import Layout, locate
from porter.formats.opened import os_reason
from porter.formats.recipe import FAMILY, VERSION
from porter.network import Claim, Network
from porter.network.activations import format_activation
from porter.network.weight_file import WeightFile

BEYOND = ("transform_in", "transform_out", "ensemble", "takes", "tables")
"""Declarations of recipes that are not written anew."""
DESCRIBED = (oc_smart.FAMILY, arrays.FAMILY, FAMILY)
"""Families of which a recipe can say everything."""


def write_recipe(network: Network, path: str | Path, *, force: bool = False) -> None:
    """Write the recipe by which ``porter.read`` reads the same network again; complete or not at all.

    Raises:
        UsageError: the network is not of a family that recipes are for.
        OutputExistsError: the file exists, and ``force`` is not given.
    """
    path = Path(path)
    if (network.family == FAMILY and any(key in network.declarations for key in BEYOND)) or _is_relaid(network):
        raise UsageError(
            f"a recipe for {network.name} is there already",
            found="what a recipe says beyond layers and scaling: transforms, bounds, members, connections, tables, ...",
            expected="layers and scaling alone",
            remedy="take that recipe",
        )
    if network.family not in DESCRIBED:
        raise UsageError(
            f"a recipe cannot describe {network.name}",
            found=f"a network of the family {network.family!r}, which says itself what a recipe would",
            expected="dense layers in HDF5 or .npz",
        )
    write_text(path, recipe_text(network), force=force)


def _is_relaid(network: Network) -> bool:
    """Whether a recipe lays arrays out otherwise than they are stored, or has bounds for them."""
    words = ("[", " (as ", ", as ", "in Fortran's order)")
    around = any(name.partition("/")[0] in ("Members", "Bounds") for name in network.source.arrays)
    return around or any(word in place for place in network.source.places.values() for word in words)


def write_text(path: Path, text: str, *, force: bool) -> None:
    """Write a recipe, complete or not at all.

    Raises:
        OutputExistsError: the file exists, and ``force`` is not given.
        UsageError: it cannot be written.
    """
    check_free(path, force=force)
    _write_atomically(path, text)


def check_free(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a recipe.

    Raises:
        OutputExistsError: the file exists, and ``force`` is not given.
    """
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already", remedy="take another name, or --force")


def recipe_text(network: Network) -> str:
    """The recipe as TOML; what is only assumed is commented out, so that reading by it proves no more than before."""
    source, layout = network.source, _layout(network.source)
    document = tomlkit.document()
    document.add(tomlkit.comment(f"How {source.path.name} is read (SHA-256 {source.sha256})."))
    document.add(
        tomlkit.comment('Lines marked "assumed" are not in the file: change or uncomment what you know to hold.')
    )
    document.add("version", tomlkit.item(VERSION))
    if network.family == oc_smart.FAMILY:
        document.add("format", tomlkit.item(network.family))
    if network.name != source.path.stem:
        document.add("name", tomlkit.item(network.name))
    if layout.widths is not None:
        document.add("widths", tomlkit.item(_place(source, layout.widths)))
    for key in ("kind", "physical"):
        if key in network.declarations:
            claim = _claim(network, "Transform_in", "transform") if key == "kind" else None
            _add(document, key, network.declarations[key], claim)
    if layout.norm_in is not None or layout.norm_out is not None:
        document.add("scaling", _scaling_table(network, layout))
    layers = tomlkit.aot()
    for table in _layer_tables(network, layout):
        layers.append(table)
    document.add("layers", layers)
    return tomlkit.dumps(document)


_PART = re.compile(r"(.*) \(without the ((?:first|last) (?:row|column))\)")


def _layout(source: WeightFile) -> Layout:
    if source.format == arrays.FAMILY:
        return names.locate(str(source.path), {name: array.shape for name, array in source.arrays.items()})
    return locate(str(source.path), source.arrays, ())


def _layer_tables(network: Network, layout: Layout) -> Iterator[Any]:
    for layer, kernel, bias in zip(network.dense_layers, layout.kernels, layout.biases, strict=True):
        orientation = _claim(network, layer.name, "orientation")
        table = tomlkit.table()
        within = _PART.fullmatch(network.source.places.get(kernel, ""))
        table.add("kernel", _place(network.source, kernel) if within is None else within[1])
        if within is not None:
            table.add("bias_in", within[2])
        elif bias is not None:
            table.add("bias", _place(network.source, bias))
        if orientation is not None:
            _add(table, "orientation", orientation.value, orientation)
        spelling = format_activation(layer.activation)
        _add(table, "activation", spelling, _claim(network, layer.name, "activation"))
        yield table


def _scaling_table(network: Network, layout: Layout) -> Any:
    table = tomlkit.table()
    claims = {claim.layer: claim for claim in network.claims if claim.convention == "scaling"}
    ends = [(key, name) for key, name in (("input", layout.norm_in), ("output", layout.norm_out)) if name is not None]
    rules = {claims[name].value for _, name in ends if name in claims}
    if len(rules) == 1:
        _add(table, "rule", rules.pop(), next(iter(claims.values())))
        for key, name in ends:
            table.add(key, _place(network.source, name))
        return table
    for key, name in ends:
        first, second = network.source.arrays[name].T.tolist()
        rule = claims[name].value
        names = ("mean", "std") if rule == "mean-std" else ("minimum", "maximum")
        end = tomlkit.table()
        for entry, value in zip(("rule", *names), (rule, first, second), strict=True):
            end.add(entry, value)
        table.add(key, end)
    return table


def _place(source: WeightFile, name: str) -> Any:
    """The dataset's name in the file, or the values where a recipe had written them out."""
    if source.places and name not in source.places:
        return source.arrays[name].tolist()
    return source.places.get(name, name)


def _claim(network: Network, layer: str, convention: str) -> Claim | None:
    found = (claim for claim in network.claims if (claim.layer, claim.convention) == (layer, convention))
    return next(found, None)


def _add(table: Any, key: str, value: Any, claim: Claim | None) -> None:
    item = tomlkit.item(value)
    if claim is not None and claim.evidence == "assumed":
        table.add(tomlkit.comment(f"{key} = {item.as_string()}  # assumed"))
    else:
        table.add(key, item)


def _write_atomically(path: Path, text: str) -> None:
    """A draft in the same folder, moved to its place when it is complete."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", found=os_reason(error)) from error
