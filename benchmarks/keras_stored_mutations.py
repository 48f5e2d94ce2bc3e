"""Mutations of what a legacy Keras file stores beside its configuration: datasets, links and attributes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

VERSIONS = ("1.0.0", "1.2.2", "2.2.4", "2.4.0-tf", "3.0.0", "2.x", "", "-", "999999999999999999999.0", "2.3.1-tf")


MOST = 10**6


def datasets(file: h5py.File) -> list[str]:
    """The full name of every dataset but the huge ones, which an earlier mutation made."""
    found: list[str] = []
    file.visititems(
        lambda name, entry: found.append(name) if isinstance(entry, h5py.Dataset) and entry.size < MOST else None
    )
    return found


def holders(file: h5py.File) -> list[Any]:
    """The root and every group."""
    found: list[Any] = [file]
    file.visititems(lambda name, entry: found.append(entry) if isinstance(entry, h5py.Group) else None)
    return found


def reshape(file: h5py.File, draw: random.Random) -> None:
    """An array of another shape, of the same numbers or of others."""
    name = draw.choice(datasets(file))
    array = file[name][()]
    shape = list(array.shape) or [1]
    axis = draw.randrange(len(shape))
    forms: tuple[Callable[[], Any], ...] = (
        lambda: array.T, array.ravel, lambda: array[np.newaxis], lambda: array[..., np.newaxis],
        lambda: np.zeros([*shape[:axis], shape[axis] + draw.choice((-1, 1, 100)), *shape[axis + 1 :]], array.dtype),
        lambda: np.zeros((0, *shape), array.dtype), lambda: np.float32(1), lambda: np.zeros([1] * 20, array.dtype),
        lambda: np.concatenate([array, array], axis=axis),
    )  # fmt: skip
    made = draw.choice(forms)()
    del file[name]
    file[name] = made


def retype(file: h5py.File, draw: random.Random) -> None:
    """An array of another type: integers, text, references, compounds."""
    name = draw.choice(datasets(file))
    array = file[name][()]
    kind = draw.choice(("f2", "f8", ">f4", "i1", "u8", "?", "c16", "S3", "vlen", "reference", "compound", "opaque"))
    del file[name]
    if kind == "vlen":
        file.create_dataset(name, (3,), h5py.string_dtype(), data=["a", "b", "c"])
    elif kind == "reference":
        made = file.create_dataset(name, (1,), h5py.ref_dtype)
        made[0] = file.ref
    elif kind == "compound":
        file[name] = np.zeros(3, [("a", "f4"), ("b", "i4")])
    elif kind == "opaque":
        file[name] = np.zeros(3, "V5")
    else:
        with np.errstate(all="ignore"):
            file[name] = array.astype(kind)


def poison(file: h5py.File, draw: random.Random) -> None:
    """Numbers that are none, or far too large."""
    data = file[draw.choice(datasets(file))]
    if data.size:
        values = data[()].reshape(-1)
        values[draw.randrange(values.size)] = draw.choice((np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40))
        data[...] = values.reshape(data.shape)


def pretend(file: h5py.File, draw: random.Random) -> None:
    """A dataset that declares far more than it stores."""
    name = draw.choice(datasets(file))
    shape = file[name].shape
    del file[name]
    how = draw.randrange(3)
    if how == 0:
        file.create_dataset(name, (2**20, 2**20), "f4", chunks=(64, 64))
    elif how == 1:
        file.create_dataset(name, shape or (4,), "f4", chunks=shape or (4,), compression="gzip", fillvalue=1.0)
    else:
        file.create_dataset(name, (2**27,), "u1", chunks=(2**20,), compression="gzip", data=None)


def remove(file: h5py.File, draw: random.Random) -> None:
    """A dataset or a group away."""
    group = draw.choice(holders(file))
    if len(group):
        del group[draw.choice(list(group))]


def add(file: h5py.File, draw: random.Random) -> None:
    """A dataset or a group more."""
    group = draw.choice(holders(file))
    name = draw.choice(("extra", "kernel:0", "model_weights", "../x", "a/b/c", ".", "layer_names", "é"))
    if draw.random() < 0.5:
        group.create_group(name)
    else:
        group[name] = np.ones((2, 3), "f4")


def link(file: h5py.File, draw: random.Random) -> None:
    """A link in the place of an object, or a second name for one."""
    names = [*datasets(file), *(group.name.strip("/") for group in holders(file) if group.name != "/")]
    name, other = draw.choice(names), draw.choice(names)
    target = draw.choice((
        h5py.SoftLink(f"/{other}"), h5py.SoftLink(f"/{name}"), h5py.SoftLink("/nowhere"), h5py.SoftLink(".."),
        h5py.ExternalLink("/etc/passwd", "/"), h5py.ExternalLink("other.h5", f"/{other}"), "hard",
    ))  # fmt: skip
    kept = file[other]
    if name != other and not other.startswith(f"{name}/"):
        del file[name]
        file[name] = kept if target == "hard" else target


def borrow(file: h5py.File, draw: random.Random) -> None:
    """A dataset whose values lie elsewhere."""
    name = draw.choice(datasets(file))
    shape = file[name].shape or (1,)
    del file[name]
    if draw.random() < 0.5:
        file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource("other.h5", "data", shape)
        file.create_virtual_dataset(name, layout)


def names(file: h5py.File, draw: random.Random) -> None:
    """The lists of names changed: one missing, twice, of another layer, or no list of names at all."""
    listing = [(group, key) for group in holders(file) for key in group.attrs if key.endswith("_names")]
    group, key = draw.choice(listing)
    value = list(group.attrs[key])
    how = draw.randrange(8)
    if how == 0 and value:
        value.pop(draw.randrange(len(value)))
    elif how == 1 and value:
        value.append(draw.choice(value))
    elif how == 2:
        value.append(draw.choice((b"x", b"../x", b"/etc/passwd", b"", b"\xff\xfe", b"a" * 3000)))
    elif how == 3:
        draw.shuffle(value)
    elif how == 4:
        del group.attrs[key]
        return
    elif how == 5:
        other = draw.choice(listing)
        value = list(other[0].attrs[other[1]])
    elif how == 6:
        group.attrs[key] = draw.choice((1, 1.5, "kernel:0", np.zeros((2, 2)), h5py.Empty("S1"), b""))
        return
    else:
        del group.attrs[key]
        for number, part in enumerate(np.array_split(np.array(value or [b"x"]), 2)):
            group.attrs[f"{key}{number * draw.choice((1, 1, 2))}"] = part
        return
    group.attrs[key] = np.array(value) if value else np.zeros(0)


def rename(file: h5py.File, draw: random.Random) -> None:
    """A group or a dataset under another name."""
    group = draw.choice(holders(file))
    if len(group):
        group.move(draw.choice(list(group)), draw.choice(("renamed", "x/y", "kernel:0", "é")))


def era(file: h5py.File, draw: random.Random) -> None:
    """Another version, another backend, none, or none that is text."""
    for holder in (file, file.get("model_weights", file)):
        key = draw.choice(("keras_version", "backend"))
        values = VERSIONS if key == "keras_version" else ("theano", "tensorflow", "cntk", "", "x" * 1000, "jax")
        if draw.random() < 0.2:
            holder.attrs.pop(key, None)
        else:
            holder.attrs[key] = draw.choice((*values, 7, np.bytes_(b"\xff"), np.array([1.5, 2.5])))


STORED: tuple[Callable[[h5py.File, random.Random], None], ...] = (
    reshape, reshape, retype, poison, pretend, remove, add, link, borrow, names, names, rename, era,
)  # fmt: skip
