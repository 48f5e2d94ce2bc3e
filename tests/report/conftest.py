"""Golden renderings: ``PORTER_UPDATE_GOLDEN=1 pytest tests/report`` rewrites them; look at the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def assert_golden() -> Callable[[str, str], None]:
    """Compare a text with the golden rendering of that name."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("PORTER_UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert text == path.read_text(encoding="utf-8"), f"{name} changed: PORTER_UPDATE_GOLDEN=1 pytest tests/report"

    return check
