"""A saved port is complete or not there at all, and carries its record."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from porter.errors import AccessError, OutputExistsError, UnbuildableError, UnreadableError, UsageError
from porter.jobs import saving
from porter.jobs.provenance import MEMBER, SCHEMA_VERSION, describe, is_saved_model, read_provenance, write_provenance
from porter.jobs.saving import check_output, load_model, save_model, staged
from porter.report.model import Finding
from porter.report.report import Report
from tests.networks import small_network

RECORD = {"schema_version": SCHEMA_VERSION, "source": {"name": "small.h5"}, "verdict": "parity", "note": "Größe"}
SUFFIXES = [".keras", ".h5"]


@pytest.fixture(scope="module")
def model(keras):
    from porter.ports.keras.build import build

    return build(small_network())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_saved_is_what_is_loaded(model, tmp_path, suffix):
    path = tmp_path / f"aa{suffix}"
    save_model(model, path, RECORD)
    x = np.random.default_rng(0).normal(size=(50, 5))
    np.testing.assert_array_equal(load_model(path)(x), model(x))
    assert read_provenance(path) == RECORD
    assert is_saved_model(path)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_keras_drops_the_record_when_it_saves_again(model, tmp_path, suffix):
    path = tmp_path / f"aa{suffix}"
    save_model(model, path, RECORD)
    saving.write_model(load_model(path), tmp_path / f"again{suffix}")
    assert read_provenance(tmp_path / f"again{suffix}") is None
    assert is_saved_model(tmp_path / f"again{suffix}")


def test_an_existing_file_stays_unless_forced(model, tmp_path):
    path = tmp_path / "aa.keras"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"give --force \(force=True\)"):
        save_model(model, path, RECORD)
    assert path.read_text() == "precious"
    save_model(model, path, RECORD, force=True)
    assert read_provenance(path) == RECORD


def test_a_file_that_appears_meanwhile_stays_too(tmp_path):
    path = tmp_path / "aa.keras"
    with pytest.raises(OutputExistsError), staged(path) as draft:
        draft.write_text("new")
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"
    assert names(tmp_path) == ["aa.keras"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError, SystemExit])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("where", ["model", "record"])
def test_nothing_is_left_after_a_failure_in_the_middle(model, tmp_path, monkeypatch, *, kind, suffix, existing, where):
    path = tmp_path / f"aa{suffix}"
    if existing:
        path.write_text("precious")
    write = {"model": saving.write_model, "record": saving.write_provenance}[where]

    def half(*arguments):
        write(*arguments)
        assert len(names(tmp_path)) == 1 + existing, "a draft is there when the failure strikes"
        raise kind("in the middle")

    monkeypatch.setattr(saving, {"model": "write_model", "record": "write_provenance"}[where], half)
    with pytest.raises(AccessError if kind is OSError else kind, match="in the middle"):
        save_model(model, path, RECORD, force=True)
    assert names(tmp_path) == ([path.name] if existing else [])
    assert not existing or path.read_text() == "precious"


def test_an_interrupt_inside_keras_leaves_nothing(model, tmp_path, monkeypatch):
    def interrupted(*_arguments, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, tmp_path / "aa.keras", RECORD)
    assert names(tmp_path) == []


def test_discarding_leaves_the_output_as_it_was(tmp_path):
    path = tmp_path / "aa.keras"
    path.write_text("precious")
    with staged(path, force=True) as draft:
        draft.write_text("new")
        raise saving.Discard
    assert path.read_text() == "precious"
    assert names(tmp_path) == ["aa.keras"]


def test_the_file_has_the_users_own_permissions(model, tmp_path):
    (tmp_path / "plain").touch()
    save_model(model, tmp_path / "aa.keras", RECORD)
    assert (tmp_path / "aa.keras").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("name", "told"), [("aa.onnx", "the suffix '.onnx'"), ("aa", "no suffix")])
def test_another_suffix_is_refused(tmp_path, name, told):
    with pytest.raises(UsageError, match=told) as caught:
        check_output(tmp_path / name)
    assert ".keras or .h5" in str(caught.value)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="mkdir -p"):
        check_output(tmp_path / "none" / "aa.keras")


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / "aa.keras").mkdir()
    with pytest.raises(UsageError, match="a folder of that name"):
        check_output(tmp_path / "aa.keras", force=True)


def test_operations_do_not_fit_h5(tmp_path, keras):
    from porter.ports.keras.build import build

    with pytest.raises(UnbuildableError, match="operations that Keras loses") as caught:
        save_model(build(small_network(physical=True)), tmp_path / "aa.h5", RECORD)
    assert "save as aa.keras" in str(caught.value)
    assert names(tmp_path) == []


def test_bfloat16_does_not_fit_h5(tmp_path, keras):
    from porter.ports.keras.build import build

    with pytest.raises(UnbuildableError, match="bfloat16 weights"):
        save_model(build(small_network(), dtype="bfloat16"), tmp_path / "aa.h5", RECORD)


def test_the_log_level_is_given_back(model, tmp_path):
    import logging

    before = logging.getLogger("absl").level
    save_model(model, tmp_path / "aa.h5", RECORD)
    assert logging.getLogger("absl").level == before


def test_a_record_says_what_a_report_says():
    network = small_network()
    finding = Finding("kernel.transposed", "Layer2", ("Layer2",), "the kernel is transposed", "", "")
    report = Report("mismatch", {"build": "mismatch"}, {"build": "x"}, (), network.claims, (finding,))
    record = describe(network, report, {"dtype": "float32", "samples": None})
    assert record["source"] == {"name": "small.h5", "format": "oc-smart", "sha256": "ab" * 32}
    assert record["verdict"] == "mismatch"
    assert record["findings"] == [
        {"code": "kernel.transposed", "layer": "Layer2", "message": "the kernel is transposed"}
    ]
    assert record["claims"][0]["evidence"] == "assumed"
    assert record["options"] == {"dtype": "float32"}
    assert {"porter", "python", "numpy"} <= record["versions"].keys()
    assert json.loads(json.dumps(record)) == record


def archive(path, text):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
        file.writestr(MEMBER, text)
    return path


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 99}', b"\xff\xfe"])
def test_a_broken_record_is_refused(tmp_path, text):
    with pytest.raises(UnreadableError, match="its provenance record") as caught:
        read_provenance(archive(tmp_path / "aa.keras", text))
    assert "port the legacy file again" in str(caught.value)


def test_a_damaged_archive_is_refused(tmp_path):
    path = archive(tmp_path / "aa.keras", "{}" * 500)
    content = bytearray(path.read_bytes())
    content[content.index(b"{}{}") : content.index(b"{}{}") + 8] = b"damaged!"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match="CRC"):
        read_provenance(path)


def test_a_record_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("porter.jobs.provenance.LARGEST", 10)
    with pytest.raises(UnreadableError, match="1,000 bytes"):
        read_provenance(archive(tmp_path / "aa.keras", "{}" * 500))


def test_a_record_that_is_no_text(tmp_path):
    with h5py.File(tmp_path / "aa.h5", "w") as file:
        file.attrs[MEMBER] = [1, 2]
    with pytest.raises(UnreadableError, match="an attribute of type list"):
        read_provenance(tmp_path / "aa.h5")


def test_a_long_record_fits_h5(tmp_path):
    h5py.File(tmp_path / "aa.h5", "w").close()
    long = RECORD | {"note": "x" * 300_000}
    write_provenance(tmp_path / "aa.h5", long)
    assert read_provenance(tmp_path / "aa.h5") == long


def test_other_files_are_refused(tmp_path):
    (tmp_path / "aa.keras").write_text("text")
    with pytest.raises(UnreadableError, match="neither a ZIP archive nor HDF5"):
        read_provenance(tmp_path / "aa.keras")
    with pytest.raises(UnreadableError, match="no such file"):
        read_provenance(tmp_path / "none.keras")
    assert not is_saved_model(tmp_path / "aa.keras")
    assert not is_saved_model(tmp_path / "none.keras")


@pytest.mark.parametrize(("version", "answer"), [("3.15.1", True), ("2.2.4", False), (b"2.2.4", False), (None, False)])
def test_only_keras_3_saves_ports(tmp_path, version, answer):
    path = tmp_path / "aa.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        if version is not None:
            file.attrs["keras_version"] = version
    assert is_saved_model(path) is answer


def test_arrays_alone_are_no_saved_model(tmp_path):
    h5py.File(tmp_path / "aa.h5", "w").close()
    assert not is_saved_model(tmp_path / "aa.h5")
    (tmp_path / "bb.h5").write_bytes(b"\x89HDF\r\n\x1a\n truncated")
    assert not is_saved_model(tmp_path / "bb.h5")


@pytest.mark.subprocess
def test_a_record_is_read_without_tensorflow(tmp_path):
    path = archive(tmp_path / "aa.keras", json.dumps(RECORD))
    code = (
        "import sys; from porter import read_provenance; print(read_provenance(sys.argv[1])['verdict']); "
        "print([name for name in ('tensorflow', 'keras', 'h5py') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["parity", "[]"]


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_saved_port_loads_where_porter_is_not_installed(model, tmp_path):
    save_model(model, tmp_path / "aa.keras", RECORD)
    x = np.random.default_rng(0).normal(size=(5, 5))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.asarray(model(x)))
    code = (
        "import sys; sys.modules['porter'] = sys.modules['reference'] = None\n"
        "import keras, numpy as np; model = keras.saving.load_model('aa.keras')\n"
        "assert np.array_equal(np.asarray(model(np.load('x.npy'))), np.load('y.npy'))"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, capture_output=True)
