"""pytest plugin: parity as part of a regression suite.

    def test_aph_network(parity):
        parity.check("nets/OLCI_aphNN.h5", port="models/aph.keras", samples="golden/aph.npz")

Nothing heavy is imported before a check runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from porter.report.report import Report

VERIFY_OPTIONS = ("seed", "search", "placement", "rows")
CHECKS = pytest.StashKey[list[dict[str, Any]]]()
UNRECORDED = pytest.StashKey[list[str]]()
MARKER = "parity(**options): compares a port with its legacy network; the options are those of parity.check"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the three options."""
    group = parser.getgroup("parity", "parity of ports with their legacy networks")
    group.addoption(
        "--parity-record",
        action="store_true",
        help="write the golden file of every check that has none yet; refused where CI is set",
    )
    group.addoption(
        "--parity-update", action="store_true", help="write every golden file anew; refused where CI is set"
    )
    group.addoption(
        "--parity-report", metavar="DIR", help="write a page for every check, and one over all of them, into DIR"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker; refuse to write golden files where nobody looks at them.

    Raises:
        pytest.UsageError: ``--parity-update`` or ``--parity-record`` where the environment variable CI is set.
    """
    config.addinivalue_line("markers", MARKER)
    for option in ("update", "record"):
        if config.getoption(f"parity_{option}") and _is_ci():
            raise pytest.UsageError(
                f"--parity-{option} is refused where CI is set: golden files are written by hand, and what they hold "
                "is looked at; run it outside of CI and commit the files"
            )
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(config), "parity-report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for ``parity`` carries its marker, so that ``-m parity`` selects it."""
    for item in items:
        if "parity" in getattr(item, "fixturenames", ()) and item.get_closest_marker("parity") is None:
            item.add_marker("parity")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what the checks found along with the test's report, which xdist carries to the controller."""
    report = yield
    if report.when == "call":
        vars(report)["parity"] = item.stash.get(CHECKS, [])
        vars(report)["parity_unrecorded"] = item.stash.get(UNRECORDED, [])
    return report


@pytest.fixture
def parity(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parity:
    """Check ports against their legacy networks: ``parity.check(legacy, port=..., samples=...)``."""
    return Parity(request.node, tmp_path_factory)


class UnrecordedWarning(pytest.PytestWarning):
    """A check that has no golden file: the port was held against its legacy network alone."""


class Parity:
    """The checks of one test."""

    def __init__(self, item: pytest.Item, folders: pytest.TempPathFactory) -> None:
        self._item, self._folders = item, folders
        self._checks: list[dict[str, Any]] = item.stash.setdefault(CHECKS, [])

    def check(
        self,
        legacy: Any,
        *,
        port: Any,
        samples: Any = None,
        golden: str | Path | Literal[False] | None = None,
        **options: Any,
    ) -> Report:
        """Verify a port, and hold it against its golden file.

        Where that file does not exist, a warning and a line in pytest's summary say so; under CI it is an error.

        Args:
            legacy: path of the legacy network, relative to pytest's root directory, or a ``porter.Network``.
            port: path of the port, likewise, or a keras.Model.
            samples: golden samples of the original software, as for ``porter.verify``.
            golden: golden file of the port; by default ``parity/<module>/<test>.npz`` beside the test's file. False:
                the check needs none, and holds the port against the legacy network alone.
            **options: ``porter.verify``'s and ``porter.read``'s; those of the marker ``parity`` hold where none are
                given here. A suite runs often, so that the search is left out unless ``search=True`` asks for it.

        Returns:
            The report, its verdict "parity".

        Raises:
            ParityError: anything else; the message has layer, cause, errors, and the path of the HTML report.
            PorterError: a file that cannot be read, a golden file of another network, or none where CI is set.
        """
        __tracebackhide__ = True
        from porter.errors import ParityError
        from porter.jobs.verify import verify

        for marker in self._item.iter_markers("parity"):
            options = {**marker.kwargs, **options}
        options = {"search": False, **options}
        marked = options.pop("golden", None)
        golden = marked if golden is None else golden
        recorded = None if golden is False else self._golden(golden)
        legacy, port, samples = self._place(legacy), self._place(port), self._place(samples)
        with _without_foreign_warnings():
            report = verify(legacy, port, samples=samples, **options)
            report, history = self._hold_against_golden(report, legacy, port, recorded, options)
        page = self._show(report, legacy, history)
        if report.verdict != "parity":
            raise ParityError(_message(report, page))
        if recorded is not None and not recorded.exists():
            self._say_unrecorded(recorded)
        return report

    def _say_unrecorded(self, path: Path) -> None:
        """A check without its golden file cannot show that the port left what it once gave."""
        from porter.errors import PorterError

        if _is_ci():
            raise PorterError(
                "the check has no golden file",
                found=f"nothing at {path}",
                expected="what the port gave when it was recorded",
                remedy="pytest --parity-record writes it outside of CI: commit it; or say golden=False",
            )
        self._item.stash.setdefault(UNRECORDED, []).append(self._item.nodeid)
        told = (
            f"no golden file at {path}: the port was held against its legacy network alone (--parity-record writes it)"
        )
        self._item.warn(UnrecordedWarning(told))

    def _place(self, path: Any) -> Any:
        """A relative path means one from pytest's root directory, wherever pytest is started."""
        return self._item.config.rootpath / path if isinstance(path, str | Path) else path

    def _golden(self, path: str | Path | None) -> Path:
        if path is not None:
            return Path(self._place(path))
        number = f"-{len(self._checks) + 1}" if self._checks else ""
        return self._item.path.parent / "parity" / self._item.path.stem / f"{_slug(self._item.name)}{number}.npz"

    def _hold_against_golden(
        self, report: Report, legacy: Any, port: Any, path: Path | None, options: Mapping[str, Any]
    ) -> tuple[Report, list[Mapping[str, Any]]]:
        if path is None:
            return report, []
        config = self._item.config
        update = config.getoption("parity_update")
        writes = update or (config.getoption("parity_record") and not path.exists())
        if not writes and not path.exists():
            return report, []
        from porter.testing import golden

        network, model = _read(legacy, port, options)
        placement = options.get("placement")
        earlier = golden.read_golden(path) if path.exists() else None
        if not writes and earlier is not None:
            compared = golden.compare_golden(earlier, network, model, placement=placement)
            return _with_golden(report, compared, path, earlier), [*earlier.history]
        if report.verdict != "parity":
            return report, []  # what is wrong is not recorded
        command = f"pytest {self._item.nodeid} --parity-{'update' if update else 'record'}"
        recorded = golden.record(network, model, report, command=command, placement=placement, earlier=earlier)
        golden.write_golden(path, recorded)
        return report, [*recorded.history]

    def _show(self, report: Report, legacy: Any, history: list[Mapping[str, Any]]) -> Path | None:
        """Write the page of this check, and keep what the page over all checks says of it."""
        folder = self._item.config.getoption("parity_report")
        name = _slug(self._item.nodeid) + (f"-{len(self._checks) + 1}" if self._checks else "")
        if folder is None and report.verdict == "parity":
            self._checks.append({})
            return None
        place = self._folders.mktemp("parity") if folder is None else self._item.config.rootpath / folder
        place.mkdir(parents=True, exist_ok=True)
        page = place / f"{name}.html"
        report.to_html(page)
        from porter.report.overview import summarise

        self._checks.append(
            summarise(report, self._item.nodeid, str(getattr(legacy, "name", legacy)), page.name, history)
        )
        return page


@contextmanager
def _without_foreign_warnings() -> Iterator[None]:
    """Keras warns of its own use of NumPy, which a suite that makes errors of warnings cannot help."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(keras|tensorflow|google)\b")
        yield


def _read(legacy: Any, port: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
    import porter
    from porter.ports.keras.graph import read_port

    reading = {name: value for name, value in options.items() if name not in VERIFY_OPTIONS}
    network = legacy if isinstance(legacy, porter.Network) else porter.read(legacy, **reading)
    return network, read_port(port) if isinstance(port, str | Path) else port


def _with_golden(report: Report, compared: Mapping[str, Any], path: Path, earlier: Any) -> Report:
    """The report with what the golden file says: a note where it agrees, a finding for each layer that left it."""
    from dataclasses import replace

    from porter.report.model import Finding
    from porter.report.wording import number, share

    then = ", ".join(f"{name} {version}" for name, version in earlier.history[-1]["versions"].items())
    explained = {finding.layer for finding in report.findings}
    left = [(layer, found) for layer, found in compared.items() if not found.is_parity]
    changed = [(layer, found) for layer, found in left if layer not in explained]
    if not left:
        told = f"Every layer gives what {path} recorded ({then}), within rounding."
        return replace(report, notes=(*report.notes, told))
    ports = {row.layer: row.port_layer for row in report.layers}
    findings = tuple(
        Finding(
            "unexplained",
            layer,
            ports.get(layer, ()),
            "It no longer gives what its golden file recorded.",
            f"{share(found.exceeding, found.elements)} differ; the worst by {number(found.error)} at {found.where}, "
            f"allowed {number(found.allowed)}; recorded with {then}",
            f"Find out what changed. If it is meant, record it anew:\n    pytest --parity-update  # {path}",
        )
        for layer, found in changed
    )
    return replace(report, verdict="mismatch", findings=(*report.findings, *findings))


def _message(report: Report, page: Path | None) -> str:
    from porter.report import wording

    lines = [f"{report.verdict.upper()}: {wording.headline(report)}"]
    for finding in report.findings:
        lines += ["", f"{finding.code}", *(f"  {name:<11} {text}" for name, text in wording.facts(report, finding))]
    lines += [f"  note: {note}" for note in report.notes if not report.findings]
    return "\n".join([*lines, "", f"report: {page}"])


def _is_ci() -> bool:
    return bool(os.environ.get("CI"))


def _slug(name: str) -> str:
    """A file name for a test: readable, and unique by a digest where letters had to go."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[-80:]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class _Collector:
    """Gathers what all workers found; says what has no golden file, and writes the page over all checks."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._checks: list[dict[str, Any]] = []
        self._unrecorded: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the checks of a test that has run."""
        self._checks += getattr(report, "parity", [])
        self._unrecorded += getattr(report, "parity_unrecorded", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the page and say where it is."""
        if self._unrecorded:
            count, tests = len(self._unrecorded), ", ".join(dict.fromkeys(self._unrecorded))
            told = "1 check has" if count == 1 else f"{count} checks have"
            terminalreporter.write_line(f"parity: {told} no golden file; --parity-record writes it: {tests}")
        folder = self._config.getoption("parity_report")
        if not self._checks or not folder:
            return
        from porter.report.html import write_text
        from porter.report.overview import render_overview

        page = self._config.rootpath / folder / "index.html"
        write_text(page, render_overview(self._checks))
        terminalreporter.write_line(f"parity report: {page}")
