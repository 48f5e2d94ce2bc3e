"""Which stored array belongs to which layer, by Keras' own rule: the order of the layers, trainable ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Config = Mapping[str, Any]

MODELS = ("Sequential", "Model", "Functional", "Container", "Network")
WRAPPERS = ("TimeDistributed", "Bidirectional")
TWO_OR_ONE = (
    "Dense", "TimeDistributedDense", "Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D",
    "AtrousConvolution1D", "AtrousConvolution2D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "Deconvolution2D", "DepthwiseConv1D", "DepthwiseConv2D", "LocallyConnected1D", "LocallyConnected2D",
)  # fmt: skip
CONV_LSTMS = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
RECURRENT = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", *CONV_LSTMS)
BATCH_NORMALIZATIONS = (
    "BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization",
)  # fmt: skip


def layers_of(config: Any) -> Sequence[Mapping[str, Any]]:
    """The layer entries of a model's configuration, which Keras 1 and early Keras 2 wrote as a bare list."""
    return config if isinstance(config, list) else config["layers"]


def name_of(entry: Mapping[str, Any]) -> str:
    """A layer's name: in its configuration, or beside it; its class where it has none."""
    config = entry["config"]
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(inner if inner is not None else entry.get("name", entry.get("class_name")))


def use_bias(config: Config) -> bool:
    """Whether a layer has a bias (``bias`` in Keras 1)."""
    return bool(config.get("use_bias", config.get("bias", True)))


def count_weights(kind: str, config: Any) -> tuple[int, int]:
    """How many arrays a layer stores that are trained, and how many that are not.

    A layer whose ``trainable`` is false counts all of its arrays among the latter.
    Source: Keras 2.3.1 engine/base_layer.py and engine/network.py, trainable_weights, non_trainable_weights.
    """
    if kind in MODELS:
        inner = [count_weights(entry["class_name"], entry["config"]) for entry in layers_of(config)]
        counts = (sum(trained for trained, _ in inner), sum(fixed for _, fixed in inner))
    elif kind in WRAPPERS:
        inner_kind, inner_config = config["layer"]["class_name"], config["layer"]["config"]
        trained, fixed = count_weights(inner_kind, inner_config)
        twice = 2 if kind == "Bidirectional" else 1
        counts = (twice * trained, twice * fixed)
    elif kind == "SpectralNormalization":
        trained, fixed = count_weights(config["layer"]["class_name"], config["layer"]["config"])
        counts = (trained, fixed + 1)
    else:
        statistics = kind == "Normalization" and config.get("mean") is None
        counts = (_count_trained(kind, config), 2 * (kind in BATCH_NORMALIZATIONS) + 3 * statistics)
    trainable = config.get("trainable", True) if isinstance(config, Mapping) else True
    return counts if trainable is not False else (0, sum(counts))


def _count_trained(kind: str, config: Config) -> int:  # noqa: PLR0911 - one a family of layers
    if kind in TWO_OR_ONE:
        return 1 + use_bias(config)
    if kind in ("SeparableConv1D", "SeparableConv2D", "SeparableConvolution2D"):
        return 2 + use_bias(config)
    if kind in (*BATCH_NORMALIZATIONS, "LayerNormalization", "GroupNormalization"):
        return int(config.get("center", True)) + int(config.get("scale", True))
    if kind in RECURRENT:
        return _count_recurrent(kind, config)
    if kind == "RNN":
        return _count_recurrent(config["cell"]["class_name"].removesuffix("Cell"), config["cell"]["config"])
    if kind in ("Embedding", "PReLU"):
        return 1
    if kind == "MultiHeadAttention":
        return 4 * (1 + use_bias(config))
    if kind == "EinsumDense":
        return 1 + (config.get("bias_axes") is not None)
    if kind in ("Attention", "AdditiveAttention"):
        return int(config.get("use_scale", kind == "AdditiveAttention")) + int(config.get("score_mode") == "concat")
    return 0


def _count_recurrent(kind: str, config: Config) -> int:
    if "inner_init" in config or "consume_less" in config:
        gates = {"LSTM": 4, "GRU": 3, "ConvLSTM2D": 4}.get(kind, 1)
        return 3 if config.get("consume_less") == "gpu" else 3 * gates
    return 2 + use_bias(config)


def share_out(config: Any, arrays: Sequence[Array]) -> dict[str, list[Array]]:
    """The arrays of a nested model, given to its layers: first what is trained, layer by layer, then the rest.

    Raises:
        ValueError: more or fewer arrays than the configuration accounts for.
    """
    left, given = list(arrays), {name_of(entry): ([], []) for entry in layers_of(config)}  # type: ignore[var-annotated]
    counts = {name_of(entry): count_weights(entry["class_name"], entry["config"]) for entry in layers_of(config)}
    for part in (0, 1):
        for name, count in counts.items():
            given[name][part].extend(left[: count[part]])
            left = left[count[part] :]
    wanted = sum(map(sum, counts.values()))
    if wanted != len(arrays):
        raise ValueError(f"the nested model's layers account for {wanted} arrays, {len(arrays)} are stored")
    return {name: first + second for name, (first, second) in given.items()}
