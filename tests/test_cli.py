"""The command line: what goes where, and the exit status."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from porter.cli import commands as cli
from porter.cli import options
from porter.jobs.provenance import read_provenance
from porter.jobs.saving import load_model, write_model
from porter.network.placement import PLACEMENTS
from porter.report.model import Finding, LayerRow
from porter.report.report import Report

SQUARE = "square_7-7-7-7-7.h5"


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process: (status, stdout, stderr)."""

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["porter", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        code = left.value.code
        captured = capsys.readouterr()
        return 0 if code is None else code, captured.out, captured.err

    return run_command


def report_of(network, verdict):
    rows = tuple(LayerRow(layer.name, (layer.name,), verdict) for layer in network.layers)
    finding = Finding("kernel.transposed", "Layer1", ("Layer1",), "its kernel is transposed", "", "transpose it")
    found = (finding,) if verdict == "mismatch" else ()
    return Report(verdict, {"reading": "assumed", "build": verdict}, {}, rows, network.claims, found)


@pytest.fixture
def judged(monkeypatch, keras):
    """Verification stands in for itself: the test gives the verdict by file name; the calls are kept."""
    calls, verdicts = [], {}

    def verify(network, model, **options):
        calls.append((network, model, options))
        return report_of(network, verdicts.get(network.name, "parity"))

    monkeypatch.setattr(import_module("porter.jobs.verify"), "verify", verify)
    return type("Judged", (), {"calls": calls, "verdicts": verdicts})


@pytest.fixture
def folder(fixtures, tmp_path):
    """Two networks and a truncated one."""
    place = tmp_path / "legacy"
    place.mkdir()
    for name in (SQUARE, "bare_7-16-10-7.h5"):
        (place / name).write_bytes((fixtures / name).read_bytes())
    (place / "truncated.h5").write_bytes((fixtures / SQUARE).read_bytes()[:3000])
    return place


# --- usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bad"],
        ["nothing"],
        ["inspect"],
        ["inspect", "--bad", "a.h5"],
        ["port", "a.h5"],
        ["port", "a.h5", "-o", "a.keras", "--dtype", "int8"],
        ["port", "a.h5", "-o", "a.keras", "--placement", "beside"],
        ["port", "a.h5", "-o", "a.keras", "--seed", "x"],
        ["verify", "a.h5"],
        ["verify", "a.h5", "a.keras", "b.keras"],
    ],
)
def test_wrong_usage_is_status_2_and_a_message_on_stderr(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert re.search(r"No such|Missing|Invalid|unexpected", err), err
    assert "Traceback" not in err


def test_help_goes_to_stdout(run):
    status, out, err = run("port", "--help")
    assert (status, err) == (0, "")
    assert "--placement" in out


def test_choices_are_those_of_the_library(keras):
    from porter.ports.keras.names import DTYPES

    assert get_args(get_args(cli.Dtype)[0]) == DTYPES
    assert get_args(get_args(cli.PortPlacement)[0]) == PLACEMENTS


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, None),
        ("tanh", "tanh"),
        ("tanh, relu,linear", ["tanh", "relu", "linear"]),
        ("leaky_relu(negative_slope=0.1)", "leaky_relu(negative_slope=0.1)"),
        ("scaled_tanh(amplitude=1.7, slope=0.6),linear", ["scaled_tanh(amplitude=1.7, slope=0.6)", "linear"]),
    ],
)
def test_lists(text, meant):
    assert options.listed(text) == meant


# --- inspect ---


def test_inspect_shows_layers_and_evidence(run, fixtures):
    status, out, err = run("inspect", fixtures / SQUARE)
    assert (status, err) == (0, "")
    assert "Layer1" in out
    assert "assumed" in out
    assert "\x1b" not in out


def test_inspect_as_json(run, fixtures):
    status, out, _ = run("inspect", fixtures / SQUARE, "--json")
    assert status == 0
    assert json.loads(out)["inputs"] == 7


def test_inspect_with_declarations(run, fixtures):
    _, out, _ = run(
        "inspect", fixtures / SQUARE, "--json", "--orientation", "inputs-first", "--activation", "relu,relu,tanh,linear"
    )
    claims = {(claim["layer"], claim["convention"]): claim for claim in json.loads(out)["claims"]}
    assert claims["Layer1", "orientation"]["value"] == "inputs-first"
    assert claims["Layer2", "activation"]["value"] == "relu"
    assert claims["Layer2", "activation"]["evidence"] == "declared"


def test_inspect_a_folder_shows_all_and_the_worst_status(run, folder):
    status, out, err = run("inspect", folder)
    assert status == 2
    assert SQUARE in out
    assert "bare_7-16-10-7.h5" in out
    assert "truncated.h5" in err
    assert "Traceback" not in err


def test_inspect_several_as_json(run, folder):
    status, out, _ = run("inspect", folder, "--json")
    content = json.loads(out)
    assert status == content["status"] == 2
    assert [entry["status"] for entry in content["files"]] == [0, 0, 2]
    assert content["files"][0]["contents"]["inputs"] == 7


def test_inspect_writes_a_recipe_once(run, fixtures, tmp_path):
    recipe = tmp_path / "net.toml"
    assert run("inspect", fixtures / SQUARE, "--write-recipe", recipe)[0] == 0
    written = recipe.read_text()
    status, _, err = run("inspect", fixtures / SQUARE, "--write-recipe", recipe)
    assert status == 2
    assert "--force" in err
    assert recipe.read_text() == written
    assert run("inspect", fixtures / SQUARE, "--write-recipe", recipe, "--force")[0] == 0
    assert run("inspect", fixtures / SQUARE, "--recipe", recipe)[0] == 0


@pytest.mark.parametrize("names", [("W1", "b1", "x_min"), ("first", "second", "third")])
def test_a_recipe_to_begin_with_for_a_folder_of_text(run, tmp_path, names):
    folder, recipe = tmp_path / "net", tmp_path / "net.toml"
    folder.mkdir()
    for name, text in zip(names, ("1 2 3\n4 5 6\n", "1 2\n", "0 0 0\n"), strict=True):
        (folder / f"{name}.txt").write_text(text)
    status, out, _ = run("inspect", folder, "--write-recipe", recipe)
    assert status == 0 and re.search(rf"{names[0]} +2 x 3 ", out)
    status, _, err = run("inspect", folder, "--recipe", recipe)
    assert status == 2 and "its layers are comments" in err
    written = recipe.read_text()
    layer = f'[[layers]]\nkernel = "{names[0]}"\nbias = "{names[1]}"\n'
    assert f'# [[layers]]\n# kernel = "{names[0]}"' in written
    recipe.write_text(written + layer)
    assert run("inspect", folder, "--recipe", recipe)[0] == 0
    recipe.write_text("version = 1\n")
    assert "its layers are comments" not in run("inspect", folder, "--recipe", recipe)[2]


def test_a_recipe_is_for_one_file(run, folder, tmp_path):
    status, _, err = run("inspect", folder, "--write-recipe", tmp_path / "net.toml")
    assert status == 2
    assert "expected: one file" in err


def test_inspect_a_port(run, fixtures, tmp_path, judged):
    port = tmp_path / "aa.keras"
    run("port", fixtures / SQUARE, "-o", port)
    status, out, err = run("inspect", port)
    assert (status, err) == (0, "")
    assert re.search(rf"source.name +{SQUARE}", out)
    assert re.search(r"verdict +parity", out)
    assert "Layer1: activation" in out
    assert json.loads(run("inspect", port, "--json")[1])["provenance"]["source"]["name"] == SQUARE
    status, _, err = run("inspect", port, "--write-recipe", tmp_path / "net.toml")
    assert status == 2
    assert "a legacy file to write a recipe for" in err


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_inspect_a_port_that_keras_saved_again(run, fixtures, tmp_path, judged, suffix):
    run("port", fixtures / SQUARE, "-o", tmp_path / f"aa{suffix}")
    write_model(load_model(tmp_path / f"aa{suffix}"), tmp_path / f"bb{suffix}")
    status, out, _ = run("inspect", tmp_path / f"bb{suffix}")
    assert status == 0
    assert "Keras has saved it again since, which drops the record" in out
    assert json.loads(run("inspect", tmp_path / f"bb{suffix}", "--json")[1])["provenance"] is None


# --- port ---


@pytest.mark.parametrize(("verdict", "status"), [("parity", 0), ("inconclusive", 1), ("mismatch", 1)])
def test_port_reports_on_stdout(run, fixtures, tmp_path, judged, *, verdict, status):
    judged.verdicts["square_7-7-7-7-7"] = verdict
    found, out, err = run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras")
    assert found == status
    assert out.startswith(verdict.upper())
    assert err == ""
    assert (tmp_path / "aa.keras").exists() is (verdict != "mismatch")


def test_port_passes_its_options_on(run, fixtures, tmp_path, judged):
    run(
        *("port", fixtures / SQUARE, "-o", tmp_path / "aa.h5", "--placement", "folded", "--dtype", "float64"),
        *("--samples", fixtures / "square_7-7-7-7-7.npz", "--seed", 5, "--no-search", "--activation", "relu"),
        *("--output-activation", "linear", "--scaling", "[0,1]"),
    )
    ((network, model, options),) = judged.calls
    assert options["seed"] == 5
    assert options["search"] is False
    assert options["placement"] == "folded"
    assert options["samples"].path.name == "square_7-7-7-7-7.npz"
    assert network.declarations == {"activation": "relu", "output_activation": "linear", "scaling": "[0,1]"}
    assert model.get_layer("Layer1").compute_dtype == "float64"
    assert read_provenance(tmp_path / "aa.h5")["options"]["samples"] == "square_7-7-7-7-7.npz"


def test_port_by_force(run, fixtures, tmp_path, judged):
    judged.verdicts["square_7-7-7-7-7"] = "mismatch"
    assert run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras", "--force")[0] == 1
    assert read_provenance(tmp_path / "aa.keras")["verdict"] == "mismatch"


def test_port_does_not_overwrite(run, fixtures, tmp_path, judged):
    (tmp_path / "aa.keras").write_text("precious")
    status, out, err = run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras")
    assert (status, out) == (2, "")
    assert "give --force" in err
    assert (tmp_path / "aa.keras").read_text() == "precious"
    assert not judged.calls


def test_port_of_a_broken_file(run, folder, tmp_path, judged):
    status, out, err = run("port", folder / "truncated.h5", "-o", tmp_path / "aa.keras")
    assert (status, out) == (2, "")
    assert "truncated.h5" in err
    assert "Traceback" not in err


def test_port_of_a_folder_is_one_table(run, folder, tmp_path, judged):
    judged.verdicts["bare_7-16-10-7"] = "mismatch"
    status, out, err = run("port", folder, "-o", tmp_path / "ports")
    assert status == 2
    rows = dict(line.split()[:2] for line in out.splitlines()[2:5])
    assert rows == {SQUARE: "parity", "bare_7-16-10-7.h5": "mismatch", "truncated.h5": "refused"}
    assert "bare_7-16-10-7.h5: Layer1: its kernel is transposed" in out
    assert [path.name for path in (tmp_path / "ports").iterdir()] == ["square_7-7-7-7-7.keras"]
    assert "truncated.h5" in err


def test_port_of_a_folder_as_json(run, folder, tmp_path, judged):
    status, out, _ = run("port", folder, "-o", tmp_path / "ports", "--json")
    content = json.loads(out)
    assert [entry["status"] for entry in content["files"]] == [0, 0, 2]
    assert content["files"][1]["report"]["verdict"] == "parity"
    assert status == 2


def test_a_folder_of_samples_is_told_once(run, folder, tmp_path, judged):
    status, out, err = run("port", folder, "-o", tmp_path / "ports", "--samples", folder)
    assert (status, out, judged.calls) == (2, "", [])
    assert err.count("a folder") == 1 and "{name}.npz" in err


def test_port_as_json_is_the_report(run, fixtures, tmp_path, judged):
    _, out, _ = run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras", "--json")
    assert json.loads(out)["links"]["save"] == "parity"


def test_port_writes_a_page(run, fixtures, tmp_path, judged):
    run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras", "--html", tmp_path / "report.html")
    assert "Layer1" in (tmp_path / "report.html").read_text()
    status, _, err = run(
        "port", fixtures / SQUARE, "-o", tmp_path / "bb.keras", "--html", tmp_path / "none" / "report.html"
    )
    assert status == 2
    assert "a file that can be written" in err and "mkdir -p" in err
    assert not (tmp_path / "bb.keras").exists()  # said before the work is done


def test_an_interrupt_is_no_verdict(run, fixtures, tmp_path, monkeypatch, keras):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("porter.jobs.verify"), "verify", interrupted)
    status, _, err = run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras")
    assert status == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_defect_shows_its_traceback_and_is_no_verdict(run, fixtures, tmp_path, monkeypatch, keras):
    def defect(*_arguments, **_options):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(import_module("porter.jobs.verify"), "verify", defect)
    status, out, err = run("port", fixtures / SQUARE, "-o", tmp_path / "aa.keras")
    assert (status, out) == (2, "")
    assert "Traceback" in err


# --- verify ---


@pytest.mark.parametrize(("verdict", "status"), [("parity", 0), ("inconclusive", 1), ("mismatch", 1)])
def test_verify(run, fixtures, tmp_path, judged, *, verdict, status):
    judged.verdicts["square_7-7-7-7-7"] = verdict
    junit = tmp_path / "junit.xml"
    found, out, err = run(
        "verify", fixtures / SQUARE, tmp_path / "any.keras", "--junit", junit, "--placement", "outside"
    )
    assert (found, err) == (status, "")
    assert out.startswith(verdict.upper())
    assert ("<failure" in junit.read_text()) is (verdict != "parity")
    ((_, ported, options),) = judged.calls
    assert ported == tmp_path / "any.keras"
    assert options["placement"] == "outside"


def test_verify_finds_the_placement_out_by_default(run, fixtures, tmp_path, judged):
    run("verify", fixtures / SQUARE, tmp_path / "any.keras")
    assert judged.calls[0][2]["placement"] is None


# --- the whole process ---


@pytest.mark.subprocess
def test_the_whole_process_keeps_stderr_clean(fixtures, tmp_path):
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "porter",
            "port",
            str(fixtures / SQUARE),
            "-o",
            str(tmp_path / "aa.keras"),
            "--no-search",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stderr == ""
    assert told.returncode == 0
    assert told.stdout.startswith("PARITY")
    assert "\x1b" not in told.stdout


@pytest.mark.subprocess
@pytest.mark.parametrize(("fails", "level", "shown"), [(False, None, False), (False, "0", True), (True, None, True)])
def test_what_tensorflow_prints_is_held_back_unless_it_fails_or_is_asked_for(tmp_path, root, fails, level, shown):
    """Whoever imports it first: a user's own function, an export, Keras."""
    (tmp_path / "tensorflow").mkdir()
    lines = ["import os", "os.write(2, b'the reason')", *(["raise ImportError('no tensors')"] if fails else [])]
    (tmp_path / "tensorflow" / "__init__.py").write_text("\n".join(lines))
    code = (
        "from porter.cli import console; console.quiet_tensorflow(); import tensorflow; print(tensorflow.__spec__.name)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    environment |= {} if level is None else {"TF_CPP_MIN_LOG_LEVEL": level}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert ("the reason" in told.stderr) == shown
    assert ("ImportError: no tensors" in told.stderr) == fails
    assert told.stdout == ("" if fails else "tensorflow\n")


@pytest.mark.parametrize(
    ("terminal", "variables", "colored"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colour(monkeypatch, terminal, variables, colored):
    from porter.cli import console

    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert console.in_color() is colored


def wait_while_working(seconds, patience):
    from porter.cli import console
    from porter.progress import tell

    with console.working("net.h5", patience):
        tell("verifying")
        time.sleep(seconds)


def test_progress_is_for_somebody_who_watches(monkeypatch, capsys):
    wait_while_working(0.5, 0.0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    wait_while_working(0.5, 0.0)
    told = capsys.readouterr().err
    assert "net.h5: verifying (0 s)" in told
    assert told.endswith("\r"), "the line is taken away again"


def test_what_is_done_at_once_is_not_told(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    wait_while_working(0.5, 2.0)
    assert capsys.readouterr().err == ""


# --- what the system refuses ---


@pytest.mark.subprocess
def test_nothing_is_said_where_nobody_reads_on(fixtures, root):
    """As with ``porter inspect ... | head -1``."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "porter", "inspect", str(fixtures / SQUARE)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=root)
    os.close(write)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize("name", ["aa.kears", "x.onnx", "port.tflite", "a.b.h6"])
def test_a_suffix_that_no_port_has_makes_nothing(run, fixtures, tmp_path, name):
    code, out, err = run("port", fixtures / SQUARE, "-o", tmp_path / name)
    assert (code, out) == (2, "")
    assert repr(Path(name).suffix) in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("judged")
def test_a_folder_of_any_name_that_is_there(run, fixtures, tmp_path):
    (tmp_path / "ports.d").mkdir()
    code, _, err = run("port", fixtures / SQUARE, "-o", tmp_path / "ports.d")
    assert code == 0, err
    assert (tmp_path / "ports.d" / SQUARE.replace(".h5", ".keras")).is_file()


LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", f"{LONG}.h5"],
        ["port", "LEGACY", "-o", f"{LONG}.keras"],
        ["port", f"{LONG}.h5", "-o", "a.keras"],
        ["verify", "LEGACY", f"{LONG}.keras"],
        ["inspect", "LEGACY", "--write-recipe", f"{LONG}.toml"],
        ["inspect", "LEGACY", "--write-recipe", "/proc/recipe.toml"],
        ["port", "LEGACY", "-o", "/proc/a.keras"],
        ["verify", "LEGACY", "/proc/self/mem"],
    ],
)
def test_what_the_system_refuses_is_one_message_and_status_2(run, fixtures, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(str(fixtures / SQUARE) if each == "LEGACY" else each for each in arguments))
    assert code == 2
    assert "Traceback" not in err and err.strip()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("judged")
def test_a_full_disk_is_one_message_and_leaves_nothing(run, fixtures, tmp_path, monkeypatch):
    def full(model, path):
        path.write_bytes(b"begun")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(import_module("porter.jobs.job"), "write_model", full)
    code, _, err = run("port", fixtures / SQUARE, "-o", tmp_path / "a.keras")
    assert code == 2
    assert "No space left on device" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.subprocess
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["inspect", "LEGACY"], ["--help"], ["--version"], ["formats"]])
def test_a_full_standard_output(fixtures, arguments):
    command = [str(fixtures / SQUARE) if each == "LEGACY" else each for each in arguments]
    with open("/dev/full", "w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "porter", *command], stdout=full, stderr=subprocess.PIPE, check=False, text=True
        )
    assert told.returncode == 2
    assert "Traceback" not in told.stderr and "Exception ignored" not in told.stderr
    assert "No space left on device" in told.stderr


@pytest.mark.subprocess
@pytest.mark.parametrize("backend", ["jaxx", "nothing"])
def test_a_backend_that_is_not_there(fixtures, tmp_path, backend):
    told = subprocess.run(
        [sys.executable, "-m", "porter", "port", str(fixtures / SQUARE), "-o", str(tmp_path / "a.keras")],
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | {"KERAS_BACKEND": backend},
    )
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert told.stderr.startswith(f"Keras cannot be loaded with the backend {backend!r}")


@pytest.mark.subprocess
def test_a_port_leaves_nothing_but_what_was_asked_for(fixtures, tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HYPOTHESIS")}
    told = subprocess.run(
        [sys.executable, "-m", "porter", "port", str(fixtures / SQUARE), "-o", "a.keras"],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": os.getcwd()},
    )
    assert told.returncode == 0, told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]


@pytest.mark.subprocess
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell, tmp_path):
    environment = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    told = subprocess.run(
        [sys.executable, "-m", "porter", "--show-completion", shell],
        capture_output=True, check=False, text=True, env=environment,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "_COMPLETE" in told.stdout


@pytest.mark.subprocess
def test_completion_completes():
    script = "import sys; from porter.cli import main; sys.argv = ['porter']; main()"
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, check=False, text=True,
        env=os.environ | {"_PORTER_COMPLETE": "complete_bash", "COMP_WORDS": "porter ver", "COMP_CWORD": "1"},
    )  # fmt: skip
    assert told.stdout.split() == ["verify"], told.stderr


@pytest.mark.subprocess
def test_a_terminal_that_cannot_show_a_character(fixtures):
    told = subprocess.run(
        [sys.executable, "-m", "porter", "inspect", str(fixtures / SQUARE)],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
    )
    assert told.returncode == 0, told.stderr
    assert b"Layer1" in told.stdout
