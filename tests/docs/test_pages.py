"""The pages say what happens."""

from __future__ import annotations

import re

import pytest

COMMANDS = re.compile(r"^```(console|pycon)$", re.MULTILINE)
PAGES = (
    "README.md",
    *(
        f"docs/{name}.md" for name in (
            "tutorial", "debugging", "finetuning", "formats", "families", "exporting", "runtimes", "numerics", "pytest",
            "cli", "infer", "readers",
        )
    ),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_shows_is_what_happens(follow, page):
    follow(page)


def test_no_page_with_commands_is_left_out(root):
    found = {path.relative_to(root).as_posix() for path in (*root.glob("*.md"), *root.glob("docs/*.md"))}
    assert {name for name in found if COMMANDS.search((root / name).read_text(encoding="utf-8"))} == set(PAGES)
