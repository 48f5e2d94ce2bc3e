"""Several files: one verdict each, and a failure of one does not stop the rest."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from porter.errors import AccessError, PorterError, UnreadableError, UsageError
from porter.formats.isolation import crash_error, screen
from porter.formats.opened import os_reason
from porter.jobs.saving import SUFFIXES
from porter.report.report import Report


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        file: as it was given.
        result: a report, or whatever else the task returns; None where it was refused.
        error: the refusal, or None.
    """

    file: Path
    result: Any = None
    error: PorterError | None = None

    @property
    def status(self) -> int:
        """0 parity (or no verdict asked for), 1 parity not shown, 2 refused."""
        if self.error is not None:
            return 2
        return status_of(self.result) if isinstance(self.result, Report) else 0


def status_of(report: Report) -> int:
    """0 where parity is shown for every layer, 1 otherwise."""
    complete = all(row.verdict != "uncompared" for row in report.layers)
    return 0 if report.verdict == "parity" and complete else 1


def worst_status(outcomes: Iterable[Outcome]) -> int:
    """The exit status of them all."""
    return max((outcome.status for outcome in outcomes), default=0)


def run_all(files: Sequence[Path], task: Callable[[Path], Any], notice: Callable[[str], None]) -> list[Outcome]:
    """Do the task on each file; a refusal, or a defect of porter's own, is noted and the next file follows.

    Args:
        files: to do, in this order.
        task: what to do with one; raises PorterError to refuse it.
        notice: takes the message of a refusal, for the user to see at once.
    """
    # A crash of the HDF5 library would take the other files with it; one file alone is read here.
    crashes = screen(files) if len(files) > 1 else {}
    outcomes = []
    for file in files:
        try:
            if file in crashes:
                raise crash_error(file, crashes[file])
            outcomes.append(Outcome(file, task(file)))
        except PorterError as error:
            notice(str(error))
            outcomes.append(Outcome(file, error=error))
        except OSError as error:
            refusal = AccessError(f"{file}: the system refuses", found=_told(error))
            notice(str(refusal))
            outcomes.append(Outcome(file, error=refusal))
        except Exception as error:
            notice(traceback.format_exc())
            outcomes.append(Outcome(file, error=_defect(file, error)))
    return outcomes


def _told(error: OSError) -> str:
    """What the system said, and of which file where it says so."""
    place = "" if error.filename is None else f"{error.filename}: "
    return f"{place}{os_reason(error)}"


def _defect(file: Path, error: Exception) -> PorterError:
    return PorterError(
        f"{file}: porter itself failed",
        found=f"{type(error).__name__}: {error}",
        remedy="report it, with the traceback",
    )


def expand(paths: Iterable[Path], notice: Callable[[str], None], *, by_recipe: bool = False) -> list[Path]:
    """The networks that are meant: a folder is one, or stands for those in it and in its subfolders, by contents.

    Args:
        paths: files and folders.
        notice: takes a line about files of a folder that are passed over.
        by_recipe: whether a folder without any is one whose arrays a recipe names, or shall name.

    Raises:
        UsageError: a folder without any.
    """
    found = [file for path in paths for file in (_folder(path, notice, by_recipe) if _is_folder(path) else [path])]
    return list(dict.fromkeys(found))


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder of files, and not a model that lies in one."""
    from porter.formats.opened import is_saved_model_folder

    return path.is_dir() and not is_saved_model_folder(path)


def _folder(folder: Path, notice: Callable[[str], None], by_recipe: bool) -> list[Path]:
    passed_over: list[Path] = []
    known = list(_networks(folder, passed_over))
    if not known and by_recipe:
        return [folder]
    if not known:
        raise UsageError(
            f"{folder} holds no legacy network",
            found=f"{len(passed_over)} other files",
            expected="at least one file that a reader knows",
            remedy="name the files, with a recipe that says how to read them: --recipe net.toml",
        )
    if passed_over:
        passed = (
            f"{_counted(len(passed_over), 'other file')} passed over ({_some([file.name for file in passed_over])})"
        )
        notice(f"{folder}: {_counted(len(known), 'network')}, {passed}")
    return known


def _networks(folder: Path, passed_over: list[Path]) -> Iterator[Path]:
    """The folder itself where it is one network; else its files that a reader knows, then those of its subfolders."""
    if _is_network(folder):
        yield folder
        return
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file()]
    crashes = screen(files)
    known = [file for file in files if file in crashes or _may_be_legacy(file)]
    passed_over += [file for file in files if file not in known]
    yield from known
    for entry in entries:
        if _is_folder(entry) and not entry.is_symlink():
            yield from _networks(entry, passed_over)


def _is_network(folder: Path) -> bool:
    """Whether a family keeps one network in a folder like this."""
    from porter.formats.folders import open_folder
    from porter.formats.readers import family_of

    try:
        family_of(open_folder(folder))
    except UnreadableError:
        return False
    return True


def _some(names: list[str]) -> str:
    return ", ".join([*names[:3], "..."] if len(names) > 3 else names)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _may_be_legacy(file: Path) -> bool:
    """Whether a reader takes the file, or it is broken in a way that the user should hear about."""
    from porter.errors import UnknownFormatError
    from porter.formats.opened import open_file
    from porter.formats.readers import family_of

    try:
        with open_file(file) as opened:
            return family_of(opened).name != "keras"
    except UnknownFormatError:
        return False
    except UnreadableError:
        return file.suffix in (".h5", ".hdf5", ".nc")


def samples_of(file: Path, pattern: Path | None) -> Path | None:
    """Where the golden samples of one network lie: ``{folder}/{name}_samples.npz`` stands for a file of each."""
    if pattern is None:
        return None
    return Path(str(pattern).replace("{folder}", str(file.parent)).replace("{name}", file.stem))


def destinations(files: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Where the port of each file goes: to the output itself, or into it as a folder, made if need be.

    Raises:
        UsageError: one output file for several inputs, two inputs of one name, or a suffix that no port has.
    """
    is_file = output.suffix in SUFFIXES and not output.is_dir()
    if is_file and len(files) == 1:
        return {files[0]: output}
    if is_file:
        raise UsageError(
            f"output {output}", found=f"one file for {len(files)} networks", expected="a folder", remedy="-o FOLDER"
        )
    if not output.is_dir() and re.fullmatch(r"\.[A-Za-z]\w*", output.suffix):
        from porter.exports.formats import format_for

        form = format_for(output)
        written = "" if form is None else f"porter export {files[0]} --to {form.name} -o {output}; or "
        raise UsageError(
            f"output {output}", found=f"the suffix {output.suffix!r}",
            expected=f"a file ending in {' or '.join(SUFFIXES)}, or a folder",
            remedy=f"{written}-o {output.with_suffix('.keras')}; or mkdir {output} first, where a folder is meant",
        )  # fmt: skip
    stems = [file.stem for file in files]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    names = [f"{file.parent.name}_{file.stem}" if file.stem in twice else file.stem for file in files]
    targets = {file: output / f"{name}.keras" for file, name in zip(files, names, strict=True)}
    if len(set(names)) < len(files):
        raise UsageError(
            f"output {output}",
            found="two networks whose ports would have the same name",
            expected="names that differ before their suffix",
            remedy="port them one by one",
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"output {output}", found=error.strerror, expected="a folder that can be made") from error
    return targets
