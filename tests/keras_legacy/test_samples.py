"""Recorded outputs of the original Keras: what they prove or contradict of a file, and what they say of a port."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from porter.formats.samples import load_samples, make_samples
from porter.reading.graphs import check_legacy_reading
from reference.activations import Activation
from tests.keras_legacy.files import dense, layer, model, write
from tests.keras_legacy.test_recorded import words_and_numbers
from tests.keras_legacy.test_verifying import image, recurrent

ROWS = 12


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def plain(rng: np.random.Generator) -> tuple[Any, Any]:
    layers = [
        layer("Dense", "dense_1", units=16, activation="tanh", batch_input_shape=[None, 6]),
        layer("Dense", "dense_2", units=8, activation="sigmoid"),
        layer("Dense", "dense_3", units=3, activation="linear"),
    ]
    shapes = (("dense_1", 6, 16), ("dense_2", 16, 8), ("dense_3", 8, 3))
    return model(layers), {name: dense(rng, name, a, b) for name, a, b in shapes}


KINDS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "plain": plain, "recurrent": recurrent, "image": image, "graph": words_and_numbers,
}  # fmt: skip


def inputs_of(network: Any, rng: np.random.Generator) -> list[Any]:
    drawn = []
    for each in network.inputs:
        words = each.name == "words"
        shape = (ROWS, *each.shape)
        drawn.append(rng.integers(0, 7, shape) if words else rng.normal(size=shape).astype(np.float32))
    return drawn


@pytest.fixture(params=KINDS)
def network(request: Any, tmp_path: Path, rng: np.random.Generator) -> Any:
    return porter.read(write(tmp_path / "m.h5", *KINDS[request.param](rng)))


def reading_of(network: Any, inputs: Any, outputs: Any) -> Any:
    return check_legacy_reading(network, make_samples(inputs, outputs, network))


# --- right samples --------------------------------------------------------------------------------------------------


def test_what_keras_gives_proves(network: Any, rng: np.random.Generator) -> None:
    inputs = inputs_of(network, rng)
    for dtype in ("float32", "float64"):
        port = porter.build(network, dtype=dtype)
        fed = [each.astype(tensor.dtype) for each, tensor in zip(inputs, port.inputs, strict=True)]
        outputs = [np.asarray(each) for each in keras.tree.flatten(port(fed if len(fed) > 1 else fed[0]))]
        reading = reading_of(network, inputs, outputs)
        assert reading.verdict == "proven", reading.note
        assert {claim.evidence for claim in reading.claims} <= {"shape", "samples"}
        assert dtype == "float32" or "to float64 rounding" in reading.note


def test_the_port_is_held_against_them(network: Any, rng: np.random.Generator) -> None:
    inputs, port = inputs_of(network, rng), porter.build(network)
    report = porter.verify(network, port, samples=(inputs, list(build_program(network)(named(network, inputs)))))
    assert (report.verdict, report.links["reading"]) == ("parity", "proven")
    assert f"on {ROWS} golden samples the port differs from the original by at most" in report.link_notes["build"]
    last = [each for each in port.layers if each.weights][-1]
    last.set_weights([array * 1.5 for array in last.get_weights()])
    report = porter.verify(network, port, samples=(inputs, list(build_program(network)(named(network, inputs)))))
    assert report.verdict == "mismatch"
    assert "more than rounding explains" in report.link_notes["build"]


def named(network: Any, inputs: Any) -> dict[str, Any]:
    return dict(zip(build_program(network).inputs, inputs, strict=True))


# --- something slightly else ----------------------------------------------------------------------------------------


def _changed(program: Any, name: str, **changes: Any) -> Any:
    steps = tuple(replace(step, **changes) if step.name == name else step for step in program.steps)
    return replace(program, steps=steps)


def _weights(program: Any, change: Callable[[Any], Any]) -> Any:
    step = program.step("dense_2")
    return _changed(program, "dense_2", weights=change(step.weights))


def _one_off(weights: Any) -> Any:
    weights = weights.astype(np.float64)
    weights[0, 0] *= 1 + 1e-4
    return weights


def _table(x: Any) -> Any:
    grid = np.linspace(-10, 10, 100_000)
    return (1 / (1 + np.exp(-grid)))[np.clip(((x + 10) / 20 * (len(grid) - 1)).astype(int), 0, len(grid) - 1)]


class Given:
    name, parameters = "given", {}

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x)


ALTERED: dict[str, Callable[[Any], Any]] = {
    "four decimals": lambda program: _weights(program, lambda weights: np.round(weights, 4)),
    "one weight": lambda program: _weights(program, _one_off),
    "a table": lambda program: _changed(program, "dense_2", activation=Given(_table)),
    "another sigmoid": lambda program: _changed(program, "dense_2", activation=Activation("hard_sigmoid")),
}


@pytest.mark.parametrize("altered", ALTERED)
def test_samples_of_something_slightly_else_prove_nothing(
    tmp_path: Path, rng: np.random.Generator, altered: str
) -> None:
    network = porter.read(write(tmp_path / "m.h5", *plain(rng)))
    inputs = inputs_of(network, rng)
    outputs = ALTERED[altered](build_program(network))(inputs[0].astype(np.float64))
    reading = reading_of(network, inputs, list(outputs))
    assert reading.verdict in ("consistent", "contradicted"), reading.note
    assert reading.verdict == "contradicted" or "times as far from the reference as" in reading.note
    assert not any(claim.evidence == "samples" for claim in reading.claims)


@pytest.mark.parametrize("share", [1e-2, 1e-4, 1e-5])
def test_nor_do_outputs_that_are_off(network: Any, rng: np.random.Generator, share: float) -> None:
    """The old rule let 1e-4 of the largest output pass for all."""
    inputs = inputs_of(network, rng)
    right = [each.astype(np.float32) for each in build_program(network)(named(network, inputs))]
    assert reading_of(network, inputs, right).verdict == "proven"
    off = [each + np.float32(share * np.abs(each).max()) for each in right]
    assert reading_of(network, inputs, off).verdict in ("consistent", "contradicted")


def test_what_is_far_off_contradicts_whatever_the_layers(network: Any, rng: np.random.Generator) -> None:
    """Recurrent layers have bounds that allow nearly anything; the spread of runs stands in where they are infinite."""
    inputs = inputs_of(network, rng)
    right = list(build_program(network)(named(network, inputs)))
    reading = reading_of(network, inputs, [each[::-1] for each in right])
    assert reading.verdict == "contradicted"
    assert reading.cause.code == "reading.contradicted"


def test_a_function_of_the_users_own_is_consistent_at_most(tmp_path: Path, rng: np.random.Generator) -> None:
    layers = [
        layer("Dense", "dense_1", units=2, activation="tanh", batch_input_shape=[None, 3]),
        layer("Lambda", "odd"),
    ]
    path = write(tmp_path / "m.h5", model(layers), {"dense_1": dense(rng, "dense_1", 3, 2), "odd": {}})
    network = porter.read(path, replace={"odd": keras.ops.square})
    inputs = rng.normal(size=(ROWS, 3)).astype(np.float32)
    (outputs,) = build_program(network)(inputs)
    reading = reading_of(network, inputs, outputs)
    assert reading.verdict == "consistent"
    assert "the user's own function" in reading.note


def test_the_backend_is_proven_where_the_other_is_refuted(tmp_path: Path, rng: np.random.Generator) -> None:
    config, weights = image(rng)
    bare = {name: {key.removesuffix(":0"): array for key, array in arrays.items()} for name, arrays in weights.items()}
    path = write(tmp_path / "m.h5", config, bare, backend=None)
    network = porter.read(path, backend="theano")
    inputs = inputs_of(network, rng)
    right, wrong = ([*build_program(network, backend=each)(inputs[0])] for each in ("theano", "tensorflow"))
    reading = reading_of(network, inputs, right)
    assert reading.verdict == "proven", reading.note
    assert [claim.evidence for claim in reading.claims if claim.convention == "backend"] == ["samples"]
    reading = reading_of(network, inputs, wrong)
    assert reading.verdict == "contradicted"
    assert 'backend="tensorflow"' in reading.cause.remedy


# --- samples that are none ------------------------------------------------------------------------------------------


def _header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _broken_header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _archive(path: Path, content: bytes, packing: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("inputs.npy", content)
        archive.writestr("outputs.npy", content)


def _flipped(path: Path) -> None:
    _archive(path, _header((4, 6)) + bytes(4 * 6 * 8), zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[60:70] = bytes(255 - byte for byte in data[60:70])
    path.write_bytes(data)


DAMAGED: dict[str, Callable[[Path], Any]] = {
    "29 TiB in 200 bytes": lambda path: _archive(path, _header((2**42,))),
    "declared and packed away": lambda path: _archive(path, _header((2**31,)), zipfile.ZIP_DEFLATED),
    "negative": lambda path: _archive(path, _header((-1, 6))),
    "no end of brackets": lambda path: _archive(path, _broken_header(b"{'descr': (" + b"(" * 300 + b"\n")),
    "deeper than Python goes": lambda path: _archive(path, _broken_header(b"[" * 9000 + b"\n")),
    "an open string": lambda path: _archive(path, _broken_header(b"{'descr': '''\n")),
    "no text": lambda path: _archive(path, _broken_header(bytes(range(128, 250)))),
    "of another packing": lambda path: _archive(path, _header((4, 6)) + bytes(192), zipfile.ZIP_LZMA),
    "flipped bytes": _flipped,
    "of nothing": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(b"PK\x03\x04 and no more"),
    "text": lambda path: path.write_text("hello"),
    "zeros": lambda path: path.write_bytes(bytes(500)),
    "a folder": lambda path: path.mkdir(),
    "not there": lambda path: None,
}


@pytest.mark.parametrize("damaged", DAMAGED)
@pytest.mark.parametrize("kind", ["plain", "recurrent"])
def test_damaged_samples_are_refused_by_name(tmp_path: Path, rng: np.random.Generator, damaged: str, kind: str) -> None:
    network = porter.read(write(tmp_path / "m.h5", *KINDS[kind](rng)))
    path = tmp_path / "golden.npz"
    DAMAGED[damaged](path)
    with pytest.raises(errors.SamplesError) as caught:
        load_samples(path, network)
    assert str(path) in str(caught.value)


def _wrong(rng: np.random.Generator) -> dict[str, tuple[Any, Any, type, str]]:
    x, y = rng.normal(size=(4, 6)), rng.normal(size=(4, 3))
    shape, value, form = errors.SamplesShapeError, errors.SamplesValueError, errors.SamplesFormatError
    return {
        "wrong width": (x[:, :5], y, shape, "(rows, 6)"),
        "no rows": (x[:0], y[:0], shape, "shape (0, 6)"),
        "other rows": (x, y[:3], shape, "4 rows of inputs, 3 of outputs"),
        "two inputs": ([x, x], y, shape, "shape (2, 4, 6)"),
        "not a number": (x, y * np.nan, value, "no numbers"),
        "words": (np.full((4, 6), "a"), y, form, "numbers"),
        "ragged": ([[1.0], [1.0, 2.0]], y, form, "golden samples"),
    }


@pytest.mark.parametrize("wrong", _wrong(np.random.default_rng(0)))
def test_samples_of_another_form_are_refused(tmp_path: Path, rng: np.random.Generator, wrong: str) -> None:
    network = porter.read(write(tmp_path / "m.h5", *plain(rng)))
    inputs, outputs, kind, says = _wrong(rng)[wrong]
    with pytest.raises(kind) as caught:
        porter.verify(network, porter.build(network), samples=(inputs, outputs))
    assert says in str(caught.value)


def test_neither_a_path_nor_a_pair(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *plain(rng)))
    for samples in (3, (np.ones((2, 6)),), [1, 2, 3]):
        with pytest.raises(errors.SamplesError):
            porter.verify(network, porter.build(network), samples=samples)


def test_outputs_of_another_shape_contradict(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *plain(rng)))
    reading = reading_of(network, rng.normal(size=(4, 6)), rng.normal(size=(4, 2)))
    assert reading.verdict == "contradicted"


def test_a_table_of_text_serves_a_plain_network(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *plain(rng)))
    inputs = rng.normal(size=(ROWS, 6)).round(3)
    (outputs,) = build_program(network)(inputs)
    lines = [
        ",".join([*(f"{x:.3f}" for x in a), *(f"{y:.7f}" for y in b)]) for a, b in zip(inputs, outputs, strict=True)
    ]
    (tmp_path / "golden.csv").write_text("\n".join(lines))
    golden = load_samples(tmp_path / "golden.csv", network)
    assert golden is not None
    assert check_legacy_reading(network, golden).verdict == "proven"
    picture = porter.read(write(tmp_path / "n.h5", *recurrent(rng)))
    with pytest.raises(errors.SamplesFormatError, match="more than one line of numbers"):
        load_samples(tmp_path / "golden.csv", picture)
