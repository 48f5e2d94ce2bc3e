"""A recipe to begin with for a file of which nothing is known but its arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from porter.errors import PorterError, UnreadableError
from porter.formats.arrays.names import role_of
from porter.formats.folders import is_plain_folder, open_folder
from porter.formats.members import natural_key
from porter.formats.opened import open_file
from porter.formats.recipe_arrays import Stored

SHOWN_ARRAYS = 2000
GUESSED = "# guessed from the shapes alone: check it"


@dataclass(frozen=True)
class Listing:
    """A file whose arrays can be read, though nothing says what they are.

    Attributes:
        file: or folder, as the user gave it.
        sha256: hexadecimal digest of its bytes.
        arrays: shape and dtype by name, in natural order; None for what cannot be read as an array of numbers.
        reason: why it is not read as a network.
    """

    file: Path
    sha256: str
    arrays: Mapping[str, tuple[tuple[int, ...], str] | None]
    reason: PorterError

    def to_json(self) -> str:
        """Names, shapes and dtypes, and the refusal."""
        rows = [
            {
                "name": name,
                "shape": None if entry is None else list(entry[0]),
                "dtype": None if entry is None else entry[1],
            }
            for name, entry in self.arrays.items()
        ]
        return json.dumps({"schema_version": 1, "file": str(self.file), "arrays": rows, "refused": str(self.reason)})

    def render(self, width: int, color: bool) -> str:
        """A line an array."""
        del width, color
        lines = [f"{self.file}: not a network that can be read without a recipe; it holds"]
        return "\n".join([*lines, *(f"  {line}" for line in _lines(self.arrays)), ""])


def list_arrays(file: Path, reason: PorterError) -> Listing:
    """What is in a file that no reader takes.

    Raises:
        UnreadableError: it is no container of arrays.
    """
    with open_folder(file) if is_plain_folder(file) else open_file(file, pickles=True) as opened:
        stored = Stored.of(opened)
        found: dict[str, tuple[tuple[int, ...], str] | None] = {}
        for name in sorted(stored.names, key=natural_key)[:SHOWN_ARRAYS]:
            try:
                array = stored.read(name)
                found[name] = (array.shape, str(array.dtype))
            except UnreadableError:
                found[name] = None
        return Listing(file, stored.sha256, found, reason)


def _lines(arrays: Mapping[str, tuple[tuple[int, ...], str] | None]) -> Iterator[str]:
    widest = max(map(len, arrays), default=0)
    for name, entry in arrays.items():
        shape = "" if entry is None else " x ".join(map(str, entry[0])) or "one number"
        what = "no array that can be read" if entry is None else f"{shape}  {entry[1]}"
        yield f"{name:<{widest}}  {what}"


def skeleton(listing: Listing) -> str:
    """A recipe in which everything but the version is commented out: every array, then guesses."""
    lines = [
        f"# What {listing.file.name} holds (SHA-256 {listing.sha256}); nothing says what it means.",
        "# Uncomment and complete what you know; `porter recipe --explain` shows everything that can be said.",
        "#",
        *(f"#   {line}" for line in _lines(listing.arrays)),
        "",
        "version = 1",
        f"# name = {json.dumps(listing.file.stem)}",
        "",
        *_scaling(listing),
    ]
    for kernel, bias in _layers(listing):
        shape = " x ".join(map(str, listing.arrays[kernel][0]))  # type: ignore[index]
        lines += ["", "# [[layers]]", f"# kernel = {json.dumps(kernel)}  {GUESSED} ({shape})"]
        lines += [f"# bias = {json.dumps(bias)}"] if bias is not None else ['# bias_in = "first row"']
        lines += ['# orientation = "units-first"  # or "inputs-first"', '# activation = "tanh"']
    return "\n".join(lines) + "\n"


def _layers(listing: Listing) -> Iterator[tuple[str, str | None]]:
    """Matrices in natural order, each with the next vector that fits it."""
    shapes = {name: entry[0] for name, entry in listing.arrays.items() if entry is not None}
    vectors = [name for name, shape in shapes.items() if len(shape) == 1 or _is_vector(name, shape)]
    matrices = [name for name, shape in shapes.items() if len(shape) == 2 and name not in vectors]
    vectors = [name for name in vectors if max(shapes[name], default=0) > 0]
    for kernel in matrices:
        fitting = [name for name in vectors if max(shapes[name]) in shapes[kernel]]
        alike = [name for name in fitting if _digits(name) == _digits(kernel)]
        bias = next(iter(alike or fitting), None)
        if bias is not None:
            vectors.remove(bias)
        yield kernel, bias


def _is_vector(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a matrix of one row or column bears the name of a bias, or of what scales."""
    role = role_of(name)
    scales = role is None and any(text in name.lower() for spellings in WORDS.values() for text in spellings)
    return len(shape) == 2 and 1 in shape and (scales or (role is not None and role[0] == "bias"))


def _digits(name: str) -> str:
    return "".join(sign for sign in name if sign.isdigit())


WORDS = {"minimum": ("min",), "maximum": ("max",), "mean": ("mean", "moy", "avg"), "std": ("std", "sigma", "dev")}


def _scaling(listing: Listing) -> Iterator[str]:
    """Vectors whose names speak of a minimum, a maximum, a mean or a deviation, by the end that they speak of."""
    for end, words in (("input", ("in", "x")), ("output", ("out", "y"))):
        found = {}
        for key, spellings in WORDS.items():
            named = [name for name in listing.arrays if any(text in name.lower() for text in spellings)]
            found[key] = next((name for name in named if any(word in name.lower() for word in words)), None)
        pair = next((p for p in (("minimum", "maximum"), ("mean", "std")) if all(found[key] for key in p)), None)
        if pair is not None:
            rule = "mean-std" if pair[0] == "mean" else "[-1,1]"
            yield f"# [scaling.{end}]"
            yield f'# rule = "{rule}"' + ("" if pair[0] == "mean" else '  # or "[0,1]"')
            yield from (f"# {key} = {json.dumps(found[key])}" for key in pair)
