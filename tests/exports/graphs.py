"""Legacy Keras files for exports: a network with windows, recurrent ones, and one with branches."""

from __future__ import annotations

import numpy as np

from tests.keras_legacy.files import layer, model, node, write


def held(name, roles, *shapes, seed=0, scale=0.5):
    rng = np.random.default_rng([seed, len(name), *map(ord, name)])
    arrays = (scale * rng.standard_normal(shape) for shape in shapes)
    return {name: {f"{name}/{role}:0": array.astype(np.float32) for role, array in zip(roles, arrays, strict=True)}}


def norm(name, channels):
    found = held(name, ("gamma", "beta", "moving_mean", "moving_variance"), *[(channels,)] * 4)
    found[name][f"{name}/moving_variance:0"] = np.abs(found[name][f"{name}/moving_variance:0"]) + 0.5
    return found


def cnn(path, layout="channels_last"):
    """Windows of every kind, batch normalization, and a dense end."""
    shape = [9, 8, 3] if layout == "channels_last" else [3, 9, 8]
    entries = [
        layer("Conv2D", "conv_1", filters=4, kernel_size=[3, 3], strides=[1, 1], padding="same", data_format=layout,
              dilation_rate=[1, 1], activation="relu", use_bias=True, batch_input_shape=[None, *shape]),
        layer("BatchNormalization", "norm_1", axis=-1 if layout == "channels_last" else 1, epsilon=1e-3, center=True,
              scale=True, momentum=0.99),
        layer("MaxPooling2D", "pool_1", pool_size=[2, 2], strides=[2, 2], padding="same", data_format=layout),
        layer("ZeroPadding2D", "pad_1", padding=[[1, 0], [0, 2]], data_format=layout),
        layer("Conv2D", "conv_2", filters=5, kernel_size=[2, 2], strides=[2, 1], padding="valid", data_format=layout,
              dilation_rate=[1, 1], activation="tanh", use_bias=True),
        layer("AveragePooling2D", "pool_2", pool_size=[2, 2], strides=[2, 2], padding="same", data_format=layout),
        layer("Flatten", "flatten_1", data_format=layout),
        layer("Dense", "dense_1", units=3, activation="softmax", use_bias=True),
    ]  # fmt: skip
    size = 5 * 2 * 3
    arrays = {
        **held("conv_1", ("kernel", "bias"), (3, 3, 3, 4), (4,)), **norm("norm_1", 4),
        **held("conv_2", ("kernel", "bias"), (2, 2, 4, 5), (5,)),
        **held("dense_1", ("kernel", "bias"), (size, 3), (3,)),
    }  # fmt: skip
    return write(path, model(entries), arrays)


def text_cnn(path):
    """Words, convolutions along a line, and the largest of each channel."""
    entries = [
        layer("Embedding", "words", input_dim=12, output_dim=4, mask_zero=False, input_length=8,
              batch_input_shape=[None, 8], dtype="int32"),
        layer("Conv1D", "conv_1", filters=5, kernel_size=[3], strides=[1], padding="causal", dilation_rate=[2],
              activation="relu", use_bias=True),
        layer("GlobalMaxPooling1D", "most"),
        layer("Dense", "dense_1", units=2, activation="sigmoid", use_bias=True),
    ]  # fmt: skip
    arrays = {
        **held("words", ("embeddings",), (12, 4)), **held("conv_1", ("kernel", "bias"), (3, 4, 5), (5,)),
        **held("dense_1", ("kernel", "bias"), (5, 2), (2,)),
    }  # fmt: skip
    return write(path, model(entries), arrays)


def recurrent(path, kind="LSTM", **how):
    """A recurrent layer that gives every step, another that gives the last, and a dense one."""
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[kind]
    config = {"activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True, "implementation": 1,
              "go_backwards": False, "stateful": False, "unroll": False} | how  # fmt: skip
    if kind == "SimpleRNN":
        config.pop("recurrent_activation")
    entries = [
        layer(kind, "first", units=5, return_sequences=True, batch_input_shape=[None, 6, 3], **config),
        layer(kind, "second", units=4, return_sequences=False, **config),
        layer("Dense", "dense_1", units=2, activation="linear", use_bias=True),
    ]
    roles = ("kernel", "recurrent_kernel", "bias")
    bias = (lambda n: (2, n)) if how.get("reset_after") else (lambda n: (n,))
    arrays = {
        **held("first", roles, (3, 5 * gates), (5, 5 * gates), bias(5 * gates)),
        **held("second", roles, (5, 4 * gates), (4, 4 * gates), bias(4 * gates)),
        **held("dense_1", ("kernel", "bias"), (4, 2), (2,)),
    }
    return write(path, model(entries), arrays)


def branches(path):
    """Two inputs, a sum, a product at every place, and two outputs."""
    entries = [
        node(layer("InputLayer", "left", batch_input_shape=[None, 4])),
        node(layer("InputLayer", "right", batch_input_shape=[None, 3, 4])),
        node(layer("Dense", "dense_1", units=5, activation="tanh", use_bias=True), ["left"]),
        node(layer("Dense", "dense_2", units=5, activation="relu", use_bias=True), ["right"]),
        node(layer("Flatten", "flat"), ["dense_2"]),
        node(layer("Dense", "dense_3", units=5, activation="linear", use_bias=False), ["flat"]),
        node(layer("Add", "sum"), ["dense_1", "dense_3"]),
        node(layer("Concatenate", "joined", axis=-1), ["sum", "flat"]),
        node(layer("Dense", "dense_4", units=2, activation="elu", use_bias=True), ["joined"]),
    ]
    arrays = {
        **held("dense_1", ("kernel", "bias"), (4, 5), (5,)), **held("dense_2", ("kernel", "bias"), (4, 5), (5,)),
        **held("dense_3", ("kernel",), (15, 5)), **held("dense_4", ("kernel", "bias"), (20, 2), (2,)),
    }  # fmt: skip
    return write(path, model(entries, ["left", "right"], ["dense_4", "sum"]), arrays)


def both_ways(path):
    """A recurrent layer in either direction, and a dense one at every step."""
    config = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "go_backwards": False,
              "stateful": False, "unroll": False, "units": 4, "return_sequences": True, "name": "lstm_1"}  # fmt: skip
    entries = [
        layer("Bidirectional", "both", merge_mode="concat", layer={"class_name": "LSTM", "config": config},
              batch_input_shape=[None, 6, 3]),
        layer("TimeDistributed", "each", layer={"class_name": "Dense", "config": {
            "name": "dense_1", "units": 2, "activation": "softmax", "use_bias": True}}),
    ]  # fmt: skip
    rng = np.random.default_rng(5)
    arrays = {
        f"both/{side}_lstm_1/{role}:0": (0.5 * rng.standard_normal(shape)).astype(np.float32)
        for side in ("forward", "backward")
        for role, shape in (("kernel", (3, 16)), ("recurrent_kernel", (4, 16)), ("bias", (16,)))
    }
    return write(path, model(entries), {"both": arrays, **held("each", ("kernel", "bias"), (8, 2), (2,))})
