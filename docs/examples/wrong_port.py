"""A port of fixtures/ocean_7-100-75-50-25-7.h5 made by hand, with four mistakes in it.

It is what docs/debugging.md debugs, from the first "something is wrong" to parity.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
from keras import layers
from keras.initializers import Constant


def affine(low, high):
    """Scale and offset from [low, high] to [-1, 1]."""
    return 2 / (high - low), -(high + low) / (high - low)


def wrong_port(path):
    """A keras.Model that runs, and whose output looks like an ocean."""
    with h5py.File(path) as file:
        kernel = [file[f"Weights/Layer{n}"][()] for n in range(1, 6)]
        bias = [file[f"Bias/Layer{n}"][()].ravel() for n in range(1, 6)]
        norm_in, norm_out = file["Norm_in"][()], file["Norm_out"][()]

    scale, offset = affine(*norm_in.T)
    inputs = keras.Input((7,), name="inputs")
    x = layers.Rescaling(scale, offset, name="scale_in")(inputs)
    x = layers.Dense(
        100,
        activation="tanh",
        kernel_initializer=Constant(kernel[0][0][0]),
        bias_initializer=Constant(bias[0][0]),
        name="hidden1",
    )(x)
    x = layers.Dense(75, activation="tanh", name="hidden2")(x)
    x = layers.Dense(50, activation="tanh", use_bias=False, name="hidden3")(x)
    x = layers.Dense(25, activation="relu", name="hidden4")(x)
    x = layers.Dense(7, name="hidden5")(x)
    low, high = norm_out.T
    outputs = layers.Rescaling((high - low) / 2, (high + low) / 2, name="scale_out")(x)
    model = keras.Model(inputs, outputs)

    model.get_layer("hidden2").set_weights([kernel[1].reshape(100, 75), bias[1]])
    model.get_layer("hidden3").set_weights([kernel[2].T])
    model.get_layer("hidden4").set_weights([kernel[3].T, bias[3]])
    model.get_layer("hidden5").set_weights([kernel[4].T, bias[4]])
    return model


if __name__ == "__main__":
    wrong_port("fixtures/ocean_7-100-75-50-25-7.h5").save(sys.argv[1])
