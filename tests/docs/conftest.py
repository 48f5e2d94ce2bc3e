"""Following the pages: ``PORTER_UPDATE_GOLDEN=1 pytest tests/docs`` rewrites their output; look at the difference.

``PORTER_DOCS_SHELL=1`` runs every command by bash, as a reader does, and takes minutes.
"""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from io import StringIO

import pytest

from tests.docs.likeness import differences
from tests.docs.pages import Reader, copy_clone

INSTALLED = any(point.name == "porter" for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "porter.pytest_plugin")


def run_pytest(arguments):
    """Pytest inside of pytest, in the current folder. (``pytester`` would forget modules that this process needs.)"""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        status = pytest.main([*PLUGIN, "-W", "ignore", "-p", "no:cacheprovider", *arguments])
    return int(status), out.getvalue()


@pytest.fixture
def reader(root, tmp_path, keras, monkeypatch):
    """Somebody in a fresh clone."""
    copy_clone(root, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(root))
    return Reader(run_pytest, in_shell="PORTER_DOCS_SHELL" in os.environ)


@pytest.fixture
def follow(reader, root):
    """Follow a page, and hold what its commands give against what it shows."""

    def check(name):
        page = root / name
        shown = page.read_text(encoding="utf-8")
        now = reader.follow(shown)
        assert "Traceback" not in now, now
        told = differences(shown, now)
        if told and os.environ.get("PORTER_UPDATE_GOLDEN"):
            page.write_text(now, encoding="utf-8")
            return
        assert not told, f"{name} is out of date: PORTER_UPDATE_GOLDEN=1 pytest tests/docs\n{told}"

    return check
