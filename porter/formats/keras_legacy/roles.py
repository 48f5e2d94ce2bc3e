"""Which stored array is which variable of a layer: by its name where the names say so, else by Keras' order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from porter.formats.keras_legacy.errors import WeightsError
from porter.formats.keras_legacy.fields import Fields

Array = NDArray[Any]

KERNEL_AND_BIAS = (
    "Conv1D", "Conv2D", "Conv3D", "Dense", "TimeDistributedDense", "Convolution1D", "Convolution2D", "Convolution3D",
    "AtrousConvolution1D", "AtrousConvolution2D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "Deconvolution2D", "LocallyConnected1D", "LocallyConnected2D",
)  # fmt: skip
BATCH_NORMALIZATIONS = (
    "BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization",
)  # fmt: skip
KERAS1_GATES = {"LSTM": "icfo", "ConvLSTM2D": "icfo", "GRU": "zrh"}


@dataclass
class Stored:
    """The arrays stored for a layer or a nested model, by stored name, in order.

    Attributes:
        where: file and layer, for messages.
        arrays: by the full name in the file.
        by_order: notes on layers whose arrays were told apart by order alone, filled as it happens.
    """

    where: str
    arrays: Mapping[str, Array]
    by_order: list[str] = field(default_factory=list)

    def part(self, where: str, names: Sequence[str]) -> Stored:
        """Some of them."""
        return Stored(where, {name: self.arrays[name] for name in names}, self.by_order)

    def take(self, roles: Sequence[str]) -> dict[str, Array]:
        """One array for each role.

        Raises:
            WeightsError: more or fewer arrays than roles.
        """
        names = list(self.arrays)
        if len(names) != len(roles):
            raise WeightsError(
                f"{self.where}: the stored arrays do not fit the layer",
                found=f"{len(names)}: {', '.join(map(repr, names)) or 'none'}",
                expected=f"{len(roles)}: {', '.join(roles)}",
                remedy="the file is damaged, or its weights are those of another model",
            )
        named = {name: role_of(name, roles) for name in names}
        if sorted(map(str, named.values())) == sorted(roles):
            return {str(role): self.arrays[name] for name, role in named.items()}
        self.by_order.append(self.where)
        return dict(zip(roles, self.arrays.values(), strict=True))

    def halves(self) -> tuple[Stored, Stored]:
        """The arrays of the forward and the backward layer of a Bidirectional."""
        names = list(self.arrays)
        ahead = [name for name in names if re.search(r"(^|/)forward_", name)]
        back = [name for name in names if re.search(r"(^|/)backward_", name)]
        if len(ahead) != len(back) or len(ahead) + len(back) != len(names):
            if len(names) % 2:
                raise WeightsError(f"{self.where}: {len(names)} arrays are no two halves", remedy="save it again")
            self.by_order.append(self.where)
            ahead, back = names[: len(names) // 2], names[len(names) // 2 :]
        return self.part(f"{self.where}, forward", ahead), self.part(f"{self.where}, backward", back)

    def shared_out(self, counts: Mapping[str, tuple[int, int]]) -> dict[str, Stored]:
        """The arrays of a nested model, by inner layer: by the layer's name in theirs, else by Keras' order.

        Args:
            counts: how many trained and how many other arrays each inner layer has.

        Raises:
            WeightsError: more or fewer arrays than the layers have.
        """
        if sum(map(sum, counts.values())) != len(self.arrays):
            raise WeightsError(
                f"{self.where}: the stored arrays do not fit the nested model",
                found=f"{len(self.arrays)} arrays",
                expected=f"{sum(map(sum, counts.values()))} for {', '.join(n for n, c in counts.items() if sum(c))}",
                remedy="the file is damaged, or its weights are those of another model",
            )
        owners = {name: _owner(name, counts) for name in self.arrays}
        found = {layer: [name for name in self.arrays if owners[name] == layer] for layer in counts}
        if any(len(found[layer]) != sum(count) for layer, count in counts.items()):
            self.by_order.append(self.where)
            found = _by_order(list(self.arrays), counts)
        return {layer: self.part(f"{self.where}/{layer}", names) for layer, names in found.items()}


def role_of(name: str, roles: Sequence[str]) -> str | None:
    """The longest role that a stored name ends in: ``dense_1/kernel:0``, ``lstm_1_W_i``, ``kernel_1:0``."""
    parts = re.sub(r":\d+$", "", name).split("/")
    last = "_".join(parts[-2:]) if "query_kernel" in roles else parts[-1]
    plain = re.sub(r"_\d+$", "", last)
    fitting = [role for role in roles if role in (last, plain) or last.endswith(f"_{role}")]
    return max(fitting, key=len, default=None)


def _owner(name: str, layers: Mapping[str, Any]) -> str | None:
    parts = re.sub(r":\d+$", "", name).split("/")
    inside = [layer for layer in layers if layer in parts]
    if not inside:
        inside = [layer for layer in layers if any(re.sub(r"_\d+$", "", part) == layer for part in parts[:-1])]
    if not inside:
        inside = [layer for layer in layers if parts[-1].startswith(f"{layer}_")]
    return max(inside, key=len, default=None)


def _by_order(names: list[str], counts: Mapping[str, tuple[int, int]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {layer: [] for layer in counts}
    for part in (0, 1):
        for layer, count in counts.items():
            found[layer] += names[: count[part]]
            names = names[count[part] :]
    return found


def roles_of(kind: str, fields: Fields) -> tuple[str, ...]:  # noqa: PLR0911 - one a family of layers
    """The variables that a layer stores, in Keras' order, under the names of the version that saved it."""
    old = any(key in fields for key in ("W_regularizer", "b_regularizer", "W_constraint", "consume_less", "init"))
    with_bias = fields.flag("use_bias", "bias", default=True)
    if kind in KERNEL_AND_BIAS:
        return ("W", "b")[: 1 + with_bias] if old else ("kernel", "bias")[: 1 + with_bias]
    if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
        return ("depthwise_kernel", "bias")[: 1 + with_bias]
    if kind.startswith("Separable"):
        return ("depthwise_kernel", "pointwise_kernel", "bias")[: 2 + with_bias]
    if kind in ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"):
        return _recurrent_roles(kind, fields, with_bias)
    if kind in (*BATCH_NORMALIZATIONS, "LayerNormalization", "GroupNormalization"):
        return _normalization_roles(kind, fields)
    if kind in ("Attention", "AdditiveAttention"):
        scale = fields.flag("use_scale", default=kind == "AdditiveAttention")
        weighted = fields.get("score_mode", default="dot") == "concat"
        return ("scale",) * scale + ("concat_score_weight",) * weighted
    if kind == "MultiHeadAttention":
        maps = ("query", "key", "value", "attention_output")
        return tuple(f"{each}_{role}" for each in maps for role in ("kernel", "bias")[: 1 + with_bias])
    if kind == "Normalization":
        return ("mean", "variance", "count") if fields.get("mean", default=None) is None else ()
    if kind == "EinsumDense":
        return ("kernel", "bias")[: 1 + (fields.get("bias_axes", default=None) is not None)]
    return {"Embedding": ("W",) if old else ("embeddings",), "PReLU": ("alpha",)}.get(kind, ())


def _recurrent_roles(kind: str, fields: Fields, with_bias: bool) -> tuple[str, ...]:
    if not any(key in fields for key in ("consume_less", "inner_init", "U_regularizer")):
        return ("kernel", "recurrent_kernel", "bias")[: 2 + with_bias]
    gates = KERAS1_GATES.get(kind)
    if gates is None or fields.get("consume_less", default="cpu") == "gpu":
        return ("W", "U", "b")
    return tuple(f"{letter}_{gate}" for gate in gates for letter in "WUb")


def _normalization_roles(kind: str, fields: Fields) -> tuple[str, ...]:
    learned = ("gamma",) * fields.flag("scale", default=True) + ("beta",) * fields.flag("center", default=True)
    if kind in ("LayerNormalization", "GroupNormalization"):
        return learned
    return (*learned, *(("running_mean", "running_std") if "mode" in fields else ("moving_mean", "moving_variance")))
