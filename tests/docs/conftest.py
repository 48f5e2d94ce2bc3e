"""Following the pages: ``PORTER_UPDATE_GOLDEN=1 pytest tests/docs`` rewrites their output; look at the difference.

``PORTER_DOCS_SHELL=1`` runs every command by bash, as a reader does, and takes minutes.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points

import pytest

from tests.docs.likeness import differences
from tests.docs.pages import Reader, copy_clone

PLUGIN = (
    () if any(point.name == "porter" for point in entry_points(group="pytest11")) else ("-p", "porter.pytest_plugin")
)


@pytest.fixture
def reader(pytester, root, keras, monkeypatch):
    """Somebody in a fresh clone."""
    copy_clone(root, pytester.path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(root))

    def run_pytest(arguments):
        result = pytester.runpytest_inprocess(*PLUGIN, "-W", "ignore", "-p", "no:cacheprovider", *arguments)
        return int(result.ret), result.stdout.str()

    return Reader(run_pytest, in_shell="PORTER_DOCS_SHELL" in os.environ)


@pytest.fixture
def follow(reader, root):
    """Follow a page, and hold what its commands give against what it shows."""

    def check(name):
        page = root / name
        shown = page.read_text(encoding="utf-8")
        now = reader.follow(shown)
        told = differences(shown, now)
        if told and os.environ.get("PORTER_UPDATE_GOLDEN"):
            page.write_text(now, encoding="utf-8")
            return
        assert not told, f"{name} is out of date: PORTER_UPDATE_GOLDEN=1 pytest tests/docs\n{told}"

    return check
