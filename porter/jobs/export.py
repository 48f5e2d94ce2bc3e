"""Export: read, write, run what was written by its own runtime, judge it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from porter.errors import AccessError, OutputExistsError, UsageError
from porter.exports.compiled import NoCompilerError
from porter.exports.formats import format_for, format_named
from porter.exports.judge import unjudged, verify_traced
from porter.exports.keras_chain import is_saved, placement_of
from porter.exports.like import aligned, changes, check_written, legacy_port, put
from porter.exports.like_graph import arrays_of, graph_changes
from porter.exports.registry import Format, WriteOptions
from porter.exports.source import network_of
from porter.formats import read
from porter.formats.opened import os_reason
from porter.formats.samples import load_samples
from porter.jobs.file_port import verify_file
from porter.jobs.provenance import describe
from porter.jobs.saving import Discard
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.ports.file_graph import FileGraph
from porter.ports.keras.stored import StoredArrays
from porter.ports.traced import TracedPort
from porter.progress import tell
from porter.report.report import Report
from porter.verdict.provenance import digest_of

Judge = Callable[[Network], Report]

OPENED_ROWS = 512
"""Random rows for a file whose every layer is fed with probes of its own as well."""


def export(
    source: Network | str | Path | Any,
    path: str | Path,
    *,
    to: str | None = None,
    force: bool = False,
    samples: Any = None,
    seed: int = 0,
    precision: str | None = None,
    project: bool = False,
    layers: bool = False,
    compile: bool = True,
    like: str | Path | Network | None = None,
    placement: str | None = None,
    **read_options: Any,
) -> Report:
    """Write a network in another format, run what was written by its own runtime, and judge it layer by layer.

    Args:
        source: what ``porter.read`` made of a legacy file, its path, or a port of it: a keras.Model or its path.
        path: what to write.
        to: name of the format; None for the one that the name's ending says.
        force: replace an existing output; write it also where it does not match.
        samples: golden samples of the original software: a path or a pair.
        seed: of the inputs that it is judged on.
        precision: "float64", "float32" or what else the format has; None for the format's usual one.
        project: whether what builds a program is written beside it (CMakeLists.txt, fpm.toml).
        layers: whether what every layer gives is an output of the file, where that is a choice (onnx).
        compile: whether a program that porter has just written itself is compiled and run, to be judged.
        like: a legacy file (or what was read of it) in a copy of which the network's values are written, for the
            legacy software; everything else in it stays as it is.
        placement: with ``like``, "outside" where the network leaves the scaling to what is around it; found out from
            porter's own record where None.
        **read_options: what a file does not say; see ``porter.read``. With ``like``, of that file.

    Returns:
        The report: its link "export" says what was judged and with what; on a mismatch nothing was written unless
        forced.

    Raises:
        UsageError: options that cannot be meant.
        UnbuildableError: the format cannot hold the network.
        OutputExistsError: the output exists and ``force`` is not given.
    """
    path = Path(path)
    _check_meant({"precision": precision, "project": project or None, "samples": samples}, placement, like)
    if like is not None:
        if to is not None:
            raise UsageError("to", found=repr(to), expected="none beside like, whose format it is")
        return _export_like(source, like, path, placement, force, samples, seed, read_options)
    form = _chosen(path, to)
    check_place(path, form, force=force)
    network = network_of(source, read_options)
    options = WriteOptions(precision=precision, layers=layers, project=project, seed=seed)
    golden = load_samples(samples, network)
    with drafted(path, force=force) as draft:
        tell(f"writing {form.name}")
        form.write(network, draft, options)
        report = judge_file(network, form, draft, golden=golden, seed=seed, trusted=compile)
        if report.verdict == "mismatch" and not force:
            report = _unwritten(report)
            raise Discard
        if form.stamp is not None:
            chosen = {"to": form.name, "precision": precision, "seed": seed}
            form.stamp(draft, describe(network, report, chosen | dict(network.declarations)))
    return _at(report, path)


def _check_meant(given: Mapping[str, Any], placement: str | None, like: Any) -> None:
    """Refuse what would be passed over.

    Raises:
        UsageError: options of a new file beside ``like``, or the other way round.
    """
    found = [name for name, value in given.items() if value is not None]
    if like is not None and found:
        raise UsageError(
            f"{', '.join(found)} beside like", found="options that have no meaning there",
            expected="none: the legacy file says how it is written, and samples are of the numbers that it had",
        )  # fmt: skip
    if like is None and placement is not None:
        raise UsageError("placement", found=repr(placement), expected="none: it is said beside like alone")


def _export_like(
    source: Any,
    like: str | Path | Network,
    path: Path,
    placement: str | None,
    force: bool,
    samples: Any,
    seed: int,
    read_options: Mapping[str, Any],
) -> Report:
    """A copy of a legacy file with other values, read again and run by the legacy formula."""
    legacy = like if isinstance(like, Network) else read(like, **read_options)
    if path.suffix != legacy.source.path.suffix:
        raise UsageError(
            f"output {path}", found=f"the ending {path.suffix!r}", expected=f"that of {legacy.source.path.name}",
            remedy=f"write to {path.with_suffix(legacy.source.path.suffix)}",
        )  # fmt: skip
    check_exists(path, is_file=True, force=force)
    check_written(legacy)
    values, judge = _values_like(legacy, source, placement, path, seed)
    with drafted(path, force=force) as draft:
        tell("writing the values back")
        count = put(values, legacy, draft)
        declared = {key: value for key, value in legacy.declarations.items() if value is not None}
        written = read(draft, **declared)
        tell("reading what was written and judging")
        report = _with_count(judge(written), count, legacy)
        if report.verdict == "mismatch" and not force:
            report = _unwritten(report)
            raise Discard
    return _at(report, path)


@singledispatch
def _values_like(
    legacy: Network, source: Any, placement: str | None, path: Path, seed: int
) -> tuple[Mapping[str, Any], Judge]:
    """The arrays that change in a copy of a legacy file, by stored name; and how what was written is judged."""
    network = aligned(network_of(source, {}), legacy, outside=_is_outside(source, placement))
    return changes(network, legacy), lambda written: verify_traced(network, legacy_port(written, path), seed=seed)


@_values_like.register(KerasNetwork)
def _(
    legacy: KerasNetwork, source: Any, placement: str | None, path: Path, seed: int
) -> tuple[Mapping[str, Any], Judge]:
    del placement
    given = read(source) if isinstance(source, str | Path) and not is_saved(Path(source)) else source
    values = graph_changes(arrays_of(given), legacy)
    if isinstance(given, Network):
        return values, lambda written: verify_traced(given, legacy_port(written, path), seed=seed)
    return values, lambda written: _judge_beside_model(given, written, path, seed)


def _judge_beside_model(source: Any, written: Network, path: Path, seed: int) -> Report:
    """The legacy formula on what was written beside the model that Keras saved."""
    from porter.jobs.one_port import opened_port, verify_port
    from porter.ports.keras.loading import Loading

    model = opened_port(written, source, None, trusted=False, loading=Loading())
    report = verify_port(written, model, seed=seed)
    links = {**report.links, "build": "not checked", "export": report.links["build"]}
    notes = {**report.link_notes, "build": "no Keras model stands between the file and what it was taken from"}
    notes["export"] = f"the model it was taken from, as a port of {path.name}: {report.link_notes['build']}"
    return replace(report, links=links, link_notes=notes)


def _is_outside(source: Any, placement: str | None) -> bool | None:
    """Whether the network leaves the scaling out, as the user or the record says; None where neither does.

    Raises:
        UsageError: a scaling that is folded into the layers, which cannot be taken out again without loss.
    """
    if placement is None and isinstance(source, str | Path) and is_saved(Path(source)):
        placement = placement_of(Path(source))
    if placement == "folded":
        raise UsageError(
            "what is to be written back", found="a port with the scaling folded into its layers",
            expected="one with the scaling in layers of its own, or outside",
            remedy="port the legacy file with --placement inside or outside, and train that",
        )  # fmt: skip
    return None if placement is None else placement == "outside"


def _with_count(report: Report, count: int, legacy: Network) -> Report:
    arrays = len(legacy.source.arrays)
    note = f"{count} of {arrays} arrays changed in a copy of {legacy.source.path.name}, nothing else"
    return replace(report, link_notes={**report.link_notes, "export": f"{note}; {report.link_notes['export']}"})


def judge_file(
    network: Network,
    form: Format,
    path: Path,
    *,
    golden: Any = None,
    seed: int = 0,
    rows: int = 2000,
    trusted: bool,
    placement: str | None = None,
) -> Report:
    """A file of a format that something here runs, judged; what nothing runs is not checked, and says so.

    Args:
        network: the legacy network.
        form: of the file.
        path: of the file.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: of them.
        trusted: whether its code may be run.
        placement: where a file that is opened as a graph has the scaling; None to find out.
    """
    if form.opens is None or (form.holds_code and not trusted):
        reason = "nothing here runs it" if form.opens is None else "it was not compiled and run (--compile asks for it)"
        return unjudged(network, path, reason)
    tell(f"running {form.name} and judging")
    try:
        opened = form.opens(path, trusted=trusted)
    except NoCompilerError as error:
        return unjudged(network, path, f"{error.what}: {error.remedy}")
    if isinstance(opened, StoredArrays):
        opened = opened.into(network)
    if isinstance(opened, TracedPort):
        return verify_traced(network, opened, golden=golden, seed=seed, rows=rows)
    if isinstance(opened, FileGraph):
        few = min(rows, OPENED_ROWS)
        return verify_file(
            network, opened, golden=golden, seed=seed, rows=few, search=False, path=path, placement=placement
        )
    from porter.jobs.untraced import verify_untraced

    return verify_untraced(network, opened, form, golden=golden, seed=seed, rows=rows)


def _chosen(path: Path, to: str | None) -> Format:
    form = format_for(path) if to is None else format_named(to)
    if form is None:
        from porter.exports.formats import FORMATS

        endings = ", ".join(f"{each.suffix} ({each.name})" for each in FORMATS.values() if each.suffix)
        raise UsageError(
            f"output {path}", found=f"the ending {path.suffix!r}", expected=f"--to FORMAT, or one of {endings}"
        )
    return form


def check_place(path: Path, form: Format, *, force: bool) -> None:
    """Refuse an output that cannot be written, or that must not be overwritten.

    Raises:
        UsageError: another ending than the format's, or no folder to put it in.
        OutputExistsError: it exists and ``force`` is not given.
    """
    if form.suffix and not path.name.lower().endswith(form.suffix):
        raise UsageError(
            f"output {path}", found=f"the ending {path.suffix!r}", expected=f"{form.suffix}, for {form.name}",
            remedy=f"write to {path.with_suffix(form.suffix)}",
        )  # fmt: skip
    check_exists(path, is_file=bool(form.suffix), force=force)


def check_exists(path: Path, *, is_file: bool, force: bool) -> None:
    """Refuse an output that there is no folder for, or that must not be overwritten.

    Raises:
        UsageError: no folder to put it in.
        OutputExistsError: it exists and ``force`` is not given.
    """
    if not path.parent.is_dir():
        raise UsageError(f"output {path}", found=f"no folder {path.parent}", remedy=f"make it: mkdir -p {path.parent}")
    if path.exists() and (not force or (path.is_dir() and is_file)):
        raise OutputExistsError(
            f"output {path}",
            found="a folder of that name" if path.is_dir() else "a file of that name",
            expected="none, for nothing is overwritten unasked",
            remedy="take another name, or give --force (force=True)",
        )


@contextmanager
def drafted(path: Path, *, force: bool) -> Iterator[Path]:
    """A draft in the output's own folder; everything in there is moved to its place once the block ends well.

    Raises:
        AccessError: no room, no right, too long a name.
        OutputExistsError: something stands in the place of what is written beside the output.
    """
    try:
        with TemporaryDirectory(prefix=".porter-", dir=path.parent, ignore_cleanup_errors=True) as folder:
            try:
                yield Path(folder) / path.name
            except Discard:
                return
            written = sorted(Path(folder).iterdir())
            for each in written:
                place = path.parent / each.name
                if place.exists() and not force:
                    raise OutputExistsError(
                        f"output {place}", found="a file of that name", expected="none",
                        remedy="take another folder, or give --force (force=True)",
                    )  # fmt: skip
            for each in written:
                _replace(each, path.parent / each.name)
    except OSError as error:
        raise AccessError(
            f"output {path} cannot be written", found=os_reason(error),
            remedy="nothing was written; choose another place, or make room",
        ) from error  # fmt: skip


def _replace(draft: Path, place: Path) -> None:
    """A folder is moved aside first: the system replaces none that has something in it."""
    if place.is_dir():
        aside = draft.with_name(f"{draft.name}.old")
        os.replace(place, aside)
    os.replace(draft, place)


def _unwritten(report: Report) -> Report:
    note = "nothing was written, because it does not match; --force (force=True) writes it all the same"
    return replace(report, link_notes={**report.link_notes, "export": f"{report.link_notes['export']}; {note}"})


def _at(report: Report, path: Path) -> Report:
    if not path.exists():
        return report
    """The report with where the file is, which was judged under the name of a draft."""
    place = {"port": str(path), "port_sha256": digest_of(path) if path.is_file() else None}
    return replace(report, provenance={**report.provenance, **place})
