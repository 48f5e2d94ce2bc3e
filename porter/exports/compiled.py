"""Source files compiled by the system's compiler in a folder that is thrown away, and run as programs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import PortError, UsageError
from porter.exports.edited import Source
from porter.exports.plan import as_identifier
from porter.exports.program import SelfTest, ask, run_selftest
from porter.exports.registry import Write
from porter.ports.traced import TracedPort
from reference.precision import Precision

SECONDS = 300.0


class NoCompilerError(PortError):
    """A source that nothing here compiles."""


@dataclass(frozen=True)
class Compiler:
    """A compiler of one language.

    Attributes:
        language: for people.
        commands: under which it may be found, the first that is there is taken.
        flags: that it is called with, before the file.
        libraries: that it is called with, behind the file.
        package: to install it from.
    """

    language: str
    commands: tuple[str, ...]
    flags: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    package: str = "gcc"

    def find(self) -> str:
        """Its command.

        Raises:
            NoCompilerError: none is installed.
        """
        found = next((path for each in self.commands if (path := shutil.which(each)) is not None), None)
        if found is None:
            raise NoCompilerError(
                f"no compiler of {self.language}",
                found=f"none of {', '.join(self.commands)} on the path",
                expected="one, to compile and run the file",
                remedy=f"apt-get install {self.package}, or your system's like of it",
            )
        return found


def open_source(
    path: Path,
    compiler: Compiler,
    read_arrays: Callable[[str], Mapping[str, Any]],
    *,
    trusted: bool,
    portable: str,
    main_for: Callable[[str], str] = lambda text: "",
    language: str,
    write: Write,
    testing: tuple[Sequence[str], Sequence[str]],
) -> TracedPort:
    """A source file compiled, with what its program says of itself.

    Args:
        path: of the source.
        compiler: of its language.
        read_arrays: kernels and biases of the source's text, by the identifiers of layers.
        trusted: whether its code may be run.
        portable: how to write it anew.
        main_for: the main that a source without one needs; "" where it has one.
        language: as ``porter.exports.edited`` has it.
        write: writes porter's own text.
        testing: how the documentation says that it tests itself: flags of the compiler, words for the program.

    Raises:
        UsageError: its code may not be run.
        PortError: no compiler; it does not compile; it is no such program.
    """
    if not trusted:
        raise UsageError(
            f"{path} is a program",
            found="no word that it may be compiled and run",
            remedy="say --compile (compile=True) if you trust it: its code runs on this machine",
        )
    command = compiler.find()
    text = path.read_text(encoding="utf-8", errors="replace")
    folder = Path(tempfile.mkdtemp(prefix="porter-"))
    try:
        binary = compile_source(path, command, compiler, folder, main_for(text))
        program = ask((str(binary),), path.name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    precision, own = Precision(program.precision, program.precision), replace(compiler, flags=tuple(testing[0]))

    def selftest(text: str) -> SelfTest:
        return selftest_of(text, path.suffix, own, testing[1], main_for(text))

    port = TracedPort(
        path.name,
        f"{version_of(command)} {' '.join(compiler.flags)}",
        program.run,
        program.outputs,
        precision,
        path=path,
        weights=cache(lambda: by_names(read_arrays(text), program.layers, np.dtype(program.precision))),
        portable=portable,
        call=program.call,
        rate=program.rate,
        program=program,
        source=Source(language, text, program.precision, write, selftest),
    )  # fmt: skip
    weakref.finalize(port, shutil.rmtree, folder, ignore_errors=True)
    return port


def selftest_of(text: str, suffix: str, compiler: Compiler, words: Sequence[str], main: str = "") -> SelfTest:
    """What the test of itself of a source comes to, compiled and run with some words.

    Raises:
        PortError: it does not compile, or does not run.
    """
    with tempfile.TemporaryDirectory(prefix="porter-") as folder:
        path = Path(folder) / f"source{suffix}"
        path.write_text(text, encoding="utf-8")
        binary = compile_source(path, compiler.find(), compiler, Path(folder), main)
        return run_selftest((str(binary), *words), path.name)


def by_names(arrays: Mapping[str, Any], names: Sequence[str] | Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """Arrays by the legacy names of their layers, as the program holds them."""

    def held(array: Any) -> Any:
        return None if array is None else np.asarray(array).astype(dtype).astype(np.float64)

    known = {name: arrays.get(as_identifier(name)) for name in names}
    return {name: (held(pair[0]), held(pair[1])) for name, pair in known.items() if pair is not None}


def compile_source(path: Path, command: str, compiler: Compiler, folder: Path, main: str = "") -> Path:
    """The program, with a main beside it where it has none.

    Raises:
        PortError: it does not compile.
    """
    binary = folder / "program"
    sources = [str(path.resolve())]
    if main:
        extra = folder / f"main{path.suffix}"
        extra.write_text(main, encoding="utf-8")
        sources.append(str(extra))
    words = [command, *compiler.flags, *sources, "-o", str(binary), *compiler.libraries]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise PortError(f"{path} does not compile", found=f"no end in {SECONDS:.0f} s") from error
    if done.returncode != 0:
        if "main" in done.stderr and not re.search(r"\bmain\s*\(", path.read_text(encoding="utf-8", errors="replace")):
            raise PortError(
                f"{path} has no main", found="functions alone, which no program calls",
                expected="a program as porter export writes it, which reads rows and tells what its layers give",
                remedy="verify the file with the main that it was written with, and cut that off where it is linked",
            )  # fmt: skip
        said = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
        raise PortError(
            f"{path} does not compile", found=(said or ["nothing said"])[0][:300],
            expected=f"a file that {' '.join(words[:1])} {' '.join(compiler.flags)} takes",
        )  # fmt: skip
    return binary


def version_of(command: str) -> str:
    """The compiler and its version, for the report."""
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout.splitlines() or [Path(command).name])[0].strip()
