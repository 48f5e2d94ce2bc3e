"""Legacy Keras graphs as programs: every layer judged, mistakes in the text named, what cannot be held refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

import porter
from porter.errors import UnbuildableError
from tests.exports import graphs
from tests.keras_legacy.files import layer, model, write

FILES = {
    "cnn": graphs.cnn,
    "cnn, channels first": lambda path: graphs.cnn(path, "channels_first"),
    "words": graphs.text_cnn,
    "lstm": graphs.recurrent,
    "gru": lambda path: graphs.recurrent(path, "GRU"),
    "gru, reset after": lambda path: graphs.recurrent(path, "GRU", reset_after=True),
    "rnn backwards": lambda path: graphs.recurrent(path, "SimpleRNN", go_backwards=True),
    "branches": graphs.branches,
    "both ways": graphs.both_ways,
}


@pytest.fixture(params=["c", "fortran", "numpy"])
def suffix(request):
    commands = {"c": ("cc", "gcc", "clang"), "fortran": ("gfortran", "flang", "ifx", "ifort")}.get(request.param)
    if commands is not None and not any(shutil.which(each) for each in commands):
        pytest.skip(f"no compiler of {request.param} here: none of {', '.join(commands)}")
    return {"c": ".c", "fortran": ".f90", "numpy": ".py"}[request.param]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", FILES)
def test_every_layer(tmp_path, suffix, name, precision):
    file = FILES[name](tmp_path / "old.h5")
    report = porter.export(file, tmp_path / f"net{suffix}", precision=precision)
    assert report.verdict == report.links["export"] == "parity", str(report)
    assert all(row.verdict == "parity" for row in report.layers)
    assert {row.dtype for row in report.layers} == {precision}


MISTAKES = {
    "bias.missing": ("conv_1", "cnn", ".c", r"real z = conv_1_bias\[f\]", "real z = 0"),
    "activation.replaced": ("conv_2", "cnn", ".py", r"y = tanh\(y\)", "y = y / (1 + np.abs(y))"),
    "recurrent.gates": ("first", "lstm", ".c", r"keep \* c\[j\] \+ in \*", "in * c[j] + keep *"),
    "recurrent.activation": ("first", "gru", ".py", r"gates = hard_sigmoid_keras2\(", "gates = sigmoid("),
}


@pytest.mark.parametrize("code", MISTAKES)
def test_a_mistake_in_the_text_is_found_at_its_layer(tmp_path, code):
    where, name, suffix, pattern, by = MISTAKES[code]
    file, path = FILES[name](tmp_path / "old.h5"), tmp_path / f"net{suffix}"
    assert porter.export(file, path).verdict == "parity"
    text, count = re.subn(pattern, by, path.read_text(), count=1)
    assert count == 1
    if "sigmoid(" in by:
        text = text.replace(
            "def compute_first", "def sigmoid(x):\n    return 1 / (1 + np.exp(-x))\n\n\ndef compute_first", 1
        )
    path.write_text(text)
    report = porter.verify(file, path, compile=True)
    assert report.verdict == "mismatch"
    assert [row.layer for row in report.layers if row.verdict == "mismatch"] == [where]
    assert (code, where) in [(each.code, each.layer) for each in report.findings], str(report)


def test_a_program_that_has_nothing_to_test_itself_with_says_so(tmp_path, suffix):
    """From end to end no bound is known for convolutions: a test without rows is not passed."""
    path = tmp_path / f"net{suffix}"
    report = porter.export(graphs.cnn(tmp_path / "old.h5"), path)
    assert report.verdict == "parity" and "no rows to test itself with" in report.link_notes["export"]
    command = [sys.executable, str(path)] if suffix == ".py" else [str(tmp_path / "prog")]
    compilers = {".c": ["cc", "-DMAIN", str(path), "-lm"], ".f90": ["gfortran", str(path)]}
    if suffix != ".py":
        subprocess.run([*compilers[suffix], "-o", command[0]], check=True, cwd=tmp_path)
    done = subprocess.run([*command, "--selftest"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "selftest has no rows" in done.stdout + done.stderr
    assert "passed" not in done.stdout


def test_an_open_length_and_a_mask_are_refused_by_name(tmp_path):
    open_length = write(
        tmp_path / "open.h5",
        model([layer("Conv1D", "conv_1", filters=5, kernel_size=[3], strides=[1], padding="same", dilation_rate=[1],
                     activation="relu", use_bias=False, batch_input_shape=[None, None, 3])]),
        graphs.held("conv_1", ("kernel",), (3, 3, 5)),
    )  # fmt: skip
    masked = write(
        tmp_path / "masked.h5",
        model([layer("Masking", "skip", mask_value=0.0, batch_input_shape=[None, 4, 3])]),
        {},
    )
    for file, told in ((open_length, "open length"), (masked, "mask")):
        with pytest.raises(UnbuildableError, match=told):
            porter.export(file, tmp_path / "net.py")
    assert not (tmp_path / "net.py").exists()
