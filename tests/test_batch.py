"""Several files: one outcome each, the worst status of them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.cli.summary import render_json, render_table
from porter.errors import UnreadableError, UsageError
from porter.jobs.batch import Outcome, destinations, expand, run_all, samples_of, status_of, worst_status
from porter.report.model import LayerRow
from porter.report.report import Report
from tests.formats.families import write_sl2p


def report(verdict="parity", row="parity"):
    rows = (LayerRow("Layer1", ("Layer1",), row),)
    return Report(verdict, {"reading": "assumed", "build": verdict}, {}, rows, ())


REFUSED = Outcome(Path("c.h5"), error=UnreadableError("c.h5 is empty", found="0 bytes"))


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(Path("a"), report()), 0),
        (Outcome(Path("a"), report("mismatch")), 1),
        (Outcome(Path("a"), report("inconclusive")), 1),
        (Outcome(Path("a"), report("parity", "uncompared")), 1),
        (Outcome(Path("a"), "a network"), 0),
        (REFUSED, 2),
    ],
)
def test_status(outcome, status):
    assert outcome.status == status


def test_the_worst_counts():
    parity, mismatch = Outcome(Path("a"), report()), Outcome(Path("b"), report("mismatch"))
    assert worst_status([parity, mismatch, parity]) == 1
    assert worst_status([mismatch, REFUSED, parity]) == 2
    assert status_of(report()) == 0


def test_a_refusal_and_a_defect_stop_nothing():
    def task(file):
        if file.name == "refused":
            raise UnreadableError("refused is empty")
        if file.name == "defect":
            raise ZeroDivisionError("a mistake of ours")
        return report()

    notices = []
    outcomes = run_all([Path("refused"), Path("defect"), Path("good")], task, notices.append)
    assert [outcome.status for outcome in outcomes] == [2, 2, 0]
    assert notices[0] == "refused is empty"
    assert "Traceback" in notices[1]
    assert "ZeroDivisionError: a mistake of ours" in str(outcomes[1].error)


def test_an_interrupt_stops_all():
    def task(_file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([Path("a"), Path("b")], task, print)


def test_a_folder_stands_for_its_legacy_files(fixtures, tmp_path):
    for name in ("square_7-7-7-7-7.h5", "square_7-7-7-7-7.npz", "MANIFEST.json"):
        (tmp_path / name).write_bytes((fixtures / name).read_bytes())
    (tmp_path / "truncated.h5").write_bytes((fixtures / "square_7-7-7-7-7.h5").read_bytes()[:300])
    (tmp_path / ".hidden.h5").touch()
    (tmp_path / "sub").mkdir()
    notices = []
    found = expand([tmp_path, tmp_path / "truncated.h5"], notices.append)
    assert [file.name for file in found] == ["square_7-7-7-7-7.h5", "truncated.h5"]
    passed = "2 other files passed over (MANIFEST.json, square_7-7-7-7-7.npz)"
    assert notices == [f"{tmp_path}: 2 networks, {passed}"]


def test_a_folder_is_searched_with_those_in_it(fixtures, tmp_path):
    square = (fixtures / "square_7-7-7-7-7.h5").read_bytes()
    for place in ("net.h5", "2019/net.h5", "2019/deep/er/net.h5", ".git/net.h5", "saved/net.h5"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(square)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"1")
    for name, data in {"a.npz": b"PK\x03\x04 no", "b.txt": b"text", "c.h5": b"not HDF5", "d.nc": b"CDF\x01"}.items():
        (tmp_path / "2019" / name).write_bytes(data)
    notices = []
    found = expand([tmp_path], notices.append)
    places = [str(file.relative_to(tmp_path)) for file in found]
    assert places == ["net.h5", "2019/net.h5", "2019/deep/er/net.h5"]
    assert notices == [f"{tmp_path}: 3 networks, 4 other files passed over (a.npz, b.txt, c.h5, ...)"]


@pytest.mark.parametrize(("name", "form"), [("aa.kears", None), ("x.onnx", "onnx"), ("net.hdf", None)])
def test_a_folder_is_not_made_of_a_misspelt_file(tmp_path, name, form):
    with pytest.raises(UsageError, match="the suffix") as caught:
        destinations([Path("a.h5")], tmp_path / name)
    assert ("porter export" in str(caught.value)) == (form is not None)
    assert form is None or f"porter export a.h5 --to {form} -o {tmp_path / name}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_of_the_system_stops_nothing_and_is_no_defect():
    def task(file):
        raise PermissionError(13, "Permission denied", str(file))

    notices = []
    outcomes = run_all([Path("a.h5")], task, notices.append)
    assert outcomes[0].status == 2
    assert "Permission denied" in notices[0] and "porter itself failed" not in notices[0]


def test_a_folder_without_any(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UsageError, match="holds no legacy network") as caught:
        expand([tmp_path], print)
    assert "--recipe" in str(caught.value)


def test_files_are_taken_as_they_are(tmp_path):
    assert expand([tmp_path / "none.h5"], print) == [tmp_path / "none.h5"]


def test_one_file_to_one_model():
    assert destinations([Path("a.h5")], Path("b.keras")) == {Path("a.h5"): Path("b.keras")}


def test_several_files_to_a_folder_that_is_made(tmp_path):
    folder = tmp_path / "new" / "ports"
    targets = destinations([Path("x/a.h5"), Path("y/b.v2.h5")], folder)
    assert list(targets.values()) == [folder / "a.keras", folder / "b.v2.keras"]
    assert folder.is_dir()


def test_an_existing_folder_is_a_folder_whatever_its_name(tmp_path):
    (tmp_path / "b.keras").mkdir()
    assert destinations([Path("a.h5")], tmp_path / "b.keras") == {Path("a.h5"): tmp_path / "b.keras" / "a.keras"}


def test_one_model_for_several_files(tmp_path):
    with pytest.raises(UsageError, match="one file for 2 networks"):
        destinations([Path("a.h5"), Path("b.h5")], tmp_path / "a.keras")


def test_samples_of_each_file():
    assert samples_of(Path("x/a.h5"), Path("{folder}/{name}_samples.npz")) == Path("x/a_samples.npz")
    assert samples_of(Path("x/a.h5"), Path("one.npz")) == Path("one.npz")
    assert samples_of(Path("x/a.h5"), None) is None


def test_two_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    files = [Path("x/a.h5"), Path("y/a.h5"), Path("y/b.h5")]
    assert list(destinations(files, tmp_path).values()) == [tmp_path / f"{name}.keras" for name in ("x_a", "y_a", "b")]


def test_two_files_of_one_name_in_folders_of_one_name(tmp_path):
    with pytest.raises(UsageError, match="would have the same name"):
        destinations([Path("x/z/a.h5"), Path("y/z/a.h5")], tmp_path)


def test_subfolders_are_gone_into_and_a_folder_may_be_a_network(fixtures, tmp_path):
    nested = tmp_path / "deep" / "er"
    nested.mkdir(parents=True)
    (nested / "net.h5").symlink_to(fixtures / "square_7-7-7-7-7.h5")
    (nested / "readme.txt").write_text("nothing")
    (tmp_path / "loop").symlink_to(tmp_path)
    lai = write_sl2p(tmp_path / "LAI")
    notices = []
    assert expand([tmp_path], notices.append) == [lai, nested / "net.h5"]
    assert notices == [f"{tmp_path}: 2 networks, 1 other file passed over (readme.txt)"]
    assert expand([lai], notices.append) == [lai]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a folder that can be made"):
        destinations([Path("a.h5")], tmp_path / "file" / "folder")


def test_the_table_has_one_line_a_file_and_says_what_is_the_matter():
    mismatch = Outcome(Path("b.h5"), report("mismatch", "mismatch"))
    text = render_table([Outcome(Path("a.h5"), report()), mismatch, REFUSED], width=120)
    lines = text.splitlines()
    assert lines[2].split() == ["a.h5", "parity", "assumed", "parity", "not", "checked"]
    assert lines[3].split() == ["b.h5", "mismatch", "assumed", "mismatch", "not", "checked"]
    assert lines[4].split() == ["c.h5", "refused", "-", "-", "-"]
    assert "b.h5: Layer1: the port differs by more than rounding explains." in lines
    assert "c.h5 is empty" in lines
    assert not any(line.startswith("a.h5:") for line in lines)
    assert "\x1b" not in text


def test_paths_where_names_do_not_tell_the_files_apart():
    text = render_table([Outcome(Path("x/a.h5"), report()), Outcome(Path("y/a.h5"), report())])
    assert "x/a.h5" in text
    assert "y/a.h5" in text


def test_the_table_in_colour():
    assert "\x1b[32mparity" in render_table([Outcome(Path("a.h5"), report())], color=True)


def test_json_of_one_is_the_report_itself():
    content = json.loads(render_json([Outcome(Path("a.h5"), report())]))
    assert content["verdict"] == "parity"


def test_json_of_several():
    content = json.loads(render_json([Outcome(Path("a.h5"), report("mismatch")), REFUSED]))
    assert content["status"] == 2
    assert content["files"][0]["file"] == "a.h5"
    assert content["files"][0]["report"]["verdict"] == "mismatch"
    assert content["files"][1]["error"] == "c.h5 is empty\n  found:    0 bytes"
