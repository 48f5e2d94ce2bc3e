"""Which container a file is, and what it holds; one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable

from porter.formats.containers.held import Held
from porter.formats.folders import OpenedFolder
from porter.formats.opened import OpenedFile


def container_of(opened: OpenedFile) -> tuple[str, Callable[[OpenedFile], Held]] | None:
    """What a file is called, and what reads it; None for HDF5, .npz and what is no container."""
    if isinstance(opened, OpenedFolder):
        from porter.formats.containers import texts

        folder = opened
        return ("a folder of matrices", lambda _: texts.read_folder(folder)) if folder.names else None
    if opened.is_hdf5 or opened.is_npz:
        return None
    # Only now, for what most files are needs none of them.
    from porter.formats.containers import matlab5, npy, pickled, safetensors, texts

    for name, knows, read in (
        ("MATLAB's, versions 5 to 7", matlab5.is_level5, matlab5.read_matlab),
        ("a pickle", pickled.is_pickle, pickled.read_pickled),
        ("one array", npy.is_npy, lambda each: Held({"array": npy.read_npy(each)})),
        ("safetensors", safetensors.is_safetensors, safetensors.read_safetensors),
        ("MATLAB's, version 4", matlab5.is_level4, matlab5.read_matlab),
        ("numbers in text", texts.holds_numbers, texts.read_text),
    ):
        if knows(opened):
            return name, read
    return None
