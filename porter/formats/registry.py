"""The families, by name; which of them reads a file is the file's contents' business, not its extension's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from porter.errors import NotAFileError, PickleFileError, UnknownFormatError
from porter.formats.containers.foreign import refuse_foreign
from porter.formats.containers.raw import HOW_TO_SAY_RAW
from porter.formats.folders import OpenedFolder
from porter.formats.opened import PICKLE_PREFIXES, OpenedFile, check_archive
from porter.formats.options import ReadOptions
from porter.formats.text import is_text

if TYPE_CHECKING:
    from porter.network import Network
    from reference.trace import Program

ENTRY_POINTS = "porter.families"
"""The group of entry points under which an installed package offers a ``Family``."""


@dataclass(frozen=True)
class Family:
    """One family of legacy networks: a format, and the formula of those who wrote it.

    Attributes:
        name: key in the registry, ``WeightFile.format`` and ``Network.family``.
        describes: what its files look like, for the message where none matches.
        matches: whether an opened file is of this family; cheap, and no refusal of its own.
        read: opened file and declared options to a network.
        program: the legacy forward pass of a network, on its arrays as stored, with declarations to replace; None
            where the family is only ever refused.
        options: what the user may declare.
        write: back into the legacy format; None where that is not offered.
        example: a command for ``porter formats``.
        has_tables: whether its software has activations of its own, which ``exact_activations`` may replace: looked
            up in tables, or cut off.
        has_jacobian: whether its software gives the derivatives of the outputs as well.
        has_runtime: whether something beside porter runs its files, as Keras does those of its earlier versions.
    """

    name: str
    describes: str
    matches: Callable[[OpenedFile], bool]
    read: Callable[[OpenedFile, ReadOptions], Network]
    program: Callable[[Network, Mapping[str, Any]], Program] | None = None
    options: type[Any] = ReadOptions
    write: Callable[..., None] | None = None
    example: str = ""
    has_tables: bool = False
    has_jacobian: bool = False
    has_runtime: bool = False


def program_of(formula: Callable[..., Program], *options: str) -> Callable[[Network, Mapping[str, Any]], Program]:
    """The ``program`` of a family whose formula takes arrays and attributes as stored, and declarations by name.

    Args:
        formula: of ``reference.programs``.
        options: the declarations that it takes.
    """

    def program(network: Network, changes: Mapping[str, Any]) -> Program:
        declared = {key: value for key, value in {**network.declarations, **changes}.items() if key in options}
        return formula(network.source.arrays, network.source.attributes, **declared)

    return program


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a family; those added first are asked first.

    Raises:
        ValueError: there is a family of that name already.
    """
    if family.name in FAMILIES:
        raise ValueError(f"a family {family.name!r} is registered already")
    FAMILIES[family.name] = family
    return family


def family_of(opened: OpenedFile) -> Family:
    """The first family that matches; installed packages are asked where none of those registered does.

    Raises:
        UnknownFormatError: none does; the message lists those that exist.
    """
    found = _matching(opened)
    complaints: list[str] = []
    if found is None:
        complaints = load_installed()
        found = _matching(opened)
    if found is not None:
        return found
    if isinstance(opened, OpenedFolder):
        raise NotAFileError(
            f"{opened.path} is a directory, and no family keeps a network so",
            found=f"{len(opened.names)} files",
            expected="a file, or a folder that is one network",
            remedy="name one of the files in it; or say what each is in a recipe: porter inspect FOLDER --write-recipe "
            "net.toml writes one to begin with; `porter formats` shows what is read",
        )
    if opened.is_npz:
        check_archive(opened.path)
    refuse_foreign(opened)
    if opened.head.startswith(PICKLE_PREFIXES):
        raise PickleFileError(
            f"{opened.path} is a pickle: nothing but arrays and plain containers is read",
            found="no arrays in it whose names say what is what",
            remedy="write a recipe that says where they lie, or save the arrays as .npz",
        )
    raise UnknownFormatError(
        f"{opened.path} is of no known format",
        found="; ".join([_contents(opened), *complaints]),
        expected="; or ".join(f"{family.name}: {family.describes}" for family in FAMILIES.values()),
        remedy=_remedy(opened),
    )


def family_named(name: str) -> Family | None:
    """The family of that name, of porter's own or of an installed package; None where there is none."""
    if name not in FAMILIES:
        load_installed()
    return FAMILIES.get(name)


def load_installed() -> list[str]:
    """Register what installed packages offer, once; returns a sentence for each that cannot be loaded."""
    from importlib.metadata import entry_points

    complaints = []
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in _LOADED:
            continue
        try:
            register(entry.load())
        except Exception as error:  # another's package: whatever it does wrong, the file is still of no known format
            complaints.append(f"the family {entry.name!r} of an installed package fails: {error}")
        else:
            _LOADED.add(entry.name)
    return complaints


_LOADED: set[str] = set()


def _matching(opened: OpenedFile) -> Family | None:
    return next((family for family in FAMILIES.values() if family.matches(opened)), None)


def _remedy(opened: OpenedFile) -> str:
    from porter.formats.containers.arrays import container_of  # only now, for it loads what most files do not need

    if opened.is_hdf5 or container_of(opened) is not None:
        return (
            "say where the arrays lie in a recipe: porter inspect FILE --write-recipe net.toml writes one to begin "
            "with, and --recipe net.toml reads by it"
        )
    return (
        f"`porter formats` shows what is read, with an example each{'' if is_text(opened) else f'; {HOW_TO_SAY_RAW}'}"
    )


def _contents(opened: OpenedFile) -> str:
    if not opened.is_hdf5:
        return f"it begins with {opened.head[:16]!r}"
    names = [*opened.hdf5.groups, *opened.hdf5.datasets]
    return f"HDF5 with {', '.join(map(repr, names[:12]))}{', ...' if len(names) > 12 else ''}"
