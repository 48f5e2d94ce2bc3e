"""Mutations of legacy Keras files: of their bytes, of the JSON tree in them, and of their stored weights.

A ``Case`` is what a user would hand over: a file, and the weights beside it where the file is an architecture.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.keras_stored_mutations import STORED

DEEP = "@deep@"
NUMBERS = (0, -1, 1, 2, 3, 7, -7, 10**9, 2**31 - 1, 2**31, 2**63, -(2**63), 10**30, 0.5, 1e308, -0.0)
VALUES: tuple[Any, ...] = (
    *NUMBERS, None, True, False, "", "x", "a/b", "../../../etc/passwd", "/etc/passwd", "\x00", "é" * 300, [], {}, [[]],
    [None], [[["x", 0, 0]]], [0, 0], {"class_name": "Lambda", "config": {}}, {"class_name": "__tuple__"},
    float("nan"), float("inf"), DEEP, "relu", "__import__('os').system('true')",
)  # fmt: skip
CLASSES = (
    "Activation", "AdditiveAttention", "Add", "Attention", "AveragePooling2D", "BatchNormalization", "Bidirectional",
    "Concatenate", "Conv1D", "Conv2D", "Conv2DTranspose", "ConvLSTM2D", "Convolution2D", "Cropping2D", "CuDNNLSTM",
    "Dense", "DepthwiseConv2D", "Dot", "Embedding", "Flatten", "Functional", "GRU", "GlobalAveragePooling1D",
    "InputLayer", "LSTM", "Lambda", "LayerNormalization", "LocallyConnected2D", "Masking", "Merge", "Model", "Nonsense",
    "PReLU", "Permute", "RNN", "ReLU", "RepeatVector", "Reshape", "SeparableConv2D", "Sequential", "SimpleRNN",
    "Softmax", "TFOpLambda", "ThresholdedReLU", "TimeDistributed", "UpSampling2D", "ZeroPadding2D",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What is read.

    Attributes:
        suffix: of the file.
        data: its bytes.
        weights: the bytes of the HDF5 beside it, or None.
        backend: that the user declares, or None.
        kind: how it is read.
        folder: where the file is one of several that are read together: a folder of the others.
    """

    suffix: str
    data: bytes
    weights: bytes | None = None
    backend: str | None = None
    kind: str = "keras"
    folder: Path | None = None


@dataclass(frozen=True)
class Seed:
    """A file to begin with: its bytes, and its configuration where it holds one."""

    path: Path
    data: bytes
    config: Any

    @property
    def is_json(self) -> bool:
        """Whether it is an architecture in JSON."""
        return self.path.suffix == ".json"


def load_seed(path: Path) -> Seed:
    """A seed, its configuration parsed."""
    data = path.read_bytes()
    try:
        if path.suffix == ".json":
            return Seed(path, data, json.loads(data))
        with h5py.File(io.BytesIO(data), "r") as file:
            text = file.attrs.get("model_config")
        return Seed(path, data, None if text is None else json.loads(text))
    except (ValueError, OSError):
        return Seed(path, data, None)


def structured(seed: Seed, draw: random.Random) -> Case:
    """The file written again with a few of its parts changed."""
    backend = draw.choice((*[None] * 8, "theano", "tensorflow"))
    config = json.loads(json.dumps(seed.config))
    if config is not None and (seed.is_json or draw.random() < 0.7):
        for _ in range(draw.choice((1, 1, 2, 3, 8))):
            config = mutate_tree(config, draw)
    text = as_text(config, draw)
    if seed.is_json:
        return Case(".json", text.encode("utf-8", "surrogatepass"), None, backend)
    beside = config is not None and draw.random() < 0.15
    stream = io.BytesIO(seed.data)
    with h5py.File(stream, "r+") as file:
        if config is not None:
            del file.attrs["model_config"]
            if not beside:
                write_config(file, text, draw)
        if config == seed.config or draw.random() < 0.4:
            for _ in range(draw.choice((1, 1, 2, 4))):
                try:
                    draw.choice(STORED)(file, draw)
                except Exception:
                    continue  # an earlier mutation took the ground from under this one
    if beside:
        return Case(".json", text.encode("utf-8", "surrogatepass"), stream.getvalue(), backend)
    return Case(seed.path.suffix, stream.getvalue(), None, backend)


def as_text(config: Any, draw: random.Random) -> str:
    """JSON, now and then inside JSON, or nested a hundred thousand deep."""
    text = json.dumps(config)
    if DEEP in text:
        depth = draw.choice((100, 3000, 100_000))
        pair = draw.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace(f'"{DEEP}"', pair[0] * depth + "0" + pair[1] * depth)
    if draw.random() < 0.03:
        text = json.dumps(text)
    return text[: draw.randrange(len(text))] if text and draw.random() < 0.02 else text


def write_config(file: h5py.File, text: str, draw: random.Random) -> None:
    """The attribute, as text, as bytes, or as what it should not be."""
    how = draw.random()
    if how < 0.85 or "\x00" in text:
        file.attrs["model_config"] = text
    elif how < 0.93:
        file.attrs.create("model_config", np.frombuffer(text.encode()[:60_000], np.uint8))
    else:
        file.attrs["model_config"] = draw.choice((1.5, np.arange(3), h5py.Empty("f"), np.bytes_(b"\xff\xfe{}")))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every key of every mapping and every index of every list."""
    found, pending = [], [value]
    while pending:
        inner = pending.pop()
        keys = list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        found += [(inner, key) for key in keys]
        pending += [inner[key] for key in keys]
    return found


def mutate_tree(config: Any, draw: random.Random) -> Any:
    """One place of the tree changed."""
    every = places(config)
    if not every:
        return draw.choice(VALUES)
    if draw.random() < 0.01:
        return draw.choice(VALUES)
    draw.choice(TREE)(every, draw)
    return config


def drop(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """A key or an element away."""
    parent, key = draw.choice(every)
    del parent[key]


def repeat(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """An element twice, or a value under another key."""
    parent, key = draw.choice(every)
    if isinstance(parent, list):
        parent.insert(draw.randrange(len(parent) + 1), copy(parent[key]))
    else:
        parent[draw.choice([k for p, k in every if isinstance(p, dict)])] = copy(parent[key])


def retype(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """Another value of any type."""
    parent, key = draw.choice(every)
    parent[key] = copy(draw.choice(VALUES))


def resize(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """Another number for a number."""
    numbers = [(p, k) for p, k in every if isinstance(p[k], int | float) and not isinstance(p[k], bool)]
    if numbers:
        parent, key = draw.choice(numbers)
        old = parent[key]
        parent[key] = draw.choice((*NUMBERS, old + 1, old - 1, -old, old * 1000, old * 10**6, float(old), str(old)))


def reclass(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """Another class for a layer."""
    named = [(p, k) for p, k in every if k == "class_name"]
    if named:
        parent, key = draw.choice(named)
        parent[key] = draw.choice(CLASSES)


def rename(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """Another name: that of another layer, or one with slashes."""
    named = [(p, k) for p, k in every if k == "name" and isinstance(p[k], str)]
    if named:
        parent, key = draw.choice(named)
        other, where = draw.choice(named)
        parent[key] = draw.choice(
            (other[where], f"{parent[key]}/x", "../x", "a/../b", "/", ".", "x" * 5000, "@1", "#1")
        )


def rewire(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """What a layer takes: another layer, itself, another call or output, or nothing that is a reference."""
    nodes = [(p, k) for p, k in every if k in ("inbound_nodes", "input_layers", "output_layers")]
    names = [p["name"] for p, k in every if k == "name" and isinstance(p[k], str)]
    if not nodes or not names:
        return
    parent, key = draw.choice(nodes)
    takes = [[draw.choice(names), draw.choice((0, 0, 0, 1, -1, 10**9)), draw.choice((0, 0, 1, -1, 99)), {}]
             for _ in range(draw.choice((1, 1, 2, 5)))]  # fmt: skip
    parent[key] = draw.choice((takes, [takes], [takes, takes], [[[*takes[0][:3], {"training": True}]]], takes[0]))


def exchange(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """Two subtrees exchanged, or one put into another."""
    (one, key), (other, where) = draw.choice(every), draw.choice(every)
    first, second = copy(one[key]), copy(other[where])
    one[key] = second
    if draw.random() < 0.7 and where in (other if isinstance(other, dict) else range(len(other))):
        other[where] = first


def reorder(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """A list in another order."""
    lists = [p[k] for p, k in every if isinstance(p[k], list) and len(p[k]) > 1]
    if lists:
        draw.shuffle(draw.choice(lists))


def lengthen(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """A list of very many elements."""
    parent, key = draw.choice(every)
    count = draw.choice((100, 1000, 1000, 5000, 1_000_000 if draw.random() < 0.03 else 10))
    parent[key] = [copy(parent[key]) if count <= 1000 and not isinstance(parent[key], dict | list) else 1] * count


def nest(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """A layer or a model wrapped into another."""
    entries = [(p, k) for p, k in every if isinstance(p[k], dict) and "class_name" in p[k]]
    if not entries:
        return
    parent, key = draw.choice(entries)
    for _ in range(draw.choice((1, 1, 2, 40))):
        inner = parent[key]
        parent[key] = draw.choice((
            {"class_name": "TimeDistributed", "config": {"name": "t", "layer": inner}},
            {"class_name": "Bidirectional", "config": {"name": "b", "layer": inner}},
            {"class_name": "Sequential", "config": {"name": "s", "layers": [inner]}},
            {"class_name": "Merge", "config": {"name": "m", "layers": [inner], "mode": "concat"}},
        ))  # fmt: skip


def append(every: list[tuple[Any, Any]], draw: random.Random) -> None:
    """A layer that asks for much, at some place of a Sequential."""
    lists = [p[k] for p, k in every if k in ("layers", "config") and isinstance(p[k], list)]
    if lists:
        size = draw.choice((2, 3, 1000, 10**6, 10**9))
        kind, config = draw.choice((
            ("ZeroPadding2D", {"padding": [size, size]}), ("UpSampling2D", {"size": [size, size]}),
            ("RepeatVector", {"n": size}), ("UpSampling1D", {"size": size}), ("ZeroPadding1D", {"padding": size}),
            ("MaxPooling2D", {"pool_size": [size, size], "padding": "same"}), ("Reshape", {"target_shape": [size, -1]}),
            ("Cropping2D", {"cropping": [size, size]}), ("Permute", {"dims": [2, 1]}), ("Flatten", {}),
            ("AveragePooling1D", {"pool_size": size, "strides": size, "padding": "same"}),
            ("Softmax", {"axis": size}), ("Masking", {"mask_value": float("nan")}), ("ReLU", {"max_value": -1.0}),
        ))  # fmt: skip
        place = draw.randrange(len(chosen := draw.choice(lists)) + 1)
        chosen.insert(place, {"class_name": kind, "config": {"name": f"more_{size}", **config}})


def copy(value: Any) -> Any:
    """A value of its own."""
    return json.loads(json.dumps(value))


TREE: tuple[Callable[[list[tuple[Any, Any]], random.Random], None], ...] = (
    drop, drop, repeat, retype, retype, resize, resize, resize, reclass, rename, rewire, exchange, reorder, lengthen,
    nest, append, append,
)  # fmt: skip


def bytewise(seed: Seed, draw: random.Random) -> Case:
    """A few bytes or tokens changed, a piece cut, copied or moved."""
    data, is_text = seed.data, seed.is_json
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not out:
            break
        place = draw.randrange(len(out))
        how = draw.randrange(7)
        if how == 0:
            out[place] ^= 1 << draw.randrange(8)
        elif how == 1:
            out[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif how == 2:
            del out[place : place + draw.randrange(1, 64)]
        elif how == 3:
            piece = out[place : place + draw.randrange(1, 64)]
            at = draw.randrange(len(out))
            out[at : at + len(piece)] = piece
        elif how == 4:
            out[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 8)))
        elif how == 5:
            swap_token(out, draw)
        elif not is_text or draw.random() < 0.1:
            del out[place:]
    if not is_text and draw.random() < 0.9:
        # A file of another length is mostly refused for that alone.
        out = (out + bytes(max(0, len(data) - len(out))))[: len(data)]
    return Case(seed.path.suffix, bytes(out))


TOKENS = (b"null", b"-1", b"1e999", b"[]", b"{}", b'"x"', b"true", b"999999999999", b"0", b'"Lambda"', b"NaN")


def swap_token(out: bytearray, draw: random.Random) -> None:
    """One JSON value for another, wherever the file holds JSON."""
    colons = [at for at in range(0, len(out) - 1) if out[at : at + 2] == b": "][:5000]
    if colons:
        at = draw.choice(colons) + 2
        end = at
        while end < len(out) and out[end] not in b",]}\n":
            end += 1
        out[at:end] = draw.choice(TOKENS).ljust(end - at) if end - at < 64 else draw.choice(TOKENS)
