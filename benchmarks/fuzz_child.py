"""The child of ``benchmarks.fuzz``: reads one mutated file after the other, and says what came of it.

It opens no file but those it is given: an audit hook tells. A traceback is left behind where it dies or hangs.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import porter
import porter.jobs.provenance
import reference.limits
from benchmarks.fuzz_process import ROOT
from porter.cli.contents import read_contents
from porter.formats.keras_legacy.decode import decode_hdf5, is_keras_hdf5
from porter.formats.keras_legacy.fields import reading
from porter.formats.opened import open_file
from porter.formats.programs import build_program, follow
from porter.formats.samples import load_samples
from porter.jobs.load import match_layers
from porter.jobs.provenance import is_saved_model, read_provenance

FIXTURE = ROOT / "fixtures" / "square_7-7-7-7-7.h5"
ELEMENTS, STEPS = 2**21, 2**9
"""Limits of the reference, so low that what keeps to them is quickly done."""
# NumPy reads the header of an array as a literal, which Python compiles and does not run.
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class",
             "exec", "compile", "marshal.loads")  # fmt: skip


class Watch:
    """What an audit hook saw while a case was examined."""

    def __init__(self) -> None:
        self.given: tuple[str, ...] = ()
        self.forbidden: tuple[str, ...] = FORBIDDEN
        self.seen: list[str] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note a file that was not given, or an event that reading never needs."""
        if not self.given:
            return
        if event == "open" and not isinstance(arguments[0], int) and str(arguments[0]) not in self.given:
            # What is installed beside porter is looked for among the packages, by importlib.
            if not str(arguments[0]).endswith((".py", ".pyc", ".so")) and not is_import():
                self.seen.append(f"opened {arguments[0]}")
        elif event in self.forbidden and not is_import():
            self.seen.append(event)


def is_import() -> bool:
    """Whether Python is loading a module of its own, or NumPy is making a function of its own."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        if "importlib" in frame.f_code.co_filename or "dataclasses" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def main(trace: str, seconds: float) -> int:
    """A case a line in, a word a line out."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    reference.limits.LARGEST, reference.limits.MOST_STEPS = ELEMENTS, STEPS
    left = Path(trace).open("w")  # noqa: SIM115 - open as long as the process is
    faulthandler.enable(left)
    warm_up()
    # This process is already one of its own, in which HDF5 may crash and hang: no other is started.
    porter.jobs.provenance.screen = lambda files: {}  # type: ignore[attr-defined,assignment]
    watch = Watch()
    for line in sys.stdin:
        case = json.loads(line)
        watch.seen.clear()
        watch.given = tuple(map(str, given(case)))
        watch.forbidden = FORBIDDEN if case["kind"] == "keras" else tuple(e for e in FORBIDDEN if e != "compile")
        faulthandler.dump_traceback_later(seconds, file=left)
        told = examine(**case)
        faulthandler.cancel_dump_traceback_later()
        watch.given = ()
        answers.write((f"DEFECT {watch.seen[0]}" if watch.seen else told).replace("\n", " ") + "\n")
        answers.flush()
    return 0


def given(case: Mapping[str, Any]) -> Iterator[Path]:
    """The files of a case, those of a folder one by one."""
    for value in (case["path"], case["weights"]):
        if value is not None:
            yield Path(value)
            yield from Path(value).rglob("*") if Path(value).is_dir() else ()


def examine(kind: str, path: str, weights: str | None, backend: str | None) -> str:
    """What became of a case, with the file beside it and the backend that the user declares."""
    if kind == "keras":
        return examine_keras(path, weights, backend)
    return guarded(lambda: KINDS[kind](path, weights))


def warm_up() -> None:
    """Load what is loaded at first use, before the hook watches."""
    warm_up_keras()
    for kind in KINDS:
        examine(kind, str(FIXTURE), str(FIXTURE) if kind == "recipe" else None, None)
    network()


def warm_up_keras() -> None:
    """Load what is loaded at first use, before the hook watches."""
    config = '{"class_name": "Sequential", "config": [{"class_name": "Flatten", "config": {"name": "f"}}]}'
    with tempfile.TemporaryDirectory() as folder:
        architecture, whole = Path(folder) / "a.json", Path(folder) / "m.h5"
        architecture.write_text(config)
        (Path(folder) / "unknown").write_bytes(b"of no format: what is installed beside porter is asked, once")
        examine_keras(str(Path(folder) / "unknown"), None, None)
        with h5py.File(whole, "w") as file:
            file.attrs["model_config"], file.attrs["layer_names"] = config, np.array([b"f"])
            file.create_group("f").attrs["weight_names"] = np.zeros(0)
        for path in (architecture, whole):
            examine_keras(str(path), None, None)


def examine_keras(path: str, weights: str | None, backend: str | None) -> str:
    """What became of a case: its reading and running; a defect of any part comes first.

    Every case is listed, or its weights matched with a model's, by turns.
    """
    options: dict[str, Any] = {"backend": backend} | ({} if weights is None else {"weights": weights})
    others = (lambda: listing(path, options), lambda: matching(weights or path))
    other = others[Path(weights or path).stat().st_size // 8 % 2]
    told = [guarded(lambda: read_and_run(path, options)), guarded(other)]
    return next((one for one in told if one.startswith("DEFECT")), told[0])


def guarded(task: Callable[[], str]) -> str:
    """Its answer; porter's refusal by name; anything else is a defect."""
    try:
        return task()
    except porter.PorterError as error:
        return f"refused: {type(error).__name__}"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"DEFECT {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {str(error)[:100]}"


def read_and_run(path: str, options: dict[str, Any]) -> str:
    """Read a network and follow its program on two rows."""
    network: Any = porter.read(path, **options)
    if not network.has_weights:
        return "read, without weights to run"
    shapes = {each.name: (2, *(4 if n is None else n for n in each.shape or (4,))) for each in network.inputs}
    if sum(int(np.prod(shape, dtype=np.float64)) for shape in shapes.values()) > ELEMENTS:
        return "read, its input too large to run"
    feeds = {name: (np.arange(np.prod(shape)) % 2).reshape(shape).astype(float) for name, shape in shapes.items()}
    try:
        with np.errstate(all="ignore"):
            follow(network, build_program(network), feeds)
    except porter.PorterError as error:
        return f"read, then refused: {type(error).__name__}"
    return "read and run"


def listing(path: str, options: dict[str, Any]) -> str:
    """What ``porter inspect`` does."""
    contents = read_contents(Path(path), **options)
    contents.render(80, False)
    json.loads(contents.to_json())
    return "listed"


def matching(path: str) -> str:
    """What ``porter.load_weights`` does, into a model that has what the file lists."""
    with open_file(path) as opened:
        if not is_keras_hdf5(opened):
            return "no weights"
        source = decode_hdf5(opened)
    layers = [StandIn(name, source) for name, inner in source.attributes["weight_names"].items() if inner]
    with reading(path):
        match_layers(StandIn("model", source, layers), source, "tensorflow")
    return "matched"


class StandIn:
    """A layer, or a model of layers, that says of itself what Keras' would."""

    def __init__(self, name: str, source: Any, layers: list[StandIn] | None = None) -> None:
        self.name, self.config = name, {"name": name, "units": 3}
        arrays = [source.arrays[f"{name}/{inner}"] for inner in source.attributes["weight_names"].get(name, ())]
        self.weights = [Variable(array.shape) for array in arrays]
        if layers is not None:
            self.layers = layers
        self.__class__ = type("LSTM" if len(arrays) > 2 else "Dense", (StandIn,), {})

    def get_config(self) -> dict[str, Any]:
        """Arguments."""
        return dict(self.config)


class Variable:
    """Shape, dtype and name."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.name = shape, "float32", "kernel"


@cache
def network() -> porter.Network:
    """That recipes and samples are read for."""
    return porter.read(FIXTURE)


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


def read_family(path: str, beside: str | None) -> str:
    """A file or a folder of any family, listed, read, and run on two rows."""
    del beside
    found = porter.read(path)
    program = build_program(found)
    with np.errstate(all="ignore"):
        program(np.zeros((2, found.widths[0])))
    return "read and run"


KINDS: Mapping[str, Callable[[str, str | None], str]] = {
    "network": read_family, "recipe": read_recipe, "samples": read_samples, "port": read_port, "archive": read_archive,
    "family": read_family, "folder": read_family,
}  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2])))
