"""The plugin, used as its users use it: small suites run by pytest inside of pytest."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import porter
import porter.exports.formats  # registered once: pytester forgets what its suites import first
import porter.exports.source
from porter.report.overview import render_overview, summarise, worst
from porter.testing.golden import read_golden, write_golden
from tests.report.examples import hostile, mismatch, parity

pytest_plugins = "pytester"

FILE = "bare_7-16-10-7.h5"
SUITE = """
    def test_bare(parity):
        parity.check("nets/bare.h5", port="models/{port}.keras", rows=50)
"""
INSTALLED = any(point.name == "porter" for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "porter.pytest_plugin")


@pytest.fixture(scope="module")
def ports(fixtures, keras, tmp_path_factory):
    """A folder with a port that is right and one whose second layer lacks its activation."""
    folder = tmp_path_factory.mktemp("ports")
    network = porter.read(fixtures / FILE)
    model = porter.build(network)
    model.save(folder / "right.keras")
    model.get_layer("Layer2").activation = keras.activations.linear
    model.save(folder / "wrong.keras")
    return folder


@pytest.fixture
def suite(pytester, root, fixtures, ports, monkeypatch):
    """A project of three folders; call it with pytest's arguments to run its suite."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(root))
    (pytester.path / "nets").mkdir()
    shutil.copy(fixtures / FILE, pytester.path / "nets" / "bare.h5")
    shutil.copytree(ports, pytester.path / "models")

    def run(*arguments, text=SUITE, port="right", subprocess=False, warned=False):
        pytester.makepyfile(test_nets=text.replace("{port}", port))
        runner = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        quiet = () if warned else ("-W", "default::porter.pytest_plugin.UnrecordedWarning")
        return runner("-W", "error", *quiet, *PLUGIN, *arguments)

    run.path = pytester.path
    run.golden = pytester.path / "parity" / "test_nets" / "test_bare.npz"
    return run


def test_the_entry_point_is_declared(root):
    assert 'porter = "porter.pytest_plugin"' in (root / "pyproject.toml").read_text()


@pytest.mark.subprocess
def test_importing_the_plugin_is_light():
    heavy = ("tensorflow", "keras", "numpy", "h5py", "hypothesis", "matplotlib", "jinja2", "rich")
    code = f"import sys, porter.pytest_plugin; print([name for name in {heavy} if name in sys.modules])"
    before = f"import sys, pytest; print([name for name in {heavy} if name in sys.modules])"
    found, already = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        for text in (code, before)
    )
    assert found == already


def test_three_lines_are_a_regression_test(suite):
    result = suite()
    result.assert_outcomes(passed=1)
    assert not suite.golden.exists()
    assert not list(suite.path.glob("**/*.html"))


def test_the_search_is_left_out_unless_asked_for(suite):
    text = """
        def test_options(parity, monkeypatch):
            import importlib

            verify = importlib.import_module("porter.jobs.verify")
            seen, real = [], verify.verify
            monkeypatch.setattr(verify, "verify", lambda *a, **o: seen.append(o["search"]) or real(*a, **o))
            parity.check("nets/bare.h5", port="models/right.keras", rows=20)
            parity.check("nets/bare.h5", port="models/right.keras", rows=20, search=True)
            assert seen == [False, True]
    """
    suite(text=text).assert_outcomes(passed=1)


def test_without_the_fixture_nothing_happens(suite):
    result = suite("--parity-report", "out", "--parity-record", text="def test_nothing(): pass")
    result.assert_outcomes(passed=1)
    assert not (suite.path / "out").exists()


def test_a_failure_shows_layer_cause_errors_and_the_page(suite):
    result = suite(port="wrong")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    result.stdout.fnmatch_lines(["E*MISMATCH: Layer2*", "E*activation.missing*", "E*worst*; allowed*", "E*remedy*"])
    page = Path(re.search(r"report: (\S+\.html)", text)[1])
    assert "Layer2" in page.read_text(encoding="utf-8")
    assert "pytest_plugin.py" not in text  # the traceback ends in the user's own test


def test_paths_are_those_from_the_root(suite, monkeypatch):
    monkeypatch.chdir(suite.path / "nets")
    result = suite("--rootdir", str(suite.path), str(suite.path))
    result.assert_outcomes(passed=1)


def test_a_missing_file_is_an_error_that_names_it(suite):
    result = suite(text=SUITE.replace("nets/bare.h5", "nets/absent.h5"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*absent.h5*"])


def test_a_recording_is_written_once_and_held_against(suite):
    suite("--parity-record").assert_outcomes(passed=1)
    recorded = suite.golden.read_bytes()
    golden = read_golden(suite.golden)
    assert golden.command == "pytest test_nets.py::test_bare --parity-record"
    assert golden.network["sha256"] == porter.read(suite.path / "nets" / "bare.h5").source.sha256
    assert "keras" in golden.history[0]["versions"]
    suite("--parity-record").assert_outcomes(passed=1)
    assert suite.golden.read_bytes() == recorded


def test_a_port_that_left_its_recording_fails(suite):
    suite("--parity-record")
    golden = read_golden(suite.golden)
    moved = golden.traces["Layer2"].copy()
    moved[5, 3] += 1e-3
    write_golden(suite.golden, replace(golden, traces={**golden.traces, "Layer2": moved}))
    result = suite()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Layer2: It no longer gives what its golden file recorded*", "*recorded with*keras*"])
    suite("--parity-update").assert_outcomes(passed=1)
    suite().assert_outcomes(passed=1)


def test_a_network_that_changed_is_an_error_that_says_so(suite, fixtures):
    suite("--parity-record")
    golden = read_golden(suite.golden)
    write_golden(suite.golden, replace(golden, network={**golden.network, "sha256": "0" * 64}))
    result = suite()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*hash changed*", "E*restore the network; or record it anew*--parity-update*"])


@pytest.mark.parametrize("option", ["--parity-record", "--parity-update"])
def test_what_is_wrong_is_not_recorded(suite, option):
    suite(option, port="wrong").assert_outcomes(failed=1)
    assert not suite.golden.exists()


@pytest.mark.parametrize("option", ["--parity-record", "--parity-update"])
def test_recording_is_refused_where_nobody_looks(suite, monkeypatch, option):
    suite("--parity-record")
    recorded = suite.golden.read_bytes()
    monkeypatch.setenv("CI", "true")
    result = suite(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option} is refused where CI is set*"])
    assert suite.golden.read_bytes() == recorded
    suite().assert_outcomes(passed=1)


def test_a_check_without_a_golden_file_says_so(suite):
    result = suite()
    result.assert_outcomes(passed=1, warnings=1)
    told = "parity: 1 check has no golden file; --parity-record writes it: test_nets.py::test_bare"
    result.stdout.fnmatch_lines([told])
    suite("--parity-record")
    result = suite()
    result.assert_outcomes(passed=1, warnings=0)
    result.stdout.no_fnmatch_line("*no golden file*")


def test_the_warning_is_of_a_class_that_a_suite_can_make_an_error(suite):
    result = suite(warned=True)
    result.stdout.fnmatch_lines(["*UnrecordedWarning: no golden file at *test_bare.npz*"])
    assert result.ret != pytest.ExitCode.OK


def test_without_a_golden_file_a_check_fails_under_ci(suite, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = suite()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*the check has no golden file*", "E*--parity-record writes it outside of CI*"])


@pytest.mark.parametrize("place", ["call", "marker"])
def test_a_check_may_say_that_it_needs_none(suite, monkeypatch, place):
    monkeypatch.setenv("CI", "true")
    text = SUITE.replace("rows=50", "rows=50, golden=False")
    if place == "marker":
        text = "    import pytest\n\n    pytestmark = pytest.mark.parity(golden=False)\n" + SUITE
    result = suite(text=text)
    result.assert_outcomes(passed=1, warnings=0)
    monkeypatch.delenv("CI")
    suite("--parity-record", text=text).assert_outcomes(passed=1)
    assert not suite.golden.exists()


def test_a_golden_file_may_lie_elsewhere_and_a_test_may_check_twice(suite):
    text = """
        def test_both(parity):
            options = {"port": "models/right.keras", "rows": 20}
            parity.check("nets/bare.h5", **options)
            parity.check("nets/bare.h5", **options)
            parity.check("nets/bare.h5", golden="recorded/bare.npz", **options)
    """
    suite("--parity-record", text=text).assert_outcomes(passed=1)
    written = {path.relative_to(suite.path).as_posix() for path in suite.path.glob("**/*.npz")}
    assert written == {
        "parity/test_nets/test_both.npz",
        "parity/test_nets/test_both-2.npz",
        "recorded/bare.npz",
    }


def test_the_marker_gives_options_and_selects(suite):
    text = """
        import pytest

        @pytest.mark.parity(activation="relu", rows=20)
        def test_marked(parity):
            parity.check("nets/bare.h5", port="models/right.keras")

        @pytest.mark.parity(activation="relu", rows=20)
        def test_own_option_wins(parity):
            parity.check("nets/bare.h5", port="models/right.keras", activation=None)

        def test_other():
            pass
    """
    result = suite("-m", "parity", "--strict-markers", text=text)
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["FAILED *test_marked*"])


TWO = """
    def test_a_good_one(parity):
        parity.check("nets/bare.h5", port="models/right.keras", rows=20)

    def test_a_wrong_one(parity):
        parity.check("nets/bare.h5", port="models/wrong.keras", rows=20)
"""


def test_one_page_over_all_checks(suite):
    result = suite("--parity-report", "out", text=TWO)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["parity report: *index.html"])
    page = (suite.path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Parity is not shown by 1 of 2 checks." in page
    assert page.index("test_a_wrong_one") < page.index("test_a_good_one")
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 2
    assert all((suite.path / "out" / link).is_file() for link in links)


def test_the_page_shows_the_history_of_a_recording(suite):
    suite("--parity-record")
    golden = read_golden(suite.golden)
    (entry,) = golden.history
    older = {**json.loads(json.dumps(entry)), "versions": {"keras": "2.99"}}
    write_golden(suite.golden, replace(golden, history=(older, entry)))
    suite("--parity-report", "out").assert_outcomes(passed=1)
    page = (suite.path / "out" / "index.html").read_text(encoding="utf-8")
    assert "keras 2.99" in page
    assert page.index("keras 2.99") < page.index(f"keras {entry['versions']['keras']}")


@pytest.mark.subprocess
@pytest.mark.slow
def test_works_under_xdist(suite):
    result = suite("-n", "2", "-p", "xdist", "--parity-report", "out", "--parity-record", text=TWO, subprocess=True)
    result.assert_outcomes(passed=1, failed=1)
    page = (suite.path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Parity is not shown by 1 of 2 checks." in page
    assert len(list((suite.path / "out").glob("*.html"))) == 3
    assert [path.name for path in suite.path.glob("**/*.npz")] == ["test_a_good_one.npz"]


def test_the_overview_escapes_what_it_is_given():
    report = hostile()
    check = summarise(report, report.layers[0].layer, report.layers[0].layer, "a page.html", [])
    page = render_overview([check, {}, summarise(parity(), "test", "net", "b.html", [])])
    assert "<script" not in page
    assert "1 of 2 checks" in page
    assert 'href="a%20page.html"' in page


def test_the_overview_names_the_layer_nearest_to_its_bound():
    rows = {row.layer: {"isolated": row.isolated, "allowed": row.allowed} for row in mismatch().layers}
    assert worst(rows) == ("Layer1", rows["Layer1"]["isolated"] / rows["Layer1"]["allowed"])
    assert worst({}) is None
    assert worst({"a": {"isolated": "NaN", "allowed": 1.0}, "b": {"isolated": 0.0, "allowed": 0.0}}) == ("a", np.inf)
    assert worst({"a": {"isolated": 1.0, "allowed": 0.0}})[1] == np.inf
