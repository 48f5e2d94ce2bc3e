"""The user's recipe: a TOML file that says where the arrays lie and how they are to be read.

Everything but the kernels may be left out; what is left out is made out as it is without a recipe. ``porter recipe
--explain`` shows the whole schema, and ``porter.formats.recipe_reading`` follows it.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from porter.errors import RecipeError
from porter.formats.containers.raw import RawNumbers
from porter.formats.opened import open_file
from porter.formats.options import ReadOptions
from porter.formats.recipe_activations import ActivationText, TableRecipe
from porter.formats.recipe_ends import EndRecipe, Finite, Name, Vector
from porter.formats.recipe_places import MEMBER, KernelPlace
from porter.formats.scalings import KINDS
from porter.network.activations import parse_activation
from reference.activations import BY_COEFFICIENTS
from reference.operations.transforms import FUNCTIONS

VERSION = 1
FAMILY = "recipe"
WEIGHTED = "weighted mean"
Pair = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2, max_length=2)]
Values = Annotated[list[Pair], Field(min_length=1)]
INPUTS = "inputs"
MERGES = ("concatenate", "add", "multiply")
_TAKEN = re.compile(r"layer ([1-9]\d{0,5})")
BRANCHES = ("name of a dataset", "values", "two vectors")


def _branch(value: object) -> str:
    if isinstance(value, dict | EndRecipe):
        return BRANCHES[2]
    return BRANCHES[0] if isinstance(value, str) else BRANCHES[1]


class _Table(BaseModel):
    """A TOML table: no value is converted, and no unknown key is let through."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Ranges = Annotated[
    Annotated[Name, Tag(BRANCHES[0])] | Annotated[Values, Tag(BRANCHES[1])] | Annotated[EndRecipe, Tag(BRANCHES[2])],
    Discriminator(_branch),
]


class LayerRecipe(_Table):
    """One dense layer; or, without a kernel, what it takes, joined.

    Attributes:
        kernel: full name of its dataset; None where it is what it takes, merged.
        bias: full name of its dataset; None where there is no bias, or where it stands in the kernel.
        bias_in: which row or column of the kernel as stored is the bias.
        orientation: of the kernel as stored.
        order: along which axis the stored numbers run fastest: "C", or "Fortran" where what is labelled rows by
            columns was written column by column.
        shape: of the kernel where its numbers are stored flat, the first axis first.
        activation: as in ``porter.read``; or a table with the coefficients of a rational function.
        table: entries in the place of an activation.
        takes: what it is computed from, in order: "inputs" (scaled, where there is scaling) or layers before it, "layer
            1"; the layer just before it, or the inputs, where None.
        merge: how several of these are made one.
        gain: what goes into the activation is multiplied by it; 1 where None.
        temperature: what goes into the activation is divided by it, as a softmax's is; 1 where None.
    """

    kernel: Name | None = None
    bias: Name | None = None
    bias_in: Literal["first row", "last row", "first column", "last column"] | None = None
    orientation: Literal["units-first", "inputs-first"] | None = None
    order: Literal["C", "Fortran"] = "C"
    shape: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    activation: ActivationText | None = None
    table: TableRecipe | None = None
    takes: Annotated[list[Name], Field(min_length=1)] | None = None
    merge: Literal["concatenate", "add", "multiply"] | None = None
    gain: Finite | None = None
    temperature: Annotated[Finite, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_one_bias(self) -> LayerRecipe:
        if self.bias is not None and self.bias_in is not None:
            raise ValueError("bias and bias_in: the bias stands in one place only")
        return self

    @model_validator(mode="after")
    def _has_one_activation(self) -> LayerRecipe:
        if self.table is not None and self.activation is not None:
            raise ValueError("activation and table: one of them")
        return self

    @model_validator(mode="after")
    def _has_a_purpose(self) -> LayerRecipe:
        if (self.merge is None) == (len(self.takes or ()) > 1):
            raise ValueError("several that it takes need a merge: " + ", ".join(MERGES) + "; one or none has none")
        if self.kernel is None and self.merge is None:
            raise ValueError("a kernel is needed, unless several that it takes are merged")
        own = [key for key in ("bias", "bias_in", "orientation", "shape") if getattr(self, key) is not None]
        if self.kernel is None and (own or self.order != "C"):
            raise ValueError(f"{', '.join(own) or 'order'} without a kernel")
        if self.gain == 0 or (self.gain is not None and self.temperature is not None):
            raise ValueError("gain and temperature: one of them, and no gain of 0")
        if self.factor is not None and parse_activation(self.activation or "linear").name == "linear":
            raise ValueError("a gain or temperature goes before an activation, which has to be said and not be linear")
        return self

    @property
    def factor(self) -> tuple[float, bool] | None:
        """What the argument of the activation is multiplied by, or divided where the flag is set; None for nothing."""
        if self.gain is not None:
            return self.gain, False
        return None if self.temperature is None else (self.temperature, True)

    @property
    def activates_apart(self) -> bool:
        """Whether, among layers that say what they take, the activation is a step of its own."""
        return self.factor is not None or parse_activation(self.activation or "linear").name in BY_COEFFICIENTS

    def place(self, *, is_bias: bool = False) -> str | KernelPlace:
        """Where its kernel lies, or the bias in it: a name, where that is all."""
        assert self.kernel is not None
        if self.bias_in is None and self.order == "C" and self.shape is None:
            return self.kernel
        shape = None if self.shape is None else (self.shape[0], self.shape[1])
        return KernelPlace(self.kernel, self.bias_in, is_bias, self.order, shape)


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

    @model_validator(mode="after")
    def _has_one_rule_an_end(self) -> ScalingRecipe:
        tables = [key for key in ("input", "output") if isinstance(getattr(self, key), EndRecipe)]
        if self.rule is not None and tables and any(getattr(self, key).rule is None for key in tables):
            raise ValueError(
                f"rule is that of pairs, and is not read beside the two vectors of {' and '.join(tables)}: "
                "say it in their table"
            )
        return self


POWERS = {1 / 8: "root8", 1 / 4: "root4", 1 / 2: "sqrt", 1.0: "identity", 2.0: "square", 4.0: "pow4", 8.0: "pow8"}
"""Functions that are powers, by their exponents."""
_POWER = re.compile(r"(power|root) ([0-9.]+)")


def _checked_functions(value: str | list[str] | None) -> str | list[str] | None:
    """The functions by their own names, where powers are spelt ``power 0.25`` or ``root 4``."""
    if value is None or isinstance(value, str):
        return None if value is None else _function(value)
    return [_function(name) for name in value]


def _function(name: str) -> str:
    match = _POWER.fullmatch(name)
    if match is not None:
        try:
            exponent = float(match[2]) if match[1] == "power" else 1 / float(match[2])
        except (ValueError, ZeroDivisionError):
            exponent = 0.0
        if exponent not in POWERS:
            raise ValueError(f"{name!r} is not read; powers that are read are {', '.join(map(repr, POWERS))}")
        return POWERS[exponent]
    if name not in FUNCTIONS:
        raise ValueError(f"{name!r} is not known; known are {', '.join(FUNCTIONS)}, power P, root N")
    return name


class TransformsRecipe(_Table):
    """Functions of single columns outside the scaling; powers also as ``power 0.25`` or ``root 4``.

    Attributes:
        input: one function for all inputs, or a list of one each; before the scaling.
        output: likewise for the outputs; behind the scaling.
    """

    input: str | list[str] | None = None
    output: str | list[str] | None = None

    _known = field_validator("input", "output")(_checked_functions)


class ClampRecipe(_Table):
    """What the inputs are held to before anything else.

    Attributes:
        least: full name of a dataset, or the values themselves; what lies below becomes this.
        greatest: likewise, above.
    """

    least: Vector
    greatest: Vector


class BoundsRecipe(_Table):
    """What the outputs are held to in the end, and the inputs in the beginning.

    Attributes:
        least: full name of a dataset, or the values themselves.
        greatest: likewise.
        tolerance: how far outside an output is forgiven and becomes the bound, beyond which it is flagged as NaN; where
            None, all become the bound.
        input: what the inputs are held to, in the units in which they are given; None where they are not.
    """

    least: Vector | None = None
    greatest: Vector | None = None
    tolerance: Vector | None = None
    input: ClampRecipe | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> BoundsRecipe:
        given = [key for key in ("least", "greatest", "tolerance") if getattr(self, key) is not None]
        if given[:2] != ["least", "greatest"] and (given or self.input is None):
            raise ValueError("least and greatest of the outputs are needed, or a table input with those of the inputs")
        return self


class EnsembleRecipe(_Table):
    """Several networks of one kind, whose outputs are made one.

    Attributes:
        members: how many, counted from 1, or what stands for ``{i}`` in the names, one each.
        rule: the plain mean where None; "mean within one deviation" takes those strictly within one sample standard
            deviation of the mean.
        weights: of a weighted mean: full name of a dataset, or the values themselves, one a member.
    """

    members: Annotated[int, Field(gt=1)] | Annotated[list[str], Field(min_length=2)]
    rule: Literal["mean", "mean within one deviation", "weighted mean"] = "mean"
    weights: Vector | None = None

    @model_validator(mode="after")
    def _has_weights(self) -> EnsembleRecipe:
        if (self.weights is None) == (self.rule == WEIGHTED):
            raise ValueError(f"weights are what the rule {WEIGHTED!r} needs, and no other takes")
        twice = [name for number, name in enumerate(self.names) if name in self.names[:number]]
        if twice:
            raise ValueError(f"the member {twice[0]!r} twice")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What stands for the member in the names."""
        if isinstance(self.members, int):
            return tuple(str(number) for number in range(1, self.members + 1))
        return tuple(self.members)


class RawRecipe(_Table):
    """How numbers are stored in files of nothing else, in binary.

    Attributes:
        dtype: of each number.
        byte_order: of each number, and of the markers of records.
        skip: bytes before the first, of each file.
        records: whether they are Fortran's unformatted records, each of which is an array: ``record 1``.
    """

    dtype: Literal["float16", "float32", "float64", "int16", "int32", "int64"]
    byte_order: Literal["little", "big"] = "little"
    skip: Annotated[int, Field(ge=0)] = 0
    records: bool = False

    @property
    def numbers(self) -> RawNumbers:
        """The same for the reader."""
        return RawNumbers(np.dtype(self.dtype).newbyteorder(self.byte_order), self.skip, self.records)


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
        transforms: None where there are none.
        bounds: None where there are none.
        ensemble: None where it is one network.
        kind: kind of network, for the physical transforms.
        physical: whether the network begins and ends in physical units.
        raw: of a file, or a folder of files, of nothing but numbers in binary; None for all other files.
    """

    version: Literal[1] = 1
    name: Name | None = None
    format: Literal["oc-smart"] | None = None
    layers: Annotated[list[LayerRecipe], Field(min_length=1)]
    widths: Name | None = None
    scaling: ScalingRecipe | None = None
    transforms: TransformsRecipe | None = None
    bounds: BoundsRecipe | None = None
    ensemble: EnsembleRecipe | None = None
    kind: str | None = None
    physical: bool = False
    raw: RawRecipe | None = None

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str | None) -> str | None:
        if kind is not None and kind.lower() not in map(str.lower, KINDS):
            raise ValueError(f"{kind!r} is not known; known are {', '.join(KINDS)}")
        return kind

    @property
    def is_graph(self) -> bool:
        """Whether any layer says what it takes, or what its activation's argument is multiplied by."""
        return any(layer.takes is not None or layer.factor is not None for layer in self.layers)

    def taken(self, number: int) -> tuple[int, ...]:
        """Numbers of the layers that one takes, 0 for the inputs; counted from 1.

        Raises:
            ValueError: a name of neither, or a layer that does not come before it.
        """
        takes = self.layers[number - 1].takes
        if takes is not None and len(set(takes)) < len(takes):
            raise ValueError(f"layer {number}, takes: one of them twice")
        if takes is None:
            return (number - 1,)
        found = []
        for name in takes:
            match = _TAKEN.fullmatch(name)
            place = 0 if name == INPUTS else None if match is None else int(match[1])
            if place is None or place >= number:
                known = ", ".join(f"layer {before}" for before in range(1, number))
                raise ValueError(
                    f"layer {number}, takes: {name!r} is none of {INPUTS}{', ' if known else ''}{known}: "
                    "what is computed before it"
                )
            found.append(place)
        return tuple(found)

    def options(self) -> ReadOptions:
        """What it declares, in the form of ``porter.read``'s options."""
        declared: dict[str, Any] = {"kind": self.kind, "physical": self.physical}
        for key in ("activation", "orientation"):
            given = tuple(getattr(layer, key) for layer in self.layers)
            if key == "activation":  # a table takes the place of none
                given = tuple("linear" if layer.table else own for layer, own in zip(self.layers, given, strict=True))
            if any(value is not None for value in given):
                declared[key] = given
        if self.scaling is not None:
            rules = tuple(_rule_of(end, self.scaling.rule) for end in (self.scaling.input, self.scaling.output))
            declared["scaling"] = rules[0] if rules[0] == rules[1] else rules
        return ReadOptions(**declared)

    @model_validator(mode="after")
    def _is_a_graph(self) -> Recipe:
        if not self.is_graph:
            return self
        used = {place for number in range(1, len(self.layers) + 1) for place in self.taken(number)}
        idle = [number for number in range(1, len(self.layers)) if number not in used]
        if idle:
            raise ValueError(f"layer {idle[0]} leads nowhere: no layer takes it, and the last one is the output")
        if self.layers[0].kernel is None:
            raise ValueError("layer 1 needs a kernel: nothing but the inputs comes before it")
        for number, layer in enumerate(self.layers, start=1):
            if layer.table is not None:
                raise ValueError(f"layer {number}: a table is not read beside takes, gain or temperature")
            unsaid = [key for key in ("orientation", "activation") if getattr(layer, key) is None]
            if layer.kernel is not None and unsaid:
                raise ValueError(f"layer {number}: its {unsaid[0]} has to be said beside takes, gain or temperature")
        others = ("format", "kind", "widths", "transforms", "bounds", "ensemble")
        beside = [key for key in others if getattr(self, key) is not None] + ["physical"] * self.physical
        if beside:
            raise ValueError(f"{beside[0]} is not read beside layers with takes, gain or temperature")
        return self

    @model_validator(mode="after")
    def _has_tables_of_its_own(self) -> Recipe:
        with_tables = [number for number, layer in enumerate(self.layers, start=1) if layer.table is not None]
        if with_tables and self.format is not None:
            raise ValueError(f"layer {with_tables[0]}: a table is not read beside format, whose networks have none")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.ensemble is None:
            return self
        if any(layer.orientation is None for layer in self.layers):
            raise ValueError("an ensemble needs the orientation of every layer")
        if not any(MEMBER in (layer.kernel or "") for layer in self.layers):
            raise ValueError(f"an ensemble needs names with {MEMBER} in them, where the member stands")
        own = [place for place, _, value in self.extras() if isinstance(value, str) and MEMBER in value]
        if own:
            raise ValueError(f"{own[0]}: {MEMBER} in it, and it is one for all members")
        if self.format is not None or self.physical or self.widths is not None:
            raise ValueError("an ensemble has no format, widths or physical units of a family")
        return self

    def places(self) -> Iterator[tuple[str, str, Any]]:
        """Each array: its place in the recipe, the name that it gets here, and where or what it is."""
        for number, layer in enumerate(self.layers, start=1):
            kernel, bias = f"Weights/Layer{number}", f"Bias/Layer{number}"
            if layer.kernel is None:
                continue
            yield f"layer {number}, kernel", kernel, layer.place()
            if layer.bias_in is not None:
                yield f"layer {number}, kernel", bias, layer.place(is_bias=True)
            elif layer.bias is not None:
                yield f"layer {number}, bias", bias, layer.bias
        if self.widths is not None:
            yield "widths", "Layers", self.widths
        scaling = ScalingRecipe() if self.scaling is None else self.scaling
        for key, name, value in (("input", "Norm_in", scaling.input), ("output", "Norm_out", scaling.output)):
            if value is not None:
                yield f"scaling, {key}", name, value

    def extras(self) -> Iterator[tuple[str, str, Vector]]:
        """Each vector of what stands outside layers and scaling: its place, the name that it gets, and where it is."""
        for number, layer in enumerate(self.layers, start=1):
            if layer.table is not None:
                yield f"layer {number}, table, values", f"Tables/Layer{number}", layer.table.values
        for key in ("least", "greatest", "tolerance"):
            value = None if self.bounds is None else getattr(self.bounds, key)
            if value is not None:
                yield f"bounds, {key}", f"Bounds/{key}", value
        for key in ("least", "greatest"):
            if self.bounds is not None and self.bounds.input is not None:
                yield f"bounds, input, {key}", f"Bounds/input_{key}", getattr(self.bounds.input, key)
        if self.ensemble is not None and self.ensemble.weights is not None:
            yield "ensemble, weights", "Ensemble/weights", self.ensemble.weights

    def functions(self, end: Literal["input", "output"], width: int) -> tuple[str, ...] | None:
        """The functions of one end, one a column; None where there are none.

        Raises:
            RecipeError: a list of another length.
        """
        given: str | Sequence[str] | None = None if self.transforms is None else getattr(self.transforms, end)
        if given is None:
            return None
        found = (given,) * width if isinstance(given, str) else tuple(given)
        if len(found) != width:
            problem = f"transforms, {end}: {len(found)} functions; the network has {width} {end}s"
            raise RecipeError("the recipe does not fit the network", (problem,))
        return found


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
        is_skeleton = any(entry["loc"] == ("layers",) and entry["type"] == "missing" for entry in error.errors())
        remedy = _UNCOMMENT if is_skeleton and b"# [[layers]]" in raw else _HOW_TO_BEGIN
        raise RecipeError(f"{path} is not a recipe: {count}", problems, remedy=remedy) from error


_UNCOMMENT = "its layers are comments: complete them and take the '# ' away in front of [[layers]] and what follows it"
_HOW_TO_BEGIN = "let porter write one to begin with: porter inspect FILE --write-recipe net.toml"


_MESSAGES = {
    "extra_forbidden": "no such key; porter recipe --explain shows all",
    "missing": "missing, and needed",
}


def _problem(entry: Any) -> str:
    message = _MESSAGES.get(entry["type"], str(entry["msg"]).removeprefix("Value error, "))
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
