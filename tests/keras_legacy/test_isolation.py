"""A file on which the library dies or hangs is reported, and the others are still read."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from porter.formats import isolation
from porter.jobs import batch


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{name}.h5" for name in ("a", "dies", "c", "hangs", "e")]
    for file in found:
        file.write_bytes(b"x" * 8)
    return found


@pytest.fixture
def _acting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child that dies and hangs on files of those names, as the library does on others."""
    script = tmp_path / "child.py"
    script.write_text(
        "import os, sys, time\n"
        "for path in sys.argv[2:]:\n"
        "    if 'dies' in path: os.abort()\n"
        "    if 'hangs' in path: time.sleep(60)\n"
        "    print(path, flush=True)\n"
    )
    start = isolation.subprocess.Popen

    def instead(command: list[str], **options: Any) -> Any:
        return start([command[0], str(script), *command[3:]], **options)

    monkeypatch.setattr(isolation.subprocess, "Popen", instead)


@pytest.mark.usefixtures("_acting")
def test_the_others_are_still_done(files: list[Path]) -> None:
    assert isolation.screen(files, 2.0) == {files[1]: "crashed (status -6)", files[3]: "did not come back"}


@pytest.mark.usefixtures("_acting")
def test_a_batch_goes_on(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "screen", lambda files: isolation.screen(files, 2.0))
    said: list[str] = []
    outcomes = batch.run_all(files, lambda file: file.name, said.append)
    assert [outcome.result for outcome in outcomes] == ["a.h5", None, "c.h5", None, "e.h5"]
    assert "the HDF5 library crashed (status -6) on it" in said[0]


def test_a_child_that_nobody_waits_for_ends() -> None:
    code = """
import time
from porter.formats import isolation
isolation._read = lambda path: time.sleep(60)
isolation.serve(1, ["never.h5"])
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == -signal.SIGALRM


def test_real_children_come_through(files: list[Path]) -> None:
    assert isolation.screen(files) == {}
