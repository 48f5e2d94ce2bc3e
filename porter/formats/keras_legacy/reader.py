"""Legacy Keras files to networks: whole models, architectures with weights beside them, and what they leave open."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import NonFiniteError, UsageError
from porter.formats.keras_legacy.decode import (
    FORMAT,
    decode_archive,
    decode_hdf5,
    decode_json,
    decode_store,
    is_json,
    is_keras_hdf5,
)
from porter.formats.keras_legacy.errors import (
    ArchitectureMissingError,
    NotAModelError,
    ReplacementError,
    WeightsError,
)
from porter.formats.keras_legacy.fields import reading
from porter.formats.keras_legacy.options import KerasOptions
from porter.formats.keras_legacy.program import program
from porter.formats.keras_legacy.roles import Stored
from porter.formats.keras_legacy.store import is_store
from porter.formats.keras_legacy.walk import Opening
from porter.formats.opened import OpenedFile, open_file
from porter.formats.options import ReadOptions
from porter.formats.registry import Family
from porter.formats.write_back import write_arrays
from porter.network import Claim
from porter.network.graph import Era, KerasNetwork
from porter.network.weight_file import WeightFile

# Arguments that only Keras 1 had, by which a file without a version is told.
KERAS1_ARGUMENTS = frozenset(
    ("nb_filter", "border_mode", "W_regularizer", "W_constraint", "inner_activation", "dim_ordering", "consume_less")
)


def matches(opened: OpenedFile) -> bool:
    """Whether a file is HDF5 of Keras 1 or 2, or text that may be a JSON architecture."""
    if is_json(opened) or opened.keras_archive is not None or is_store(opened):
        return True
    if not is_keras_hdf5(opened):
        return False
    known = "keras_version" in opened.hdf5.stored_attributes
    return not (known and str(opened.hdf5.attribute("keras_version")).startswith("3"))


def read_keras(opened: OpenedFile, options: KerasOptions = KerasOptions()) -> KerasNetwork:  # noqa: B008 - frozen
    """Read a whole model, or an architecture with the weights that ``options`` names.

    Raises:
        UnreadableError: damaged, hostile, or with a layer that is not read.
        UsageError: what the file leaves open and the options do not say.
    """
    if is_store(opened):
        raise ArchitectureMissingError(
            f"{opened.path} holds weights by their places in a model, without the model",
            expected="the architecture too",
            remedy="porter port architecture.json --weights FILE, or the .keras or .h5 file of the whole model",
        )
    source = decode(opened)
    if "model_config" not in source.attributes:
        raise ArchitectureMissingError(
            f"{opened.path} holds weights without an architecture",
            found=f"weights of {', '.join(map(repr, source.attributes['layer_names'][:8]))}",
            expected="the architecture too",
            remedy="porter port architecture.json --weights FILE, or porter.load_weights(model, FILE)",
        )
    if options.weights is not None:
        source = _with_weights(source, options.weights)
    with reading(str(source.path)):
        return _network(source, options)


def decode(opened: OpenedFile) -> WeightFile:
    """What a file holds, as it is, whichever of Keras' own kinds it is.

    Raises:
        UnreadableError: damaged, or without what it lists.
    """
    if opened.keras_archive is not None:
        return decode_archive(opened)
    return decode_json(opened) if is_json(opened) else decode_hdf5(opened)


def _read(opened: OpenedFile, options: ReadOptions) -> KerasNetwork:
    """For the registry: refuse declarations that a Keras file makes itself.

    Raises:
        UsageError: such a declaration.
    """
    refuse_declared(opened, options.declarations())
    return read_keras(opened, options.keras or KerasOptions())


def refuse_declared(opened: OpenedFile, declared: Mapping[str, Any]) -> None:
    """Refuse what a Keras file says itself.

    Raises:
        UsageError: anything of the kind is declared.
    """
    given = [name for name, value in declared.items() if value]
    if given:
        raise UsageError(
            f"{', '.join(f'{name}=' for name in given)} for {opened.path}",
            found="a Keras file, which says that itself",
            remedy="leave the option out",
        )


def _with_weights(source: WeightFile, weights: str | Path) -> WeightFile:
    """An architecture with the arrays of another file."""
    if source.arrays:
        raise UsageError(
            "weights", found=f"{source.path} has weights of its own", expected="a JSON architecture beside them"
        )
    with open_file(weights) as opened:
        if is_store(opened):
            stored = decode_store(opened, source.attributes["model_config"])
        elif is_keras_hdf5(opened):
            stored = decode_hdf5(opened)
        else:
            raise NotAModelError(f"{opened.path} holds no weights of Keras", expected="HDF5 of model.save_weights()")
    attributes = {**source.attributes, **{key: stored.attributes[key] for key in ("layer_names", "weight_names")}}
    for key in ("keras_version", "backend"):
        # The weights' own word counts: an architecture may have been written by a later version.
        attributes[key] = stored.attributes[key] or attributes[key]
    return replace(source, arrays=stored.arrays, attributes=attributes, sha256=f"{source.sha256}+{stored.sha256}")


def _network(source: WeightFile, options: KerasOptions) -> KerasNetwork:
    for name, array in source.arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NonFiniteError(f"{source.path}: the array {name!r} has values that are NaN or infinite")
    era, claims = find_era(source, options.backend)
    kind, config = source.attributes["model_config"]["class_name"], source.attributes["model_config"]["config"]
    opening = Opening(source, era, frozenset(options.replace))
    network = opening.network(kind, config, "", _groups(source, opening), source.path.stem)
    _check_use(source, opening, options)
    claims += [
        Claim(
            place.rpartition("layer ")[2].strip("'"), "order", "the order in which Keras writes", "assumed",
            "the stored names do not say which array is which; the shapes fit",
        )
        for place in dict.fromkeys(opening.by_order)
    ]  # fmt: skip
    claims += [
        Claim(path, "replacement", "the user's function", "declared", "what it computes is not compared")
        for path in options.replace
    ]
    declared = {} if options.backend is None else {"backend": options.backend}
    return replace(network, claims=tuple(claims), declarations=declared, replacements=dict(options.replace))


def _groups(source: WeightFile, opening: Opening) -> Callable[[str], Any]:
    """The arrays of a layer at the top; itself where the file keeps a nested model's layers beside the others."""
    listed: Mapping[str, list[str]] = source.attributes["weight_names"]

    def group(name: str) -> Any:
        if not source.arrays:
            return None
        if name not in listed:
            return group
        arrays = {inner: source.arrays[f"{name}/{inner}"] for inner in listed[name]}
        return Stored(opening.where(name), arrays, opening.by_order)

    return group


def _check_use(source: WeightFile, opening: Opening, options: KerasOptions) -> None:
    unknown = [path for path in options.replace if path not in opening.layers]
    if unknown:
        raise ReplacementError(
            f"{source.path}: no layer {', '.join(map(repr, unknown))} to replace",
            expected=f"one of {', '.join(opening.layers)}",
        )
    # Names may have slashes of their own, as MobileNetV3's have.
    used = {part for path in opening.layers for part in (path, path.split("/")[0], path.split("/")[-1])}
    unused = [name for name, inner in source.attributes["weight_names"].items() if inner and name not in used]
    if unused:
        raise WeightsError(
            f"{source.path}: weights are stored for layers that the architecture does not have",
            found=", ".join(map(repr, unused[:8])),
            expected=f"weights of {', '.join(map(repr, list(opening.layers)[:8]))}",
            remedy="take the architecture that these weights belong to",
        )


def find_era(source: WeightFile, declared: str | None) -> tuple[Era, list[Claim]]:
    """Version and backend: what the file says, what its names show, what the user says.

    Raises:
        UsageError: the user says another backend than the file.
    """
    config, text = source.attributes["model_config"]["config"], source.attributes.get("keras_version")
    version, backend = version_of(source), known_backend(source, declared)
    claims = [Claim(source.path.stem, "keras", str(text or f"{version[0]}, by its arguments"), "declared")]
    if backend is not None and backend not in (source.attributes.get("backend"), declared):
        detail = "weight names end in ':0', which only TensorFlow's do"
        claims.append(Claim(source.path.stem, "backend", backend, "shape", detail))
    elif backend is not None:
        claims.append(Claim(source.path.stem, "backend", backend, "declared"))
    is_tf = "-tf" in str(text) or version >= (2, 4)
    return Era(version, backend, is_tf, _centres(version, is_tf, config)), claims


def version_of(source: WeightFile) -> tuple[int, ...]:
    """The version of Keras as numbers; where the file has none, 1 or 2 by the arguments and names that it uses."""
    text = source.attributes.get("keras_version")
    numbers = [part for part in str(text).split("-")[0].split(".") if part.isdigit()]
    if text and numbers:
        return tuple(map(int, numbers))
    if "model_config" in source.attributes:
        return (1,) if _mentions(source.attributes["model_config"]["config"], KERAS1_ARGUMENTS) else (2,)
    names = [name for inner in source.attributes["weight_names"].values() for name in inner]
    return (1,) if any(re.search(r"_[WUb](_[icfozrh])?(:0)?$", name) for name in names) else (2,)


def known_backend(source: WeightFile, declared: str | None) -> str | None:
    """What the file says, what its weight names show, or what the user says.

    Raises:
        UsageError: the user says another backend than the file.
    """
    stated = source.attributes.get("backend")
    names = [name for inner in source.attributes["weight_names"].values() for name in inner]
    shown = "tensorflow" if any(name.endswith(":0") for name in names) else None
    known = stated or shown
    if declared is not None and known is not None and declared != known:
        raise UsageError(
            f"backend={declared!r} for {source.path}",
            found=f"backend {known!r} in the file" if stated else "weight names ending in ':0', as TensorFlow's do",
            remedy="leave the option out",
        )
    return known or declared


def _centres(version: tuple[int, ...], is_tf: bool, config: Any) -> bool | None:
    """Whether bilinear upsampling takes pixel centres: tf.keras from TensorFlow 1.15 on, which wrote ``ragged``."""
    if version >= (2, 4):
        return True
    if not is_tf:
        return False
    return True if _mentions(config, {"ragged"}) else None if not _mentions(config, {"sparse"}) else False


def _mentions(value: Any, keys: Any) -> bool:
    if isinstance(value, Mapping):
        return not keys.isdisjoint(value) or any(_mentions(inner, keys) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, keys) for inner in value)


READER = Family(
    FORMAT,
    "a model or an architecture of Keras 1 or 2 (.h5, .json; .keras of 2.12 to 2.15)",
    matches,
    _read,
    program,
    write=write_arrays,
    has_runtime=True,
    example="porter port old_model.h5 -o new.keras",
)
