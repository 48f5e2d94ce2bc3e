"""The user's recipe: a TOML file that says where the arrays lie and how they are to be read.

Everything but the kernels may be left out; what is left out is made out as it is without a recipe. ``porter recipe
--explain`` shows the whole schema.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from porter.errors import DamagedFileError, PorterError, RecipeError
from porter.formats import oc_smart
from porter.formats.members import Layout
from porter.formats.npz import NpzError, read_npz
from porter.formats.opened import OpenedFile, open_file
from porter.formats.options import ReadOptions
from porter.formats.said import attribute_names, hinting_names, said_activations
from porter.formats.scalings import HOW_TO_PROVE, KINDS
from porter.network import Network
from porter.network.activations import parse_activation
from porter.network.weight_file import WeightFile

Array = NDArray[Any]

VERSION = 1
FAMILY = "recipe"
UNSAID = f"a guess, for neither file nor recipe says it; {HOW_TO_PROVE}"
Name = Annotated[str, Field(min_length=1)]
Pair = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2, max_length=2)]
Values = Annotated[list[Pair], Field(min_length=1)]
Vector = Name | Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)]
BRANCHES = ("name of a dataset", "values", "two vectors")


def _branch(value: object) -> str:
    if isinstance(value, dict | EndRecipe):
        return BRANCHES[2]
    return BRANCHES[0] if isinstance(value, str) else BRANCHES[1]


class _Table(BaseModel):
    """A TOML table: no value is converted, and no unknown key is let through."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class EndRecipe(_Table):
    """What one end is scaled by, in two vectors of their own.

    Attributes:
        rule: by which; "mean-std" for a mean and a deviation, and "[-1,1]" for a minimum and a maximum, where None.
        minimum: full name of a dataset, or the values themselves.
        maximum: likewise.
        mean: likewise.
        std: likewise.
        variance: likewise, in the place of std.
    """

    rule: Literal["[-1,1]", "[0,1]", "mean-std"] | None = None
    minimum: Vector | None = None
    maximum: Vector | None = None
    mean: Vector | None = None
    std: Vector | None = None
    variance: Vector | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> EndRecipe:
        given = tuple(
            key for key in ("minimum", "maximum", "mean", "std", "variance") if getattr(self, key) is not None
        )
        if given not in (("minimum", "maximum"), ("mean", "std"), ("mean", "variance")):
            raise ValueError(
                f"minimum and maximum, or mean and std or variance, are needed (found {' and '.join(given) or 'none'})"
            )
        if (self.rule == "mean-std") != ("mean" in given) and self.rule is not None:
            raise ValueError(f"the rule {self.rule} does not go with {' and '.join(given)}")
        return self

    @property
    def vectors(self) -> tuple[str | list[float], str | list[float]]:
        """First and second of the two."""
        spread = self.std if self.variance is None else self.variance
        pair = (self.minimum, self.maximum) if self.mean is None else (self.mean, spread)
        assert pair[0] is not None and pair[1] is not None
        return pair[0], pair[1]

    @property
    def chosen_rule(self) -> str:
        """The rule, of its vectors' kind where none is given."""
        return self.rule if self.rule is not None else "[-1,1]" if self.mean is None else "mean-std"


Ranges = Annotated[
    Annotated[Name, Tag(BRANCHES[0])] | Annotated[Values, Tag(BRANCHES[1])] | Annotated[EndRecipe, Tag(BRANCHES[2])],
    Discriminator(_branch),
]


class LayerRecipe(_Table):
    """One dense layer.

    Attributes:
        kernel: full name of its dataset.
        bias: full name of its dataset; None where there is no bias, or where it stands in the kernel.
        bias_in: which row or column of the kernel as stored is the bias.
        orientation: of the kernel as stored.
        activation: as in ``porter.read``.
    """

    kernel: Name
    bias: Name | None = None
    bias_in: Literal["first row", "last row", "first column", "last column"] | None = None
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

    @model_validator(mode="after")
    def _has_one_bias(self) -> LayerRecipe:
        if self.bias is not None and self.bias_in is not None:
            raise ValueError("bias and bias_in: the bias stands in one place only")
        return self


class ScalingRecipe(_Table):
    """The scaling steps.

    Attributes:
        rule: of both; OC-SMART's where None.
        input: full name of the dataset of ranges, or the ranges themselves: minimum and maximum of each column; or a
            table with two vectors and a rule of its own.
        output: likewise.
    """

    rule: Literal["[-1,1]", "[0,1]", "mean-std", "none"] | None = None
    input: Ranges | None = None
    output: Ranges | None = None


@dataclass(frozen=True)
class Part:
    """A kernel that has the bias in it, or that bias.

    Attributes:
        dataset: full name.
        bias_in: which row or column is the bias.
        is_bias: whether that is meant, and not the rest.
    """

    dataset: str
    bias_in: str
    is_bias: bool

    def of(self, stored: Array) -> Array:
        """The part of a matrix."""
        end, axis = self.bias_in.split()
        lines = stored if axis == "row" else stored.T
        place = 0 if end == "first" else len(lines) - 1
        part = lines[place] if self.is_bias else np.delete(lines, place, axis=0)
        return part if axis == "row" or self.is_bias else part.T

    def __str__(self) -> str:
        return f"{self.dataset} ({'' if self.is_bias else 'without the '}{self.bias_in})"


def _rule_of(end: Any, general: str | None) -> str | None:
    return end.chosen_rule if isinstance(end, EndRecipe) else general


class Recipe(_Table):
    """A whole recipe.

    Attributes:
        version: of this schema.
        name: what the network is called; the file's name where None.
        format: key of the family whose conventions hold where nothing is said.
        layers: in order of computation.
        widths: full name of the dataset that states the widths, to be checked against the kernels.
        scaling: None where there is none.
        kind: kind of network, for the physical transforms.
        physical: whether the network begins and ends in physical units.
    """

    version: Literal[1] = 1
    name: Name | None = None
    format: Literal["oc-smart"] | None = None
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
            rules = tuple(_rule_of(end, self.scaling.rule) for end in (self.scaling.input, self.scaling.output))
            declared["scaling"] = rules[0] if rules[0] == rules[1] else rules
        return ReadOptions(**declared)

    def places(self) -> Iterator[tuple[str, str, Any]]:
        """Each array: its place in the recipe, the name that it gets here, and where or what it is."""
        for number, layer in enumerate(self.layers, start=1):
            kernel, bias = f"Weights/Layer{number}", f"Bias/Layer{number}"
            if layer.bias_in is not None:
                yield f"layer {number}, kernel", kernel, Part(layer.kernel, layer.bias_in, is_bias=False)
                yield f"layer {number}, kernel", bias, Part(layer.kernel, layer.bias_in, is_bias=True)
                continue
            yield f"layer {number}, kernel", kernel, layer.kernel
            if layer.bias is not None:
                yield f"layer {number}, bias", bias, layer.bias
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
    """Read HDF5 or .npz of any layout as a recipe says.

    Raises:
        RecipeError: it names arrays that the file does not have, or that have not the shape it says.
        OptionContradictionError: an option contradicts it.
        UnreadableError: as without a recipe.
    """
    options = options.merged(recipe.options())
    stored = Stored.of(opened)
    _check_places(stored, recipe)
    arrays = {name: _array(stored, place, value) for place, name, value in recipe.places()}
    places = {name: str(value) for _, name, value in recipe.places() if isinstance(value, str | Part)}
    family = FAMILY if recipe.format is None else recipe.format
    source = WeightFile(opened.path, family, opened.sha256, arrays, _said(stored, recipe), places)
    names = [f"Layer{number}" for number in range(1, len(recipe.layers) + 1)]
    layout = Layout(
        kernels=tuple(f"Weights/{name}" for name in names),
        biases=tuple(f"Bias/{name}" if f"Bias/{name}" in arrays else None for name in names),
        widths="Layers" if "Layers" in arrays else None,
        norm_in="Norm_in" if "Norm_in" in arrays else None,
        norm_out="Norm_out" if "Norm_out" in arrays else None,
    )
    unsaid = UNSAID if recipe.format is None else oc_smart.UNSAID
    network = oc_smart.interpret(source, layout, options, order_declared=True, unsaid=unsaid)
    if recipe.name is None:
        return network
    named = source if recipe.format is not None else replace(source, format=recipe.name)
    return replace(network, name=recipe.name, source=named)


@dataclass(frozen=True)
class Stored:
    """The arrays of a file by name, of HDF5 or .npz.

    Attributes:
        opened: the file.
        names: of its arrays.
        read: one of them, exactly as stored.
        attributes: those that may be read, by full name.
    """

    opened: OpenedFile
    names: tuple[str, ...]
    read: Callable[[str], Array]
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, opened: OpenedFile) -> Stored:
        """What a file holds.

        Raises:
            UnreadableError: neither HDF5 nor .npz.
        """
        if not opened.is_npz:
            hdf5 = opened.hdf5
            said = {name: hdf5.attribute(name) for name in attribute_names(hdf5.stored_attributes)}
            unread = dict.fromkeys(hinting_names(hdf5.stored_attributes))
            return cls(opened, tuple(hdf5.datasets), hdf5.read, {**unread, **hdf5.fixed_attributes(), **said})
        try:
            arrays = read_npz(opened.path, lambda name: True)
        except NpzError as error:
            raise DamagedFileError(
                f"{opened.path} cannot be read as .npz of numbers; nothing pickled is read", found=str(error)
            ) from error
        return cls(opened, tuple(arrays), arrays.__getitem__, {})


def _said(stored: Stored, recipe: Recipe) -> dict[str, Any]:
    """The file's attributes, and what they say of the layers' activations under the names that these get here."""
    kernels = [layer.kernel.strip("/") for layer in recipe.layers]
    biases = [None if layer.bias is None else layer.bias.strip("/") for layer in recipe.layers]
    said = said_activations(stored.attributes, kernels, biases)
    own = {f"Weights/Layer{number}@activation": text for number, text in enumerate(said, start=1) if text is not None}
    return {**stored.attributes, **own}


def _check_places(stored: Stored, recipe: Recipe) -> None:
    problems = []
    for place, _, value in recipe.places():
        wanted = value.vectors if isinstance(value, EndRecipe) else (value,)
        for each in wanted:
            name = each.dataset if isinstance(each, Part) else each
            if isinstance(name, str) and name.strip("/") not in stored.names:
                problems.append(f"{place}: no dataset {name!r}")
    if problems:
        there = ", ".join(map(repr, stored.names[:24])) + (", ..." if len(stored.names) > 24 else "")
        raise RecipeError(
            f"{stored.opened.path} has not what the recipe names",
            tuple(dict.fromkeys(problems)),
            remedy=f"it has {there}",
        )


def _array(stored: Stored, place: str, value: Any) -> Array:
    if isinstance(value, str):
        return stored.read(value.strip("/"))
    if isinstance(value, Part):
        matrix = stored.read(value.dataset.strip("/"))
        if matrix.ndim != 2 or matrix.shape[value.bias_in.endswith("column")] < 2:
            raise _shape_error(
                stored, place, f"{value.dataset!r} has shape {matrix.shape}; a matrix with the bias in it"
            )
        return value.of(matrix)
    if isinstance(value, EndRecipe):
        first, second = (_vector(stored, each) for each in value.vectors)
        if first.shape != second.shape:
            raise _shape_error(stored, place, f"{first.size} and {second.size} values; as many of both")
        if value.variance is not None:
            with np.errstate(invalid="ignore"):
                second = np.sqrt(second)
        return np.stack([first, second], axis=1)
    return np.array(value, dtype=np.float64)


def _vector(stored: Stored, value: str | list[float]) -> Array:
    array = stored.read(value.strip("/")) if isinstance(value, str) else np.array(value, np.float64)
    return array.astype(array.dtype.newbyteorder("=")).reshape(-1)


def _shape_error(stored: Stored, place: str, problem: str) -> RecipeError:
    return RecipeError(f"{stored.opened.path} does not fit the recipe", (f"{place}: found {problem} is expected",))
