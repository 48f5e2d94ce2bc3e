"""Several networks exported, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porter.cli import console
from porter.errors import UsageError

if TYPE_CHECKING:
    from porter.jobs.batch import Outcome


def export_files(
    files: Sequence[Path],
    output: Path,
    to: str | None,
    samples: Path | None,
    seed: int,
    force: bool,
    how: dict[str, Any],
) -> list[Outcome]:
    """Export each file; several into a folder.

    Args:
        files: legacy files, or ports.
        output: a file, or a folder where there are several.
        to: the format; None for that of the output's ending.
        samples: golden samples.
        seed: of the inputs.
        force: overwrite.
        how: other arguments of ``porter.export``.
    """
    import porter
    from porter.jobs.batch import run_all, samples_of

    targets = _targets(files, output, to)

    def task(file: Path) -> Any:
        with console.working(file.name):
            golden = samples_of(file, samples)
            return porter.export(file, targets[file], to=to, force=force, samples=golden, seed=seed, **how)

    return run_all(files, task, console.notice)


def _targets(files: Sequence[Path], output: Path, to: str | None) -> dict[Path, Path]:
    """Where each goes.

    Raises:
        UsageError: one file for several networks, or two networks of one name.
    """
    if not output.is_dir() and len(files) == 1:
        return {files[0]: output}
    if to is None or (output.exists() and not output.is_dir()):
        raise UsageError(
            f"output {output}", found=f"{len(files)} networks", expected="a folder and --to FORMAT, or one network"
        )
    from porter.exports.formats import format_named

    suffix = format_named(to).suffix or f"_{to}"
    output.mkdir(parents=True, exist_ok=True)
    targets = {file: output / f"{file.stem}{suffix}" for file in files}
    if len(set(targets.values())) < len(targets):
        raise UsageError(f"output {output}", found="two networks of one name", expected="a folder for each")
    return targets
