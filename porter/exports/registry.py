"""The formats that a network can be written in, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from porter.errors import UsageError

if TYPE_CHECKING:
    from porter.network import Network


@dataclass(frozen=True)
class WriteOptions:
    """How a file is to be written.

    Attributes:
        precision: "float64", "float32" or what else the format has; None for the format's own choice.
        layers: whether what every layer gives is an output of the file, where that is a choice.
        main: whether a program has a main that reads rows.
        project: whether what builds the file is written beside it.
        seed: of whatever is drawn.
    """

    precision: str | None = None
    layers: bool = False
    main: bool = True
    project: bool = False
    seed: int = 0


class Write(Protocol):
    """Writes a network."""

    def __call__(self, network: Network, path: Path, options: WriteOptions) -> None:
        """Write to a draft; whatever cannot be held is refused by name.

        Raises:
            UnbuildableError: the format has no such step.
        """
        ...


class Opens(Protocol):
    """Opens a file with its own runtime."""

    def __call__(self, path: Path, *, trusted: bool) -> Any:
        """A ``TracedPort`` where the format shows its layers, else a function of arrays, or a keras.Model.

        Args:
            path: of the file.
            trusted: whether its code may be run; formats without code ignore it.

        Raises:
            UsageError: it holds code, and may not be run.
            PortError: the runtime is absent, or cannot read it.
        """
        ...


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: for ``--to``.
        suffix: of its files; "" of a folder.
        describes: what it is, for people.
        write: writes a network.
        needs: what has to be installed to write or run it, as a person would install it; "" for nothing.
        opens: opens a file; None where nothing here runs it.
        is_opened: whether a path of that suffix is of this format; None where the suffix alone says so.
        precisions: that can be asked for, the usual one first.
        holds_code: whether running a file runs its code.
        stamp: writes the provenance record into a file that was judged; None where the format has no place for it.
    """

    name: str
    suffix: str
    describes: str
    write: Write
    needs: str = ""
    opens: Opens | None = None
    is_opened: Callable[[Path], bool] | None = None
    precisions: tuple[str, ...] = ("float64", "float32")
    holds_code: bool = False
    stamp: Callable[[Path, Mapping[str, Any]], None] | None = None


FORMATS: dict[str, Format] = {}


def register(form: Format) -> Format:
    """Add a format.

    Raises:
        ValueError: there is one of that name already.
    """
    if form.name in FORMATS:
        raise ValueError(f"a format {form.name!r} is registered already")
    FORMATS[form.name] = form
    return form


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UsageError: there is none; the message lists those that exist.
    """
    if name not in FORMATS:
        raise UsageError("the format to export to", found=repr(name), expected=f"one of {', '.join(sorted(FORMATS))}")
    return FORMATS[name]


def format_for(path: Path) -> Format | None:
    """The format that a name's ending says; None where none does."""
    found = (form for form in FORMATS.values() if form.suffix and path.name.lower().endswith(form.suffix))
    return max(found, key=lambda form: len(form.suffix), default=None)


def format_of(path: Path) -> Format | None:
    """The format of a file or a folder that is there; None where it is none of those that something here opens."""
    found = [form for form in FORMATS.values() if form.opens is not None and _holds(form, path)]
    return max(found, key=lambda form: len(form.suffix), default=None)


def _holds(form: Format, path: Path) -> bool:
    by_suffix = path.name.lower().endswith(form.suffix) if form.suffix else path.is_dir()
    return by_suffix and (form.is_opened is None or form.is_opened(path))
