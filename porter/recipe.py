"""The user's recipe: a TOML file that says where the arrays lie and how they are to be read.

Everything but the kernels may be left out; what is left out is made out as it is without a recipe.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomlkit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator

from porter.activations import format_activation, parse_activation
from porter.errors import OutputExistsError, PorterError, RecipeError, UsageError
from porter.formats import oc_smart
from porter.formats.hdf5 import Hdf5File
from porter.formats.members import Layout, locate
from porter.formats.opened import OpenedFile, open_file, os_reason
from porter.formats.options import ReadOptions
from porter.formats.scalings import KINDS
from porter.formats.weight_file import WeightFile
from porter.network import Claim, Network, Scaling

Array = NDArray[Any]

VERSION = 1
ABOUT_ASSUMED = 'Lines marked "assumed" are not in the file: change or uncomment what you know to hold.'
Name = Annotated[str, Field(min_length=1)]
Pair = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2, max_length=2)]
Values = Annotated[list[Pair], Field(min_length=1)]
BRANCHES = ("name of a dataset", "values")


def _branch(value: object) -> str:
    return BRANCHES[0] if isinstance(value, str) else BRANCHES[1]


Ranges = Annotated[
    Annotated[Name, Tag(BRANCHES[0])] | Annotated[Values, Tag(BRANCHES[1])],
    Discriminator(_branch),
]


class _Table(BaseModel):
    """A TOML table: no value is converted, and no unknown key is let through."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LayerRecipe(_Table):
    """One dense layer.

    Attributes:
        kernel: full name of its dataset.
        bias: full name of its dataset; None where there is no bias.
        orientation: of the kernel as stored.
        activation: as in ``porter.read``.
    """

    kernel: Name
    bias: Name | None = None
    orientation: Literal["units-first", "inputs-first"] | None = None
    activation: str | None = None

    @field_validator("activation")
    @classmethod
    def _is_known(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                parse_activation(text)
            except PorterError as error:
                raise ValueError(f"{error.what}; known are {error.expected}") from error
        return text


class ScalingRecipe(_Table):
    """The scaling steps.

    Attributes:
        rule: of both; OC-SMART's where None.
        input: full name of the dataset of ranges, or the ranges themselves: minimum and maximum of each column.
        output: likewise.
    """

    rule: Literal["[-1,1]", "[0,1]", "mean-std", "none"] | None = None
    input: Ranges | None = None
    output: Ranges | None = None


class Recipe(_Table):
    """A whole recipe.

    Attributes:
        version: of this schema.
        format: key of the family whose formula holds.
        layers: in order of computation.
        widths: full name of the dataset that states the widths, to be checked against the kernels.
        scaling: None where there is none.
        kind: kind of network, for the physical transforms.
        physical: whether the network begins and ends in physical units.
    """

    version: Literal[1] = 1
    format: Literal["oc-smart"] = "oc-smart"
    layers: Annotated[list[LayerRecipe], Field(min_length=1)]
    widths: Name | None = None
    scaling: ScalingRecipe | None = None
    kind: str | None = None
    physical: bool = False

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str | None) -> str | None:
        if kind is not None and kind.lower() not in map(str.lower, KINDS):
            raise ValueError(f"{kind!r} is not known; known are {', '.join(KINDS)}")
        return kind

    def options(self) -> ReadOptions:
        """What it declares, in the form of ``porter.read``'s options."""
        declared: dict[str, Any] = {"kind": self.kind, "physical": self.physical}
        for key in ("activation", "orientation"):
            given = tuple(getattr(layer, key) for layer in self.layers)
            if any(value is not None for value in given):
                declared[key] = given
        if self.scaling is not None:
            declared["scaling"] = self.scaling.rule
        return ReadOptions(**declared)

    def places(self) -> Iterator[tuple[str, str, str | list[Any]]]:
        """Each array: its place in the recipe, the name that it gets here, and its dataset or its values."""
        for number, layer in enumerate(self.layers, start=1):
            yield f"layer {number}, kernel", f"Weights/Layer{number}", layer.kernel
            if layer.bias is not None:
                yield f"layer {number}, bias", f"Bias/Layer{number}", layer.bias
        if self.widths is not None:
            yield "widths", "Layers", self.widths
        scaling = ScalingRecipe() if self.scaling is None else self.scaling
        for key, name, value in (("input", "Norm_in", scaling.input), ("output", "Norm_out", scaling.output)):
            if value is not None:
                yield f"scaling, {key}", name, value


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: it is no TOML, or not a recipe; the message lists every error with its place.
        UnreadableError: there is no such file.
    """
    with open_file(path) as opened:
        raw = opened.path.read_bytes()
    try:
        return Recipe.model_validate(tomllib.loads(raw.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path} is not TOML", (str(error),), remedy=_HOW_TO_BEGIN) from error
    except ValidationError as error:
        problems = tuple(_problem(entry) for entry in error.errors())
        count = f"{len(problems)} error" + ("s" if len(problems) > 1 else "")
        raise RecipeError(f"{path} is not a recipe: {count}", problems, remedy=_HOW_TO_BEGIN) from error


_HOW_TO_BEGIN = "let porter write one to begin with: porter inspect FILE --write-recipe net.toml"


def _problem(entry: Any) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    found = "" if entry["type"] in ("missing", "value_error", "extra_forbidden") else f" (found {entry['input']!r:.60})"
    return f"{_spell_place(entry['loc'])}: {message}{found}"


def _spell_place(place: tuple[int | str, ...]) -> str:
    """("layers", 1, "kernel") as ``layer 2, kernel``; the name of a branch is left out."""
    parts: list[str] = []
    for before, part in itertools.pairwise((None, *place)):
        if before == "layers" and isinstance(part, int):
            parts[-1] = f"layer {part + 1}"
        elif isinstance(part, int):
            parts.append(f"entry {part + 1}")
        elif part is not None and part not in BRANCHES:
            parts.append(part)
    return ", ".join(parts) if parts else "the recipe"


def read_by_recipe(opened: OpenedFile, recipe: Recipe, options: ReadOptions) -> Network:
    """Read an HDF5 file of any layout as a recipe says.

    Raises:
        RecipeError: it names datasets that the file does not have.
        OptionContradictionError: an option contradicts it.
        UnreadableError: as without a recipe.
    """
    options = options.merged(recipe.options())
    hdf5 = opened.hdf5
    _check_places(hdf5, recipe)
    places = {name: value for _, name, value in recipe.places() if isinstance(value, str)}
    arrays = {name: _array(hdf5, value) for _, name, value in recipe.places()}
    source = WeightFile(opened.path, oc_smart.FAMILY, opened.sha256, arrays, hdf5.fixed_attributes(), places)
    names = [f"Layer{number}" for number in range(1, len(recipe.layers) + 1)]
    layout = Layout(
        kernels=tuple(f"Weights/{name}" for name in names),
        biases=tuple(f"Bias/{name}" if f"Bias/{name}" in arrays else None for name in names),
        widths="Layers" if "Layers" in arrays else None,
        norm_in="Norm_in" if "Norm_in" in arrays else None,
        norm_out="Norm_out" if "Norm_out" in arrays else None,
    )
    return oc_smart.interpret(source, layout, options, order_declared=True)


def _check_places(hdf5: Hdf5File, recipe: Recipe) -> None:
    problems = tuple(
        f"{place}: no dataset {value!r}"
        for place, _, value in recipe.places()
        if isinstance(value, str) and value.strip("/") not in hdf5.datasets
    )
    if problems:
        there = ", ".join(map(repr, list(hdf5.datasets)[:24]))
        raise RecipeError(f"{hdf5.opened.path} has not what the recipe names", problems, remedy=f"it has {there}")


def _array(hdf5: Hdf5File, value: str | list[Any]) -> Array:
    return hdf5.read(value.strip("/")) if isinstance(value, str) else np.array(value, dtype=np.float64)


def write_recipe(network: Network, path: str | Path, *, force: bool = False) -> None:
    """Write the recipe by which ``porter.read`` reads the same network again; complete or not at all.

    Raises:
        UsageError: the network is not of a family that recipes are for.
        OutputExistsError: the file exists, and ``force`` is not given.
    """
    path = Path(path)
    if network.family != oc_smart.FAMILY:
        raise UsageError(
            f"a recipe cannot describe {network.name}",
            found=f"a network of the family {network.family!r}",
            expected=f"{oc_smart.FAMILY!r}: dense layers in HDF5",
        )
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already", remedy="take another name, or --force")
    _write_atomically(path, recipe_text(network))


def recipe_text(network: Network) -> str:
    """The recipe as TOML; what is only assumed is commented out, so that reading by it proves no more than before."""
    source, layout = network.source, _layout(network.source)
    document = tomlkit.document()
    document.add(tomlkit.comment(f"How {source.path.name} is read (SHA-256 {source.sha256})."))
    document.add(
        tomlkit.comment('Lines marked "assumed" are not in the file: change or uncomment what you know to hold.')
    )
    document.add("version", tomlkit.item(VERSION))
    document.add("format", tomlkit.item(network.family))
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


def _layout(source: WeightFile) -> Layout:
    return locate(str(source.path), source.arrays, ())


def _layer_tables(network: Network, layout: Layout) -> Iterator[Any]:
    for layer, kernel, bias in zip(network.dense_layers, layout.kernels, layout.biases, strict=True):
        orientation = _claim(network, layer.name, "orientation")
        table = tomlkit.table()
        table.add("kernel", _place(network.source, kernel))
        if bias is not None:
            table.add("bias", _place(network.source, bias))
        if orientation is not None:
            _add(table, "orientation", orientation.value, orientation)
        spelling = format_activation(layer.activation)
        _add(table, "activation", spelling, _claim(network, layer.name, "activation"))
        yield table


def _scaling_table(network: Network, layout: Layout) -> Any:
    table = tomlkit.table()
    rules = [layer.rule for layer in network.layers if isinstance(layer, Scaling)]
    claims = [claim for claim in network.claims if claim.convention == "scaling"]
    _add(table, "rule", rules[0] if rules else "none", claims[0] if claims else None)
    for key, name in (("input", layout.norm_in), ("output", layout.norm_out)):
        if name is not None:
            table.add(key, _place(network.source, name))
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
