"""Small legacy Keras networks of every kind of layer, drawn at random and written as Keras 2 wrote them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.keras_legacy.files import layer, model, node, write

Array = np.ndarray
Arrays = dict[str, dict[str, Array]]
Entry = dict[str, Any]

ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu", "softplus", "softsign", "selu", "linear", "hard_sigmoid")


@dataclass(frozen=True)
class LegacyKeras:
    """A legacy file in the making.

    Attributes:
        name: of its kind.
        config: as ``model_config`` has it.
        weights: arrays by layer and name.
    """

    name: str
    config: Any
    weights: Arrays

    def write(self, path: Path) -> Path:
        """The .h5 file."""
        return write(path, self.config, self.weights, version="2.2.4")


class Maker:
    """Layers one after another, with their weights."""

    def __init__(self, rng: np.random.Generator, shape: Sequence[int | None]) -> None:
        self.rng, self.shape = rng, list(shape)
        self.entries: list[Entry] = []
        self.weights: Arrays = {}

    def add(self, kind: str, name: str, arrays: Mapping[str, Array] | None = None, **config: Any) -> str:
        """One more layer; the first is given the shape of the input."""
        first = {} if self.entries else {"batch_input_shape": [None, *self.shape]}
        self.entries.append(layer(kind, name, **first, **config))
        self.weights[name] = {f"{name}/{key}:0": value for key, value in (arrays or {}).items()}
        return name

    def normal(self, *shape: int, scale: float | None = None) -> Array:
        """A kernel that keeps the size of what goes through it, about."""
        fan = int(np.prod(shape[:-1]))
        spread = 1.2 / np.sqrt(fan) if scale is None else scale
        return self.rng.normal(0, spread, shape).astype(np.float32)

    def bias(self, units: int) -> Array:
        """A bias."""
        return self.rng.normal(0, 0.4, units).astype(np.float32)

    def activation(self, *known: str) -> str:
        """One at random."""
        return str(self.rng.choice(known or ACTIVATIONS))

    def dense(self, name: str, inputs: int, units: int, activation: str | None = None) -> str:
        """Dense."""
        arrays = {"kernel": self.normal(inputs, units), "bias": self.bias(units)}
        chosen = activation or self.activation()
        return self.add("Dense", name, arrays, units=units, activation=chosen, use_bias=True)

    def conv(self, name: str, window: Sequence[int], channels: int, filters: int, **config: Any) -> str:
        """Conv1D or Conv2D."""
        ones = [1] * len(window)
        arrays = {"kernel": self.normal(*window, channels, filters), "bias": self.bias(filters)}
        settings = {"activation": self.activation(), "padding": "same", "strides": ones, "dilation_rate": ones}
        settings |= {"data_format": "channels_last", "use_bias": True, **config}
        return self.add(f"Conv{len(window)}D", name, arrays, filters=filters, kernel_size=list(window), **settings)

    def norm(self, name: str, channels: int, kind: str = "BatchNormalization") -> str:
        """Batch or layer normalization."""
        arrays = {"gamma": self.rng.uniform(0.5, 1.5, channels), "beta": self.rng.normal(0, 0.4, channels)}
        if kind == "BatchNormalization":
            arrays["moving_mean"] = self.rng.normal(0, 0.4, channels)
            arrays["moving_variance"] = self.rng.uniform(0.05, 2, channels)
        arrays = {key: value.astype(np.float32) for key, value in arrays.items()}
        epsilon = float(self.rng.choice([1e-3, 1e-5, 1e-2]))
        axis = -1 if kind == "BatchNormalization" else [-1]
        return self.add(kind, name, arrays, axis=axis, epsilon=epsilon, center=True, scale=True)

    def pool(self, name: str, kind: str, dims: int = 2, **config: Any) -> str:
        """Max or average pooling."""
        settings = {"pool_size": [2] * dims, "strides": [2] * dims, "padding": "valid", "data_format": "channels_last"}
        return self.add(f"{kind}Pooling{dims}D", name, **{**settings, **config})

    def recurrent(self, kind: str, name: str, inputs: int, units: int, **config: Any) -> str:
        """SimpleRNN, LSTM or GRU."""
        settings, arrays = self.cell(kind, inputs, units, **config)
        return self.add(kind, name, arrays, **settings)

    def cell(self, kind: str, inputs: int, units: int, **config: Any) -> tuple[dict[str, Any], dict[str, Array]]:
        """Configuration and arrays of a recurrent layer."""
        gates = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}[kind]
        bias = self.bias(gates * units)
        if config.get("reset_after"):
            bias = np.stack([bias, self.bias(gates * units)])
        arrays = {
            "kernel": self.normal(inputs, gates * units), "recurrent_kernel": self.normal(units, gates * units),
            "bias": bias,
        }  # fmt: skip
        settings = {"units": units, "activation": self.activation("tanh", "tanh", "relu", "softsign"), "use_bias": True,
                    "return_sequences": False, "go_backwards": False, **config}  # fmt: skip
        if kind != "SimpleRNN":
            settings["recurrent_activation"] = self.activation("hard_sigmoid", "sigmoid")
        return settings, arrays

    def bidirectional(self, kind: str, name: str, inputs: int, units: int, **config: Any) -> str:
        """Both directions of one recurrent layer."""
        settings, ahead = self.cell(kind, inputs, units, **config)
        _, back = self.cell(kind, inputs, units, **config)
        inner = layer(kind, f"{name}_inner", **settings)
        arrays = {f"forward_{key}": value for key, value in ahead.items()}
        arrays |= {f"backward_{key}": value for key, value in back.items()}
        return self.add("Bidirectional", name, arrays, layer=inner, merge_mode="concat")

    def chain(self, name: str) -> LegacyKeras:
        """All of them in a row."""
        return LegacyKeras(name, model(self.entries), self.weights)

    def graph(self, name: str, edges: Mapping[str, Sequence[str]], output: str) -> LegacyKeras:
        """A graph: what each layer takes, the layer before it where nothing is said."""
        begin = node(layer("InputLayer", "begin", batch_input_shape=[None, *self.shape], dtype="float32"))
        self.entries[0]["config"].pop("batch_input_shape")
        nodes, before = [begin], "begin"
        for entry in self.entries:
            own = entry["config"]["name"]
            nodes.append(node(entry, list(edges.get(own, [before]))))
            before = own
        return LegacyKeras(name, model(nodes, ["begin"], [output]), self.weights)


# --- the kinds ------------------------------------------------------------------------------------------------------


def image_cnn(rng: np.random.Generator) -> LegacyKeras:
    """Convolutions, batch normalization, pooling, Flatten, Dense."""
    m = Maker(rng, (6, 6, 2))
    m.conv("conv_1", (3, 3), 2, 3)
    m.norm("bn_1", 3)
    m.pool("pool_1", str(rng.choice(["Max", "Average"])))
    m.conv("conv_2", (2, 2), 3, 4, padding=str(rng.choice(["same", "valid"])), strides=[1, 1])
    m.add("Dropout", "dropout_1", rate=0.4)
    side = 3 if m.entries[3]["config"]["padding"] == "same" else 2
    m.add("Flatten", "flatten_1")
    m.dense("dense_1", side * side * 4, 5)
    m.dense("dense_2", 5, 5)
    m.dense("dense_3", 5, 3, "softmax")
    return m.chain("image CNN")


def residual(rng: np.random.Generator) -> LegacyKeras:
    """Two connections past convolutions, and a concatenation."""
    m = Maker(rng, (5, 5, 3))
    m.conv("conv_1", (3, 3), 3, 3)
    m.conv("conv_2", (3, 3), 3, 3, activation="linear")
    m.norm("bn_1", 3)
    m.add("Add", "add_1")
    m.add("Activation", "act_1", activation=m.activation("relu", "elu", "tanh"))
    m.conv("conv_3", (1, 1), 3, 3)
    m.add("Concatenate", "concat_1", axis=-1)
    m.pool("pool_1", "Average", padding="same", pool_size=[3, 3], strides=[2, 2])
    m.add("GlobalAveragePooling2D", "gap_1", data_format="channels_last")
    m.dense("dense_1", 6, 4)
    return m.graph("residual", {"add_1": ["conv_1", "bn_1"], "concat_1": ["act_1", "conv_3"]}, "dense_1")


def recurrent_net(rng: np.random.Generator) -> LegacyKeras:
    """Two LSTM, a dense layer."""
    m = Maker(rng, (5, 3))
    m.recurrent("LSTM", "lstm_1", 3, 3, return_sequences=True)
    m.recurrent("LSTM", "lstm_2", 3, 4)
    m.dense("dense_1", 4, 4)
    m.dense("dense_2", 4, 2)
    return m.chain("LSTM")


def gru_net(rng: np.random.Generator) -> LegacyKeras:
    """GRU with either reset gate, SimpleRNN."""
    m = Maker(rng, (5, 4))
    m.recurrent("GRU", "gru_1", 4, 4, return_sequences=True, reset_after=bool(rng.integers(2)))
    m.recurrent("SimpleRNN", "rnn_1", 4, 4, return_sequences=True)
    m.recurrent("GRU", "gru_2", 4, 3, reset_after=False)
    m.dense("dense_1", 3, 3)
    return m.chain("GRU and SimpleRNN")


def text_cnn(rng: np.random.Generator) -> LegacyKeras:
    """Words, dilated causal convolutions, pooling."""
    m = Maker(rng, (9,))
    m.add("Embedding", "words_1", {"embeddings": m.normal(12, 4, scale=0.8)}, input_dim=12, output_dim=4)
    m.entries[0]["config"]["dtype"] = "float32"
    m.conv("conv_1", (3,), 4, 4, padding="causal", dilation_rate=[2])
    m.add("SpatialDropout1D", "dropout_1", rate=0.3)
    m.conv("conv_2", (2,), 4, 4, padding="valid")
    m.pool("pool_1", "Max", 1)
    m.add("GlobalMaxPooling1D", "gmp_1")
    m.dense("dense_1", 4, 3)
    return m.chain("text CNN")


def both_ways(rng: np.random.Generator) -> LegacyKeras:
    """Bidirectional layers, TimeDistributed."""
    m = Maker(rng, (4, 3))
    m.bidirectional("LSTM", "both_1", 3, 3, return_sequences=True)
    inner = layer("Dense", "each_inner", units=4, activation=m.activation("tanh", "relu"), use_bias=True)
    m.add("TimeDistributed", "each_1", {"kernel": m.normal(6, 4), "bias": m.bias(4)}, layer=inner)
    m.bidirectional("GRU", "both_2", 4, 2)
    m.dense("dense_1", 4, 3)
    return m.chain("bidirectional")


def separable(rng: np.random.Generator) -> LegacyKeras:
    """Depthwise and separable convolutions, activations with slopes."""
    m = Maker(rng, (6, 6, 3))
    shared = {"strides": [1, 1], "padding": "same", "data_format": "channels_last", "use_bias": True}
    m.add("DepthwiseConv2D", "depth_1",
          {"depthwise_kernel": m.normal(3, 3, 3, 1, scale=0.4), "bias": m.bias(3)}, kernel_size=[3, 3],
          depth_multiplier=1, activation=m.activation(), **shared)  # fmt: skip
    m.add("LeakyReLU", "leaky_1", alpha=float(rng.choice([0.1, 0.3])))
    m.add("SeparableConv2D", "sep_1",
          {"depthwise_kernel": m.normal(3, 3, 3, 1, scale=0.4), "pointwise_kernel": m.normal(1, 1, 3, 4),
           "bias": m.bias(4)},
          filters=4, kernel_size=[3, 3], depth_multiplier=1, activation="linear", **shared)  # fmt: skip
    m.add("PReLU", "prelu_1", {"alpha": rng.uniform(0.05, 0.5, (1, 1, 4)).astype(np.float32)}, shared_axes=[1, 2])
    m.norm("bn_1", 4)
    m.add("ELU", "elu_1", alpha=float(rng.choice([0.5, 1.0])))
    m.add("GlobalMaxPooling2D", "gmp_1", data_format="channels_last")
    m.dense("dense_1", 4, 4)
    return m.chain("separable")


def conv_lstm(rng: np.random.Generator) -> LegacyKeras:
    """ConvLSTM2D on short films."""
    m = Maker(rng, (3, 4, 4, 2))
    arrays = {"kernel": m.normal(3, 3, 2, 12), "recurrent_kernel": m.normal(3, 3, 3, 12), "bias": m.bias(12)}
    m.add("ConvLSTM2D", "film_1", arrays, filters=3, kernel_size=[3, 3], strides=[1, 1], padding="same",
          data_format="channels_last", dilation_rate=[1, 1], activation="tanh",
          recurrent_activation=m.activation("hard_sigmoid", "sigmoid"), use_bias=True, return_sequences=False,
          go_backwards=False)  # fmt: skip
    m.norm("bn_1", 3)
    m.add("Flatten", "flatten_1")
    m.dense("dense_1", 48, 3)
    return m.chain("ConvLSTM")


def attention(rng: np.random.Generator) -> LegacyKeras:
    """Convolution, attention over time, layer normalization."""
    m = Maker(rng, (6, 3))
    m.conv("conv_1", (3,), 3, 4)
    m.conv("conv_2", (1,), 4, 4, activation=m.activation("tanh", "relu"))
    m.add("Attention", "attention_1", use_scale=False)
    m.norm("ln_1", 4, "LayerNormalization")
    m.add("Add", "add_1")
    m.add("GlobalAveragePooling1D", "gap_1")
    m.dense("dense_1", 4, 4)
    m.dense("dense_2", 4, 2, "softmax")
    edges = {"attention_1": ["conv_2", "conv_1"], "add_1": ["conv_1", "ln_1"]}
    return m.graph("attention", edges, "dense_2")


def branches(rng: np.random.Generator) -> LegacyKeras:
    """Dense branches merged in several ways."""
    m = Maker(rng, (4,))
    m.dense("dense_1", 4, 4)
    m.dense("dense_2", 4, 4)
    m.dense("dense_3", 4, 4)
    mode = str(rng.choice(["Maximum", "Average", "Multiply", "Add"]))
    m.add(mode, "merge_1")
    m.norm("bn_1", 4)
    m.add("GaussianNoise", "noise_1", stddev=0.3)
    m.add("Concatenate", "concat_1", axis=-1)
    m.dense("dense_4", 8, 4)
    edges = {"dense_2": ["begin"], "dense_3": ["begin"], "merge_1": ["dense_1", "dense_2"],
             "concat_1": ["noise_1", "dense_3"]}  # fmt: skip
    return m.graph("branches", edges, "dense_4")


def upwards(rng: np.random.Generator) -> LegacyKeras:
    """Strides, zeros around, transposed convolution."""
    m = Maker(rng, (6, 5, 2))
    m.add("ZeroPadding2D", "pad_1", padding=[[1, 0], [0, 1]], data_format="channels_last")
    m.conv("conv_1", (3, 3), 2, 3, strides=[2, 2], padding=str(rng.choice(["same", "valid"])))
    m.add("Conv2DTranspose", "up_1", {"kernel": m.normal(3, 3, 2, 3, scale=0.3), "bias": m.bias(2)}, filters=2,
          kernel_size=[3, 3], strides=[2, 2], padding="same", data_format="channels_last",
          activation=m.activation(), use_bias=True)  # fmt: skip
    m.add("UpSampling2D", "twice_1", size=[2, 2], data_format="channels_last")
    m.pool("pool_1", "Average", padding="same", pool_size=[3, 3], strides=[2, 2])
    m.add("GlobalAveragePooling2D", "gap_1", data_format="channels_last")
    m.dense("dense_1", 2, 2)
    return m.chain("transposed")


def channels_first(rng: np.random.Generator) -> LegacyKeras:
    """Arrays with the channels first, which the port turns."""
    m = Maker(rng, (2, 5, 5))
    m.conv("conv_1", (3, 3), 2, 3, data_format="channels_first", activation=m.activation("relu", "tanh"))
    m.pool("pool_1", "Max", data_format="channels_first")
    m.add("Flatten", "flatten_1", data_format="channels_first")
    m.dense("dense_1", 12, 4)
    return m.chain("channels first")


KINDS: tuple[Callable[[np.random.Generator], LegacyKeras], ...] = (
    image_cnn, residual, recurrent_net, gru_net, text_cnn, both_ways, separable, conv_lstm, attention, branches,
    upwards, channels_first,
)  # fmt: skip


def draw_keras(number: int, rng: np.random.Generator) -> LegacyKeras:
    """The network of a number: the kinds in turn."""
    return KINDS[number % len(KINDS)](rng)
