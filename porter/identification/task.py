"""What is asked of a search: a file of arrays, and samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.programs import build_program
from porter.formats.recipe import Recipe
from porter.formats.recipe_reading import read_by_recipe
from porter.identification.as_recipe import recipe_of
from porter.identification.candidate import Candidate
from porter.identification.pool import Pool
from porter.network import Network
from reference.trace import Program


@dataclass(frozen=True)
class Task:
    """What is asked.

    Attributes:
        opened: the file.
        path: as the user gave it.
        pool: its arrays.
        samples: where they were read from.
        seconds: for the search.
    """

    opened: OpenedFile
    path: Path
    pool: Pool
    samples: Path
    seconds: float

    def network(self, candidate: Candidate) -> Network:
        """The file read as a configuration says."""
        recipe = Recipe.model_validate(recipe_of(candidate, self.pool, self.path.stem))
        return read_by_recipe(self.opened, recipe, ReadOptions())

    def program(self, candidate: Candidate) -> Program:
        """Its forward pass."""
        if candidate.rule is not None:
            return build_program(self.network(candidate))
        return candidate.program(self.pool)
