"""Pages of the documentation, run: every command, session and edit in them, in order, in a copy of a fresh clone.

A page is made again with the output that its commands give now. Blocks are told apart by what stands behind the
fence:

- ``console``: lines that begin with ``$`` are commands, what follows them is their output;
- ``pycon``: a Python session, as for doctest;
- ``python title="demo/test_ocean.py"``: a file that the reader writes;
- ``diff title="port.py"``: lines that the reader takes out (-) and puts in (+).

Anything else is only shown.
"""

from __future__ import annotations

import doctest
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

BLOCK = re.compile(r'^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\$([A-Z]+)\b")
SHOWN = (0, 1)
"""Exit statuses whose output is that on standard output; beyond them the message on standard error is the point."""

Output = tuple[int, str]


def copy_clone(root: Path, folder: Path) -> None:
    """What pages use of a fresh clone."""
    for name in ("fixtures", "docs/examples"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", folder)


class Reader:
    """Somebody who follows a page, in the current folder.

    ``porter`` and ``python`` run in this process, which has Keras loaded; everything else, and all of it where
    ``in_shell`` is set, is run by bash.
    """

    def __init__(self, run_pytest: Callable[[list[str]], Output], *, in_shell: bool = False) -> None:
        self.in_shell = in_shell
        self._run_pytest = run_pytest
        self._status = 0
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._variables: dict[str, str] = {}

    def follow(self, page: str) -> str:
        """The page with the output that it gives now."""
        return BLOCK.sub(self._block, page)

    def _block(self, match: re.Match[str]) -> str:
        kind, title, text = match["kind"], match["title"], match["text"]
        if kind == "console":
            now = "".join(self._command(command) for command in commands(text))
        elif kind == "pycon":
            now = self._session(text)
        else:
            now = text
            if title is not None and kind in ("python", "diff"):
                place = Path(title)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(edited(place.read_text(), text) if kind == "diff" else text)
        head, tail = match[0].split(text, 1) if text else (match[0][: -len("```")], "```")
        return f"{head}{now}{tail}"

    def _command(self, command: str) -> str:
        self._status, output = self._run(command)
        return f"$ {command}\n{as_shown(output)}"

    def _run(self, command: str) -> Output:
        if assignment := re.fullmatch(r"([A-Z]+)=(\S+)", command):
            self._variables[assignment[1]] = assignment[2]
            return 0, ""
        first, sign, rest = re.fullmatch(r"(.*?)(?: ([|>]) (.*))?", command).groups(default="")
        name, *arguments = shlex.split(VARIABLE.sub(lambda match: self._variables[match[1]], first))
        here = {"porter": run_porter, "python": run_python, "pytest": self._run_pytest}
        if self.in_shell or name not in here:
            known = "".join(f"{variable}={value}; " for variable, value in self._variables.items())
            return run_bash(f"{known}(exit {self._status}); {command}")
        status, output = here[name](arguments)
        if sign == ">":
            Path(rest).write_text(output)
            output = ""
        return (status, output) if sign != "|" else run_bash(rest, output)

    def _session(self, text: str) -> str:
        """The session as it goes now; one that stands in a shell's place has no names of the page's other ones."""
        parts = []
        for example in doctest.DocTestParser().get_examples(text):
            with redirect_stdout(StringIO()) as out:
                exec(compile(example.source, "<page>", "single"), self._names)
            first, *more = example.source.splitlines()
            lines = [f">>> {first}", *(f"... {line}".rstrip() for line in more)]
            parts.append("\n".join(lines) + "\n" + as_shown(out.getvalue()))
        return "".join(parts)


def commands(text: str) -> Iterator[str]:
    """The commands of a console block."""
    return (line[2:] for line in text.splitlines() if line.startswith("$ "))


def edited(text: str, difference: str) -> str:
    """The text with lines taken out and put in, place by place; what is taken out must be there once, as it stands."""
    for place in difference.split("@@\n"):
        old, new = ("".join(f"{line[1:]}\n" for line in place.splitlines() if line[:1] in (sign, " ")) for sign in "-+")
        if text.count(old) != 1:
            raise ValueError(f"the lines to be edited are there {text.count(old)} times, not once:\n{old}")
        text = text.replace(old, new)
    return text


def as_shown(output: str) -> str:
    """Output in a block: no blanks at the ends of lines, no empty lines at the end, paths relative to the clone."""
    lines = [line.rstrip() for line in output.replace(f"{Path.cwd()}/", "").splitlines()]
    return "".join(f"{line}\n" for line in lines).rstrip("\n") + "\n" if any(lines) else ""


def run_bash(command: str, given: str | None = None) -> Output:
    """Run a command line by bash; ``porter`` and ``python`` are those of the running interpreter."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    return done.returncode, done.stdout + ("" if done.returncode in SHOWN else done.stderr)


def run_porter(arguments: list[str]) -> Output:
    """The command line in this process."""
    from porter.cli import main

    return _captured(["porter", *arguments], main)


def run_python(arguments: list[str]) -> Output:
    """A script in this process."""
    return _captured(arguments, lambda: runpy.run_path(arguments[0], run_name="__main__"))


def _captured(argv: list[str], run: Callable[[], Any]) -> Output:
    status, out, err = 0, StringIO(), StringIO()
    with _arguments(argv), redirect_stdout(out), redirect_stderr(err):
        try:
            run()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return status, out.getvalue() + ("" if status in SHOWN else err.getvalue())


@contextmanager
def _arguments(argv: list[str]) -> Iterator[None]:
    """The arguments of a command, whose name is not that of the module that this process was started with."""
    main = sys.modules["__main__"]
    before = sys.argv, main.__package__
    sys.argv, main.__package__ = argv, None
    try:
        yield
    finally:
        sys.argv, main.__package__ = before
