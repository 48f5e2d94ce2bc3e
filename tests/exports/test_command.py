"""The command line: what is written, told and refused, and what is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.exports.networks import write_hdf5
from tests.test_imports import cli, loaded_by

pytestmark = pytest.mark.subprocess


def porter(*arguments):
    words = [sys.executable, "-m", "porter", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def file(tmp_path):
    return write_hdf5(tmp_path / "small_Lrc_aaNN.h5")


def test_export_and_verify(file, tmp_path):
    done = porter("export", file, "-o", tmp_path / "aa.py")
    assert done.returncode == 0, done.stderr
    assert "export   parity" in done.stdout
    refused = porter("verify", file, tmp_path / "aa.py")
    assert refused.returncode == 2 and "--compile" in refused.stderr
    assert porter("verify", file, tmp_path / "aa.py", "--compile").returncode == 0
    (tmp_path / "aa.py").write_text((tmp_path / "aa.py").read_text().replace(" + Layer3_bias", ""))
    wrong = porter("verify", file, tmp_path / "aa.py", "--compile", "--json")
    assert wrong.returncode == 1
    told = json.loads(wrong.stdout)
    assert [(each["code"], each["layer"]) for each in told["findings"]] == [("bias.missing", "Layer3")]
    assert told["links"]["export"] == "mismatch"


def test_port_to_another_format(file, tmp_path):
    assert porter("port", file, "--to", "numpy", "-o", tmp_path / "aa.py").returncode == 0
    (tmp_path / "many").mkdir()
    other = write_hdf5(tmp_path / "other_Lrc_aaNN.h5", seed=1)
    done = porter("port", file, other, "--to", "numpy", "-o", tmp_path / "many")
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in (tmp_path / "many").iterdir()) == ["other_Lrc_aaNN.py", "small_Lrc_aaNN.py"]


def test_back_into_the_legacy_file(file, tmp_path):
    done = porter("export", file, "--like", file, "-o", tmp_path / "back.h5")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.h5").read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_every_format_as_a_table(file, tmp_path):
    done = porter("export", file, "--to", "all", "-o", tmp_path / "every", "--json")
    assert done.returncode == 0, done.stderr
    rows = {each["format"]: each for each in json.loads(done.stdout)["formats"]}
    assert {"c", "fortran", "numpy"} <= set(rows)
    assert rows["numpy"]["verdict"] == "parity" and rows["numpy"]["rows_per_second"] > 0
    assert rows["numpy"]["size"] > 0 and rows["numpy"]["error"] < 1e-12
    table = porter("export", file, "--to", "all", "-o", tmp_path / "every", "--force").stdout
    assert "rows/s" in table and "8 of 8" in table


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "cobol", "-o", "aa.cob"], "numpy"),
        (["-o", "aa.unknown"], "--to FORMAT"),
        (["--to", "all", "--precision", "float32", "-o", "every"], "none of these"),
        (["--precision", "float16", "-o", "aa.c"], "float64 or float32"),
        (["-o", "nowhere/aa.c"], "mkdir -p"),
    ],
)
def test_refusals(file, tmp_path, arguments, told):
    done = subprocess.run([sys.executable, "-m", "porter", "export", str(file), *arguments],
                          capture_output=True, text=True, check=False, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_keras_models_are_not_passed_over(file, tmp_path):
    for words in (("--dtype", "float64"), ("--placement", "folded")):
        done = porter("port", file, "--to", "numpy", "-o", tmp_path / "aa.py", *words)
        assert done.returncode == 2 and "--precision" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aa.c", "aa.f90", "aa.py"])
def test_no_tensorflow_for_programs(file, tmp_path, name):
    for arguments in (
        ("export", file, "-o", tmp_path / name),
        ("port", file, "--to", {"c": "c", "f90": "fortran", "py": "numpy"}[name.split(".")[1]], "--force",
         "-o", tmp_path / name),
        ("verify", file, tmp_path / name, "--compile"),
    ):  # fmt: skip
        assert loaded_by(cli(*arguments)) == "[]"


def test_no_tensorflow_to_write_back(file, tmp_path):
    assert loaded_by(cli("export", file, "--like", file, "-o", tmp_path / "back.h5")) == "[]"


def test_no_tensorflow_from_a_saved_model(file, tmp_path):
    assert porter("port", file, "-o", tmp_path / "aa.keras", "--no-search").returncode == 0
    assert loaded_by(cli("export", tmp_path / "aa.keras", "-o", tmp_path / "aa.py")) == "[]"
    assert loaded_by(cli("export", tmp_path / "aa.keras", "--like", file, "-o", tmp_path / "back.h5")) == "[]"
    assert (tmp_path / "back.h5").read_bytes() == file.read_bytes()


def test_pace_is_written_in_c_in_under_a_second(real, tmp_path):
    """Reading, writing and the rows of the self-test, the best of three, for other processes share the machine."""
    import porter
    from porter.exports.c import write
    from porter.exports.registry import WriteOptions

    def once():
        start = time.process_time()
        network = porter.read(real / "oc_smart" / "PACE_Lrc_aaNN.h5")
        write(network, tmp_path / "aa.c", WriteOptions())
        return time.process_time() - start

    assert min(once() for _ in range(3)) < 1
    assert (tmp_path / "aa.c").stat().st_size > 100_000
