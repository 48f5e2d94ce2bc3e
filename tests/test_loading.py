"""A port that is not loaded plainly: the message whole, and what to do for that kind of file."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import porter
from porter.cli.commands import app
from porter.errors import PortError, UsageError
from porter.ports.keras.loading import Loading, load_port, own_objects
from porter.ports.keras.unloadable import KINDS, kind_of, whole_message

pytestmark = pytest.mark.usefixtures("keras")

OWN = """
import keras


@keras.saving.register_keras_serializable("mine")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return x + x
"""
PLAIN = """
import keras


class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2
"""


@pytest.fixture(scope="module")
def path(fixtures):
    return fixtures / "bare_7-16-10-7.h5"


@pytest.fixture(scope="module")
def right(path):
    return porter.build(porter.read(path))


def refusal(path, port, **options):
    with pytest.raises(PortError) as caught:
        porter.verify(path, port, search=False, **options)
    return str(caught.value)


@pytest.mark.parametrize("source", [OWN, PLAIN], ids=["registered", "plain"])
def test_classes_of_ones_own_are_asked_for_and_taken(path, right, keras, tmp_path, monkeypatch, source):
    (tmp_path / "my_layers.py").write_text(source)
    own = own_objects(tmp_path / "my_layers.py")
    (name,) = (each for each in own if own[each].__module__ == "my_layers")
    model = keras.Sequential([*right.layers[1:], own[name]()])
    model.build((None, 7))
    model.save(tmp_path / "port.keras")
    registry = keras.saving.get_custom_objects()
    for key in [each for each in registry if "Doubled" in each]:
        monkeypatch.delitem(registry, key)
    told = refusal(path, tmp_path / "port.keras")
    assert "--custom-objects my_layers.py (custom_objects=)" in told and name in told
    report = porter.verify(path, tmp_path / "port.keras", search=False, custom_objects=tmp_path / "my_layers.py")
    assert report.verdict == "mismatch"
    for given in (own, str(tmp_path / "my_layers.py")):
        loaded = load_port(tmp_path / "port.keras", Loading(custom_objects=given))
        assert type(loaded.layers[-1]).__name__ == name


def test_a_lambda_is_run_only_where_that_is_said(path, right, keras, tmp_path):
    model = keras.Sequential([*right.layers[1:], keras.layers.Lambda(lambda x: x * 1.0)])
    model.build((None, 7))
    model.save(tmp_path / "port.keras")
    told = refusal(path, tmp_path / "port.keras")
    assert "--unsafe-lambda (unsafe_lambda=True)" in told
    assert porter.verify(path, tmp_path / "port.keras", search=False, unsafe_lambda=True).layers


@pytest.mark.parametrize("architecture", ["model.json", "model.keras"])
def test_weights_are_taken_with_their_architecture(path, right, tmp_path, architecture):
    right.save_weights(tmp_path / "port.weights.h5")
    if architecture.endswith(".json"):
        (tmp_path / architecture).write_text(right.to_json())
    else:
        porter.build(porter.read(path)).save(tmp_path / architecture)
    with pytest.raises(PortError, match=r"--architecture model\.json"):
        load_port(tmp_path / "port.weights.h5", Loading())
    report = porter.verify(path, tmp_path / "port.weights.h5", search=False, architecture=tmp_path / architecture)
    assert report.verdict == "parity"
    if architecture.endswith(".json"):
        with pytest.raises(PortError, match="give the weights as the port"):
            load_port(tmp_path / architecture, Loading())


def made(tmp_path, kind):
    """A path of that kind, with little in it."""
    place = tmp_path / kind
    folders = {"savedmodel": "saved_model.pb", "unpacked": "config.json", "folder": "readme.txt"}
    if kind in folders:
        place.mkdir()
        (place / folders[kind]).write_bytes(b"{}")
        (place / "model.weights.h5").write_bytes(b"") if kind == "unpacked" else None
        return place
    heads = {
        "tflite": b"\x1c\0\0\0TFL3", "onnx": b"\x08\x08\x12\x04", "pickle": b"\x80\x04\x95",
        "architecture": b' {"a": 1}',
    }  # fmt: skip
    if kind == "checkpoint":
        place = tmp_path / "model.ckpt.index"
        place.write_bytes(b"\0")
    elif kind == "weights":
        place = tmp_path / "weights.h5"
        with h5py.File(place, "w") as file:
            file["dense/kernel"] = np.ones(3)
    else:
        place.write_bytes(heads[kind] + b"\0" * 16)
    return place


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_from_the_others_and_says_what_to_do(tmp_path, kind):
    """Some of them something else opens before Keras is asked."""
    port = made(tmp_path, kind)
    assert kind_of(port) == kind
    with pytest.raises(PortError) as caught:
        load_port(port, Loading())
    told = str(caught.value)
    assert KINDS[kind][1] in told and "cannot be loaded" in told


def test_pickles_of_other_libraries_are_never_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02")
    assert kind_of(tmp_path / "net.pt") == "pickle"


def test_a_model_of_keras_2_is_told_to_be_ported(fixtures, tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = "{}", "2.3.1"
    with pytest.raises(PortError, match=r"porter port .*old\.h5"):
        load_port(tmp_path / "old.h5", Loading())


def test_the_message_is_whole():
    text = "first\n\n\x1b[1msecond\x1b[0m\nthird"
    assert [line.strip() for line in whole_message(ValueError(text)).splitlines()] == ["first", "second", "third"]
    assert whole_message(ValueError("x" * 9000)).endswith("(9,000 characters in all)")
    assert whole_message(ValueError()) == "ValueError"


def test_what_is_said_beside_a_path_needs_a_path(path, right):
    with pytest.raises(UsageError, match="loaded already"):
        porter.verify(path, right, unsafe_lambda=True)


@pytest.mark.parametrize("text", ["raise KeyError('x')", "", None])
def test_a_module_that_gives_nothing_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "broken.py").write_text(text)
    with pytest.raises(UsageError):
        own_objects(str(tmp_path / "broken.py"))


def test_the_command_line_has_them(path, right, tmp_path, monkeypatch):
    right.save_weights(tmp_path / "port.weights.h5")
    (tmp_path / "model.json").write_text(right.to_json())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_layers_here.py").write_text(PLAIN)
    run = CliRunner().invoke(app, [
        "verify", str(path), "port.weights.h5", "--architecture", "model.json", "--no-search",
        "--custom-objects", "own_layers_here",
    ])  # fmt: skip
    sys.modules.pop("own_layers_here", None)
    assert run.exit_code == 0, run.output
    assert run.output.startswith("PARITY")
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert Path("port.weights.h5").exists()
