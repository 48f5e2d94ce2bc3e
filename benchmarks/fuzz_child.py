"""The child of ``benchmarks.fuzz``: reads one mutated file after the other as its kind is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

import porter
from benchmarks import keras_fuzz_child
from benchmarks.keras_fuzz_child import guarded, main
from porter.cli.contents import read_contents
from porter.formats.programs import build_program
from porter.formats.samples import load_samples
from porter.jobs.provenance import is_saved_model, read_provenance

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "square_7-7-7-7-7.h5"


@cache
def network() -> porter.Network:
    """That recipes and samples are read for."""
    return porter.read(FIXTURE)


def read_network(path: str, beside: str | None) -> str:
    """A file of arrays, read and run on two rows."""
    del beside
    found = porter.read(path)
    program = build_program(found)
    program(np.zeros((2, found.widths[0])))
    return "read and run"


def read_recipe(path: str, beside: str | None) -> str:
    """A recipe, and a network by it."""
    porter.read(beside or FIXTURE, recipe=path)
    return "read"


def read_samples(path: str, beside: str | None) -> str:
    """Golden samples of the network."""
    del beside
    load_samples(path, network())
    return "read"


def read_port(path: str, beside: str | None) -> str:
    """A saved model, as ``porter inspect`` looks into it."""
    del beside
    told = "a port" if is_saved_model(path) else "no port"
    read_contents(Path(path))
    read_provenance(path)
    return told


def read_archive(path: str, beside: str | None) -> str:
    """A ``.keras`` archive of Keras 2, or weights beside an architecture."""
    porter.read(path) if beside is None else porter.read(beside, weights=path)
    return "read"


KINDS: Mapping[str, Callable[[str, str | None], str]] = {
    "network": read_network, "recipe": read_recipe, "samples": read_samples, "port": read_port, "archive": read_archive,
}  # fmt: skip


def examine(path: str, weights: str | None, backend: str | None) -> str:
    """What became of a case; ``backend`` is the kind of file, ``weights`` the file beside it."""
    return guarded(lambda: KINDS[str(backend)](path, weights))


def warm_up() -> None:
    """Load what is loaded at first use, before the hook watches."""
    # NumPy reads the header of an array as a literal, which Python compiles and does not run.
    keras_fuzz_child.FORBIDDEN = tuple(event for event in keras_fuzz_child.FORBIDDEN if event != "compile")
    keras_fuzz_child.warm_up_keras()
    for kind in KINDS:
        examine(str(FIXTURE), str(FIXTURE) if kind == "recipe" else None, kind)
    network()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2]), examine, warm_up))
