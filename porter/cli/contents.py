"""What ``porter inspect`` shows: a legacy network, or the provenance of a port."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porter.errors import UnreadableError, UsageError
from porter.formats import read
from porter.formats.keras_legacy import reader as keras_legacy
from porter.formats.keras_legacy.options import KerasOptions
from porter.formats.opened import open_file
from porter.jobs.batch import Outcome
from porter.jobs.provenance import is_saved_model, read_provenance
from porter.network import Network
from porter.report.record import render_record

if TYPE_CHECKING:
    from porter.formats.recipe_skeleton import Listing
    from porter.jobs.graphs.inspection import KerasContents


@dataclass(frozen=True)
class Legacy:
    """A legacy file, read."""

    network: Network

    def to_json(self) -> str:
        """The network without its arrays."""
        from porter.jobs.inspection import inspection_json

        return inspection_json(self.network)

    def render(self, width: int, color: bool) -> str:
        """The tables of the network."""
        from porter.cli.summary import captured
        from porter.jobs.inspection import render_inspection

        return captured(lambda console: render_inspection(self.network, console), width, color)


@dataclass(frozen=True)
class Port:
    """A model that Keras saved, and the record that porter put into it, or None."""

    file: Path
    record: dict[str, Any] | None

    def to_json(self) -> str:
        """The file's name and the record, null where there is none."""
        return json.dumps({"schema_version": 1, "port": self.file.name, "provenance": self.record})

    def render(self, width: int, color: bool) -> str:
        """The record in lines."""
        del width, color
        return render_record(self.record, self.file.name)


def read_contents(file: Path, *, listing: bool = False, **read_options: Any) -> Legacy | Port | KerasContents | Listing:
    """What the file is, and what is in it.

    Args:
        file: or a folder that is one network.
        listing: whether to list the arrays of a file that is not read as a network.
        **read_options: of ``porter.read``.

    Raises:
        UnreadableError: neither a legacy network that a reader knows nor a port.
        UsageError: options that cannot be meant.
    """
    if is_saved_model(file):
        return Port(file, read_provenance(file))
    if not file.is_dir():
        keras = _look_into(file, read_options)
        if keras is not None:
            return keras
    try:
        return Legacy(read(file, **read_options))
    except UnreadableError as error:
        if not listing:
            raise
        return _listed(file, error)


def _look_into(file: Path, read_options: dict[str, Any]) -> KerasContents | None:
    """What is in a legacy Keras file; None for any other."""
    with open_file(file, pickles=True) as opened:
        if read_options.get("recipe") is not None or not keras_legacy.matches(opened):
            return None
        from porter.jobs.graphs.inspection import look_into

        known = {key: value for key, value in read_options.items() if key in ("backend", "weights", "replace")}
        keras_legacy.refuse_declared(opened, {key: read_options[key] for key in read_options.keys() - known})
        return look_into(opened, KerasOptions(**known))


def _listed(file: Path, error: UnreadableError) -> Listing:
    """The arrays of the file; the refusal itself where it holds none that can be read."""
    from porter.formats.recipe_skeleton import list_arrays

    try:
        return list_arrays(file, error)
    except UnreadableError:
        raise error from None


def _no_recipe(family: str) -> UnreadableError:
    return UnreadableError(
        "a recipe cannot say all of it",
        found=f"a network of the family {family!r}, which says itself what a recipe would",
        expected="arrays in HDF5 or .npz",
    )


def render_contents(outcomes: Sequence[Outcome], width: int = 80, color: bool = False) -> str:
    """One file after the other, those that were refused left out."""
    return "\n".join(outcome.result.render(width, color) for outcome in outcomes if outcome.error is None)


def write_recipe_of(outcomes: Sequence[Outcome], path: Path, *, force: bool = False) -> None:
    """Write what is known about the one legacy file as a recipe.

    Raises:
        UsageError: the file is a port, or a legacy Keras file, for which there are no recipes.
        OutputExistsError: the recipe exists and ``force`` is not given.
    """
    from porter.formats.recipe_skeleton import Listing, skeleton
    from porter.formats.recipe_writing import DESCRIBED, write_recipe, write_text

    for outcome in outcomes:
        result = outcome.result
        if isinstance(result, Legacy) and result.network.family not in DESCRIBED and outcome.file.is_file():
            result = _listed(outcome.file, _no_recipe(result.network.family))
        if isinstance(result, Listing):
            write_text(path, skeleton(result), force=force)
            continue
        if outcome.error is None and not isinstance(outcome.result, Legacy):
            is_port = isinstance(outcome.result, Port)
            found = "a port" if is_port else "a legacy Keras file, which says itself what a recipe would"
            raise UsageError(f"{outcome.file}", found=found, expected="a legacy file to write a recipe for")
        if outcome.error is None:
            write_recipe(outcome.result.network, path, force=force)
