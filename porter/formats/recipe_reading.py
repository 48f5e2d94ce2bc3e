"""Networks read as a recipe says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, RecipeError, StoredTypeError, UnknownFormatError, UnreadableError
from porter.formats import oc_smart, recipe_graph, scalings
from porter.formats.containers.arrays import container_of
from porter.formats.containers.foreign import refuse_foreign
from porter.formats.containers.held import Held, attributes_in, text_of, texts_in
from porter.formats.containers.raw import HOW_TO_SAY_RAW, WHOLE, RawNumbers
from porter.formats.folders import OpenedFolder
from porter.formats.members import Layout
from porter.formats.npz import NpzError, read_npz
from porter.formats.opened import OpenedFile, open_file
from porter.formats.options import ReadOptions
from porter.formats.recipe import FAMILY, WEIGHTED, LayerRecipe, Recipe
from porter.formats.recipe_ends import EndRecipe
from porter.formats.recipe_places import KernelPlace, PlaceError, for_member, sliced, split_name
from porter.formats.said import said_activations
from porter.formats.scalings import HOW_TO_PROVE, physical_range
from porter.formats.text import is_text, read_lines
from porter.network import Claim, Dense, Ensemble, Extremes, Layer, Network, Scaling, Transform
from porter.network.weight_file import WeightFile
from reference.activations import Activation
from reference.composed.ensemble import WITHIN
from reference.table import MOST_ENTRIES, is_table

Array = NDArray[Any]

UNSAID = f"a guess, for neither file nor recipe says it; {HOW_TO_PROVE}"
SHOWN = 24
LINES = re.compile(r"(?:(.+)/)?lines? ([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?")
"""Of a name that means lines of a text, or of a text of a folder."""
MATLAB_73 = b"MATLAB 7.3 MAT-file"


def read_by_recipe(opened: OpenedFile, recipe: Recipe, options: ReadOptions) -> Network:
    """Read arrays of any layout as a recipe says.

    Raises:
        RecipeError: it names arrays that the file does not have, or that have not the shape it says.
        OptionContradictionError: an option contradicts it.
        UnreadableError: as without a recipe.
    """
    options = options.merged(recipe.options())
    stored = Stored.of(opened) if recipe.raw is None else Stored.of_raw(opened, recipe.raw.numbers)
    _check_places(stored, recipe)
    network = _core(stored, recipe, options)
    if not recipe.is_graph:
        network = _with_tables(stored, recipe, network)
        network = _with_ends(stored, recipe, network)
    if recipe.name is None:
        return network
    named = network.source if recipe.format is not None else replace(network.source, format=recipe.name)
    return replace(network, name=recipe.name, source=named)


def _core(stored: Stored, recipe: Recipe, options: ReadOptions) -> Network:
    """The layers and the scaling, read as OC-SMART's are, from arrays under its names."""
    if recipe.ensemble is None:
        arrays = {name: _array(stored, place, value) for place, name, value in recipe.places()}
        arrays |= _for_all_columns(stored, recipe, arrays)
    else:
        arrays = _members(stored, recipe)
    extra = {name: _numbers(stored, place, value) for place, name, value in recipe.extras()}
    places = {name: str(value) for _, name, value in recipe.places() if isinstance(value, str | KernelPlace)}
    family = FAMILY if recipe.format is None else recipe.format
    source = WeightFile(stored.opened.path, family, stored.sha256, {**arrays, **extra}, _said(stored, recipe), places)
    names = [f"Layer{number}" for number in range(1, len(recipe.layers) + 1)]
    layout = Layout(
        kernels=tuple(f"Weights/{name}" for name in names if f"Weights/{name}" in arrays),
        biases=tuple(
            f"Bias/{name}" if f"Bias/{name}" in arrays else None for name in names if f"Weights/{name}" in arrays
        ),
        widths="Layers" if "Layers" in arrays else None,
        norm_in="Norm_in" if "Norm_in" in arrays else None,
        norm_out="Norm_out" if "Norm_out" in arrays else None,
    )
    if recipe.ensemble is not None:
        rules = options.scaling if "Norm_out" in arrays or "Norm_in" in arrays else None
        options = replace(options, orientation="units-first", scaling=rules)
    unsaid = UNSAID if recipe.format is None else oc_smart.UNSAID
    network: Network
    with _users_names(places):
        if recipe.is_graph:
            network = recipe_graph.interpret(source, layout, recipe, options)
        else:
            network = oc_smart.interpret(source, layout, options, order_declared=True, unsaid=unsaid)
    if recipe.ensemble is not None:
        _check_activations(stored, network)
    return replace(network, claims=(*_as_said(recipe, network.claims), *_memory_claims(recipe)))


@contextmanager
def _users_names(places: Mapping[str, str]) -> Iterator[None]:
    """Refusals name arrays as the recipe does, and not as they are called here."""
    try:
        yield
    except UnreadableError as error:
        parts = {key: getattr(error, key) for key in ("what", "found", "expected", "remedy")}
        for name, place in places.items():
            parts |= {key: text.replace(repr(name), repr(place)) for key, text in parts.items() if text is not None}
        raise type(error)(**parts) from error


def _as_said(recipe: Recipe, claims: Iterable[Claim]) -> Iterator[Claim]:
    """The claims, but none on how ranges lie that the recipe writes out, or has in two vectors.

    No shape proves an orientation where the recipe says the shape, or where members are put side by side as it says.
    """
    said = {name for _, name, value in recipe.places() if name.startswith("Norm") and not isinstance(value, str)}
    laid = {
        f"Layer{number}": layer
        for number, layer in enumerate(recipe.layers, start=1)
        if layer.shape is not None or recipe.ensemble is not None
    }
    for claim in claims:
        if claim.convention == "orientation" and claim.layer in laid:
            value = laid[claim.layer].orientation or claim.value
            yield Claim(claim.layer, claim.convention, value, "declared", "as the recipe lays the numbers out")
        elif claim.convention != "range orientation" or claim.layer not in said:
            yield claim


def _for_all_columns(stored: Stored, recipe: Recipe, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What is scaled by, where the recipe has one number for all columns: as often as there are columns."""
    found = {}
    for place, name, value in recipe.places():
        if isinstance(value, EndRecipe) and value.is_one_for_all:
            number = 0 if name == "Norm_in" else len(recipe.layers)
            width = _columns_of(recipe, arrays, number)
            if width is None:
                number = max(number, 1)
                told = f"one number for all columns, and not how layer {number} is stored; its orientation"
                raise _problem(stored, place, told)
            found[name] = np.repeat(arrays[name], width, axis=0)
    return found


def _columns_of(recipe: Recipe, arrays: Mapping[str, Array], number: int) -> int | None:
    """Of what a layer gives, 0 for the inputs; None where a layer does not say which axis its units are."""
    if number == 0 or recipe.layers[number - 1].kernel is not None:
        return _width_at(recipe, arrays, max(number, 1), min(number, 1))
    taken = [_columns_of(recipe, arrays, place) for place in recipe.taken(number)]
    if recipe.layers[number - 1].merge != "concatenate":
        return taken[0]
    return None if None in taken else sum(columns for columns in taken if columns is not None)


def _width_at(recipe: Recipe, arrays: Mapping[str, Array], number: int, end: int) -> int | None:
    """Inputs (0) or units (1) of a layer; None where neither its orientation nor its bias says which axis they are."""
    kernel, bias = arrays.get(f"Weights/Layer{number}"), arrays.get(f"Bias/Layer{number}")
    orientation = recipe.layers[number - 1].orientation
    if kernel is None or kernel.ndim != 2:
        return None
    if orientation is not None or kernel.shape[0] == kernel.shape[1]:
        return int(kernel.shape[1 - end if orientation == "units-first" else end])
    if bias is None or bias.size not in kernel.shape:
        return None
    return bias.size if end else kernel.size // bias.size


def _memory_claims(recipe: Recipe) -> list[Claim]:
    """One for every kernel whose numbers the recipe has run otherwise than they are stored; and on raw numbers."""
    claims = [
        Claim(f"Layer{number}", "memory order", layer.order, "declared")
        for number, layer in enumerate(recipe.layers, start=1)
        if layer.order != "C"
    ]
    if recipe.raw is not None:
        value = f"{recipe.raw.dtype}, {recipe.raw.byte_order}-endian"
        claims.append(Claim("network", "stored numbers", value, "declared"))
    return claims


# --- what stands around the layers ----------------------------------------------------------------------------------


def _with_ends(stored: Stored, recipe: Recipe, network: Network) -> Network:
    """The network between its transforms, its members made one, its outputs within their bounds."""
    layers, claims = list(network.layers), list(network.claims)
    declared: dict[str, Any] = dict(network.declarations)
    ranges = network.input_range
    own = network.source.arrays.get("Members/Norm_in")
    if own is not None:
        layers.insert(0, _scaled_members(own))
        claims.append(Claim("Norm_in", "scaling", "mean-std", "declared", "each member by its own"))
        spread = np.stack([own[:, :, 0] - 3 * own[:, :, 1], own[:, :, 0] + 3 * own[:, :, 1]])
        ranges = np.stack([spread.min(axis=(0, 1)), spread.max(axis=(0, 1))], axis=1)
    inputs = layers[0].kernel.shape[0] if isinstance(layers[0], Dense) else network.widths[0]
    before = recipe.functions("input", inputs)
    if before is not None:
        transform = Transform("Transform_in", before)
        layers.insert(0, transform)
        declared["transform_in"] = list(before)
        ranges = None if ranges is None else physical_range(ranges, transform)
        claims.append(_transform_claim("Transform_in", before))
    if recipe.ensemble is not None:
        layers = _merged(stored, recipe, network, layers)
        declared |= {"ensemble": recipe.ensemble.rule, "members": len(recipe.ensemble.names)}
        value = f"{recipe.ensemble.rule} of {len(recipe.ensemble.names)} members"
        claims.append(Claim("Ensemble", "transform", value, "declared"))
    after = recipe.functions("output", _width_of(layers[-1]))
    if after is not None:
        layers.append(Transform("Transform_out", after))
        declared["transform_out"] = list(after)
        claims.append(_transform_claim("Transform_out", after))
    for end, name in (("input_", "Extremes_in"), ("", "Extremes")):
        if f"Bounds/{end}least" in network.source.arrays:
            width = inputs if end else _width_of(layers[-1])
            layers.insert(0 if end else len(layers), _bounds(stored, network, end, name, width))
            claims.append(Claim(name, "transform", "held to bounds", "declared"))
    return replace(network, layers=tuple(layers), claims=tuple(claims), declarations=declared, input_range=ranges)


def _transform_claim(name: str, functions: Sequence[str]) -> Claim:
    spelt = ", ".join(f"{function} of {functions.count(function)}" for function in dict.fromkeys(functions))
    return Claim(name, "transform", spelt, "declared")


def _width_of(layer: Layer) -> int:
    if isinstance(layer, Dense):
        return int(layer.kernel.shape[1])
    if isinstance(layer, Ensemble):
        return 1
    return len(layer.scale) if isinstance(layer, Scaling) else len(getattr(layer, "functions", ()))


def _bounds(stored: Stored, network: Network, end: str, name: str, width: int) -> Extremes:
    arrays = network.source.arrays
    tolerance = arrays.get(f"Bounds/{end}tolerance", np.full(1, np.inf))
    found = [arrays[f"Bounds/{end}least"], arrays[f"Bounds/{end}greatest"], np.abs(tolerance)]
    place = "bounds, input" if end else "bounds"
    if any(array.size not in (1, width) for array in found):
        raise _problem(stored, place, f"{', '.join(str(array.size) for array in found)} values; {width} of each")
    least, greatest, tolerance = (np.broadcast_to(array, (width,)).astype(np.float64) for array in found)
    if np.any(least >= greatest):
        raise _problem(stored, place, "a least value that is not below the greatest; one that is")
    return Extremes(name, least, greatest, tolerance)


# --- tables ---------------------------------------------------------------------------------------------------------


def _with_tables(stored: Stored, recipe: Recipe, network: Network) -> Network:
    """The network with tables in the place of the activations that the recipe has them for."""
    tables = {f"Layer{number}": layer.table for number, layer in enumerate(recipe.layers, start=1) if layer.table}
    if not tables:
        return network
    found: dict[str, Activation] = {}
    for name, table in tables.items():
        values = tuple(float(value) for value in np.atleast_1d(network.source.arrays[f"Tables/{name}"]))
        if not is_table(table.first, table.last, values):
            told = f"{len(values):,} values; 2 to {MOST_ENTRIES:,} finite ones"
            raise _problem(stored, f"layer {name.removeprefix('Layer')}, table, values", told)
        found[name] = Activation("table", {**table.place, "values": values})
    layers = tuple(
        replace(layer, activation=found[layer.name]) if isinstance(layer, Dense) and layer.name in found else layer
        for layer in network.layers
    )
    kept = [claim for claim in network.claims if claim.convention != "activation" or claim.layer not in found]
    own = [Claim(name, "activation", str(activation), "declared") for name, activation in found.items()]
    declared = {**network.declarations, "tables": {name: table.place for name, table in tables.items()}}
    return replace(network, layers=layers, claims=(*kept, *own), declarations=declared)


# --- ensembles ------------------------------------------------------------------------------------------------------


def _members(stored: Stored, recipe: Recipe) -> dict[str, Array]:
    """The members side by side: the first kernels on the same inputs, all further ones along a diagonal."""
    assert recipe.ensemble is not None
    names = recipe.ensemble.names
    arrays: dict[str, Array] = {}
    for number, layer in enumerate(recipe.layers, start=1):
        parts = [_member_layer(stored, number, layer, name) for name in names]
        kernels = [kernel for kernel, _ in parts]
        arrays[f"Weights/Layer{number}"] = np.concatenate(kernels) if number == 1 else _diagonal(kernels)
        biases = [bias for _, bias in parts if bias is not None]
        if biases:
            arrays[f"Bias/Layer{number}"] = np.concatenate(biases)
    arrays |= _member_ends(stored, recipe, names)
    if "Members/Norm_in" in arrays:
        first = [_member_layer(stored, 1, recipe.layers[0], name)[0] for name in names]
        arrays["Weights/Layer1"] = _diagonal(first)
    outputs = {_member_layer(stored, len(recipe.layers), recipe.layers[-1], name)[0].shape[0] for name in names}
    if len(outputs) > 1:
        told = f"members with {', '.join(map(str, sorted(outputs)))} outputs; as many of each"
        raise _problem(stored, "ensemble", told)
    if outputs != {1} and recipe.ensemble.rule == WITHIN:
        told = f"members with {max(outputs)} outputs and the rule {WITHIN!r}; one output each, or a mean of all members"
        raise _problem(stored, "ensemble", told)
    return arrays


def _member_layer(stored: Stored, number: int, layer: LayerRecipe, member: str) -> tuple[Array, Array | None]:
    """(units, inputs) and (units,) of one layer of one member."""
    own = layer.model_copy(
        update={
            "kernel": for_member(layer.kernel or "", member),
            "bias": None if layer.bias is None else for_member(layer.bias, member),
        }
    )
    kernel = np.atleast_2d(_array(stored, f"layer {number}, kernel", own.place()))
    kernel = kernel.T if layer.orientation == "inputs-first" else kernel
    if own.bias_in is not None:
        return kernel, _array(stored, f"layer {number}, kernel", own.place(is_bias=True)).reshape(-1)
    bias = None if own.bias is None else _array(stored, f"layer {number}, bias", own.bias).reshape(-1)
    if kernel.ndim != 2 or (bias is not None and bias.size != len(kernel)):
        raise _problem(
            stored,
            f"layer {number}, member {member}",
            f"a kernel of {kernel.shape} and {0 if bias is None else bias.size} biases; a bias a unit",
        )
    return kernel, bias


def _check_activations(stored: Stored, network: Network) -> None:
    """Refuse what goes over all units of a layer, which here are those of all members."""
    over = [layer for layer in network.dense_layers if layer.activation.name == "softmax"]
    if over:
        place = f"layer {over[0].name.removeprefix('Layer')}, activation"
        raise _problem(stored, place, "softmax, which is not read of members; a function of single units")


def _diagonal(kernels: Sequence[Array]) -> Array:
    whole = np.zeros(np.sum([kernel.shape for kernel in kernels], axis=0), np.result_type(*kernels))
    row = column = 0
    for kernel in kernels:
        units, inputs = kernel.shape
        whole[row : row + units, column : column + inputs] = kernel
        row, column = row + units, column + inputs
    return whole


def _member_ends(stored: Stored, recipe: Recipe, names: Sequence[str]) -> dict[str, Array]:
    """(n, 2) for both ends; (members, n, 2) for the inputs where the members scale them each by its own."""
    found: dict[str, Array] = {}
    for place, name, value in recipe.places():
        if not name.startswith("Norm"):
            continue
        own = [_array(stored, place, _end_of_member(value, member)) for member in names]
        if isinstance(value, EndRecipe) and value.is_one_for_all and name == "Norm_in":
            own = [np.repeat(each, _member_layer(stored, 1, recipe.layers[0], names[0])[0].shape[1], 0) for each in own]
        if name == "Norm_out":
            outputs = _member_layer(stored, len(recipe.layers), recipe.layers[-1], names[0])[0].shape[0]
            own = [each.reshape(-1, 2) for each in own]
            found[name] = np.concatenate([np.repeat(each, outputs, 0) if len(each) == 1 else each for each in own])
        elif all(np.array_equal(each, own[0]) for each in own):
            found[name] = own[0]
        elif isinstance(value, EndRecipe) and value.chosen_rule == "mean-std":
            found["Members/Norm_in"] = np.stack(own)
        else:
            raise _problem(stored, place, "another range for each member; a table with mean, std or gain")
    return found


def _end_of_member(value: Any, member: str) -> Any:
    if isinstance(value, str):
        return for_member(value, member)
    if not isinstance(value, EndRecipe):
        return value
    named = {key: for_member(part, member) for key in value.given if isinstance(part := getattr(value, key), str)}
    return value.model_copy(update=named)


def _scaled_members(own: Array) -> Dense:
    """The inputs scaled once for each member, side by side."""
    members, width, _ = own.shape
    kernel = np.zeros((width, members * width))
    for place, part in enumerate(own):
        kernel[:, place * width : (place + 1) * width] = np.diag(1 / part[:, 1])
    return Dense("Norm_in", kernel, (-own[:, :, 0] / own[:, :, 1]).reshape(-1), Activation("linear"))


def _merged(stored: Stored, recipe: Recipe, network: Network, layers: list[Layer]) -> list[Layer]:
    """The layers with the members' outputs made one in the end.

    A mean of several outputs, and a weighted one, is a dense layer: it goes before the scaling of the outputs, which is
    alike for all members.
    """
    assert recipe.ensemble is not None
    members = len(recipe.ensemble.names)
    outputs = network.widths[-1] // members
    if recipe.ensemble.rule != WEIGHTED and outputs == 1:
        return [*layers, Ensemble("Ensemble", members, recipe.ensemble.rule)]
    weights = network.source.arrays.get("Ensemble/weights", np.ones(members)).astype(np.float64)
    if weights.size != members:
        raise _problem(stored, "ensemble, weights", f"{weights.size} for {members} members; one each")
    if not np.isfinite(weights).all() or not np.sum(weights):
        raise _problem(stored, "ensemble, weights", f"a sum of {np.sum(weights):g}; finite weights, whose sum is not 0")
    share = np.kron((weights / np.sum(weights))[:, None], np.eye(outputs))
    merging = Dense("Ensemble", share, None, Activation("linear"))
    last = layers[-1]
    if not isinstance(last, Scaling):
        return [*layers, merging]
    ranges = last.stored.reshape(members, outputs, 2)
    if not np.all(ranges == ranges[0]):
        told = f"another range for each member, and {recipe.ensemble.rule} of {outputs} outputs; one for all members"
        raise _problem(stored, "scaling, output", told)
    return [*layers[:-1], merging, scalings.build_scaling(str(stored.opened.path), last.name, ranges[0], last.rule)]


# --- the arrays of a file -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """The arrays of a file or folder by name, whatever holds them.

    Attributes:
        opened: the file.
        names: of its arrays.
        read: one of them, exactly as stored.
        attributes: those that may be read, by full name.
        files: of a folder, names of arrays by those of their files.
    """

    opened: OpenedFile
    names: tuple[str, ...]
    read: Callable[[str], Array]
    attributes: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, opened: OpenedFile) -> Stored:
        """What a file holds.

        Raises:
            UnreadableError: no container that is read.
        """
        if isinstance(opened, OpenedFolder) and opened.names:
            from porter.formats.containers.texts import key_of, read_members, texts_beside

            members = read_members(opened, by_file=True)
            texts = texts_beside(opened)
            files = {name: key_of(name) for name in opened.names if key_of(name) in members}
            return cls(opened, tuple(members), lambda name: _readable(members[name]), Held({}, texts).said, files)
        container = container_of(opened)
        if container is not None:
            held = container[1](opened)
            return cls(opened, tuple(held), held.__getitem__, held.said)
        if not opened.is_npz:
            refuse_foreign(opened)
            if not opened.is_hdf5 and not is_text(opened):
                raise UnknownFormatError(
                    f"{opened.path} is no container of arrays that is known",
                    found=f"it begins with {opened.head[:16]!r}",
                    remedy=HOW_TO_SAY_RAW,
                )
            hdf5 = opened.hdf5
            reversed_axes = opened.head.startswith(MATLAB_73)  # MATLAB writes the last axis first
            read = (lambda name: hdf5.read(name).T) if reversed_axes else hdf5.read
            return cls(opened, tuple(hdf5.datasets), read, attributes_in(hdf5, texts_in(hdf5)))
        try:
            arrays = read_npz(opened.path, kinds="fiubUS")
        except NpzError as error:
            raise DamagedFileError(
                f"{opened.path} cannot be read as .npz of numbers; nothing pickled is read", found=str(error)
            ) from error
        texts = {name: text_of(array) for name, array in arrays.items() if array.dtype.kind in "US"}
        return cls(opened, tuple(arrays), arrays.__getitem__, Held({}, texts).said)

    @classmethod
    def of_raw(cls, opened: OpenedFile, raw: RawNumbers) -> Stored:
        """The numbers of a file; or those of a folder's files, each under the file's name.

        Raises:
            UnreadableError: a file of another kind, or bytes that are no such numbers.
        """
        if not isinstance(opened, OpenedFolder):
            _check_raw(opened)
            held = raw.read(opened)
            return cls(opened, tuple(held), held.__getitem__, {})
        folder, members = opened, dict[str, Array | UnreadableError]()
        digests: dict[str, str] = {}
        for file in opened.names:
            try:
                one = open_file(opened.path / file)
                _check_raw(one)
                members |= {file if part == WHOLE else f"{file}/{part}": array for part, array in raw.read(one).items()}
                digests[file] = one.sha256
            except UnreadableError as error:  # it may be none of those that the recipe names
                members[file] = error

        def read(name: str) -> Array:
            array, file = _readable(members[name]), name.partition("/")[0]
            folder.taken[file] = digests[file]
            return array

        return cls(opened, tuple(members), read, {})

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the file's bytes, or of those of a folder's files that hold arrays."""
        return self.opened.digest() if isinstance(self.opened, OpenedFolder) else self.opened.sha256

    def located(self, name: str) -> tuple[str, str | None]:
        """The array that a name means, and the slice behind it or None; of a folder also by the name of its file."""
        plain, text = split_name(name, (*self.names, *self.files))
        return self.files.get(plain, plain) if plain not in self.names else plain, text

    def numbers(self, name: str) -> Array | None:
        """One of them, None where it holds no numbers that can be read."""
        try:
            return self.read(name)
        except UnreadableError:
            return None

    @staticmethod
    def knows(opened: OpenedFile) -> bool:
        """Whether it is a container of arrays."""
        text = "numbers in text"
        container = None if opened.is_hdf5 or opened.is_npz else container_of(opened)
        return opened.is_hdf5 or opened.is_npz or (container is not None and container[0] != text)

    def part(self, name: str) -> Array:
        """An array, or the slice of it that its name asks for.

        Raises:
            PlaceError: it has no such slice.
        """
        plain, text = self.located(name)
        return sliced(plain, self.read(plain) if plain in self.names else self._lines(plain), text)

    def has(self, name: str) -> bool:
        """Whether there is an array that a name means, or there may be: lines of a text."""
        plain, _ = self.located(name)
        return plain in self.names or self._text_of(plain) is not None

    def _text_of(self, name: str) -> tuple[str, int, int] | None:
        """The file of a folder (or "") of which a name means lines, the first and the last; None for other names."""
        match = LINES.fullmatch(name)
        if match is None:
            return None
        file, first, last = match[1] or "", int(match[2]), int(match[3] or match[2])
        if isinstance(self.opened, OpenedFolder):
            return (file, first, last) if file in self.opened.names else None
        return None if file or self.opened.is_npz or not is_text(self.opened) else (file, first, last)

    def _lines(self, name: str) -> Array:
        from porter.formats.containers.texts import read_rows

        file, first, last = self._text_of(name) or ("", 0, 0)
        opened = open_file(self.opened.path / file) if file else self.opened
        if isinstance(self.opened, OpenedFolder):
            self.opened.taken[file] = opened.sha256
        return read_rows(str(opened.path), read_lines(opened), first, last)


def _check_raw(opened: OpenedFile) -> None:
    """Refuse what is more than numbers: HDF5, archives, text."""
    container = container_of(opened)
    kind = "HDF5" if opened.is_hdf5 else "an archive" if opened.is_npz else "" if container is None else container[0]
    if kind and kind != "MATLAB's, version 4":  # which has no signature, and may be anything
        raise StoredTypeError(
            f"{opened.path} is more than numbers in binary",
            found=f"{kind}, which says itself how its numbers are stored",
            expected="nothing but numbers, where a recipe has [raw]",
            remedy="leave [raw] out of the recipe",
        )


def _readable(member: Array | UnreadableError) -> Array:
    if isinstance(member, UnreadableError):
        raise member
    return member


def _said(stored: Stored, recipe: Recipe) -> dict[str, Any]:
    """The file's attributes, and what they say of the layers' activations under the names that these get here."""
    dense = [(number, layer) for number, layer in enumerate(recipe.layers, start=1) if layer.kernel is not None]
    kernels = [stored.located(str(layer.kernel))[0] for _, layer in dense]
    biases = [None if layer.bias is None else stored.located(layer.bias)[0] for _, layer in dense]
    said = said_activations(stored.attributes, kernels, biases)
    numbers = (number for number, _ in dense)
    own = {
        f"Weights/Layer{number}@activation": text
        for number, text in zip(numbers, said, strict=True)
        if text is not None
    }
    return {**stored.attributes, **own}


def _check_places(stored: Stored, recipe: Recipe) -> None:
    members = ("",) if recipe.ensemble is None else recipe.ensemble.names
    problems = []
    for place, _, value in (*recipe.places(), *recipe.extras()):
        wanted = value.vectors if isinstance(value, EndRecipe) else (value,)
        for each in wanted:
            name = each.dataset if isinstance(each, KernelPlace) else each
            for spelt in (for_member(name, member) for member in members) if isinstance(name, str) else ():
                if not stored.has(spelt):
                    problems.append(f"{place}: no dataset {spelt!r}")
    if problems:
        there = ", ".join(map(repr, stored.names[:SHOWN])) + (", ..." if len(stored.names) > SHOWN else "")
        raise RecipeError(
            f"{stored.opened.path} has not what the recipe names",
            tuple(dict.fromkeys(problems)),
            remedy=f"it has {there}",
        )


def _array(stored: Stored, place: str, value: Any) -> Array:
    try:
        if isinstance(value, str):
            return stored.part(value)
        if isinstance(value, KernelPlace):
            return value.of(stored.part(value.dataset))
        if isinstance(value, EndRecipe):
            found = value.pairs(lambda each: _vector(stored, place, each))
            value.check(lambda each: _vector(stored, place, each))
            return found
    except (PlaceError, ValueError) as error:
        raise _problem(stored, place, str(error)) from error
    return np.array(value, dtype=np.float64)


def _vector(stored: Stored, place: str, value: str | float | list[float]) -> Array:
    try:
        array = stored.part(value) if isinstance(value, str) else np.array(value, np.float64)
    except PlaceError as error:
        raise _problem(stored, place, str(error)) from error
    native = array.astype(array.dtype.newbyteorder("="))
    return native if native.ndim == 0 else native.reshape(-1)


def _numbers(stored: Stored, place: str, value: str | float | list[float]) -> Array:
    """The same, of numbers, which may be infinite."""
    array = _vector(stored, place, value)
    if array.dtype.kind not in "fiu":
        raise _problem(stored, place, f"{array.dtype}; numbers")
    wrong = np.flatnonzero(np.isnan(array))
    if wrong.size:
        raise _problem(stored, place, f"NaN in column {wrong[0]}; a number")
    return array


def _problem(stored: Stored, place: str, problem: str) -> RecipeError:
    return RecipeError(f"{stored.opened.path} does not fit the recipe", (f"{place}: found {problem} is expected",))
