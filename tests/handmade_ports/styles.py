"""Styles in which people write a port by hand, all of them right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.handmade import (
    backward,
    dense_chain,
    forward,
    plain_port,
    rescaling,
    scaled,
    set_weights,
    split_chain,
)


def dropout(legacy):
    import keras

    return scaled(legacy, lambda x: split_chain(legacy, x, keras.layers.Activation, lambda: keras.layers.Dropout(0.3)))


def noise(legacy):
    import keras

    layers = keras.layers
    made = iter((layers.GaussianNoise(0.3), layers.GaussianDropout(0.3), layers.AlphaDropout(0.2), layers.Identity()))
    return scaled(legacy, lambda x: split_chain(legacy, x, layers.Activation, lambda: next(made)))


def sequential(legacy):
    import keras

    dense = [
        keras.layers.Dense(kernel.shape[1], activation=name)
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True)
    ]
    ends = rescaling(forward(legacy.norm_in)), rescaling(backward(legacy.norm_out))
    return set_weights(keras.Sequential([keras.Input((legacy.inputs,)), ends[0], *dense, ends[1]]), legacy)


def sequential_built_by_a_call(legacy):
    import keras

    dense = [
        keras.layers.Dense(kernel.shape[1], activation=name)
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True)
    ]
    model = keras.Sequential([rescaling(forward(legacy.norm_in)), *dense, rescaling(backward(legacy.norm_out))])
    model(np.zeros((1, legacy.inputs), np.float32))
    return set_weights(model, legacy)


def sequential_inside_functional(legacy):
    import keras

    inner = keras.Input((legacy.inputs,))
    core = keras.Sequential([inner, *keras.Model(inner, dense_chain(legacy, inner)).layers[1:]], name="core")
    return scaled(legacy, core)


def functional_inside_sequential(legacy):
    import keras

    inner = keras.Input((legacy.inputs,))
    core = keras.Model(inner, dense_chain(legacy, inner), name="core")
    ends = rescaling(forward(legacy.norm_in)), rescaling(backward(legacy.norm_out))
    return set_weights(keras.Sequential([keras.Input((legacy.inputs,)), ends[0], core, ends[1]]), legacy)


def wrapped_twice(legacy):
    import keras

    model = plain_port(legacy)
    for name in ("once", "twice"):
        inputs = keras.Input((legacy.inputs,))
        model = keras.Model(inputs, model(inputs), name=name)
    return model


def model_called_elsewhere_too(legacy):
    """The nested core has a second call, which is no part of the port."""
    import keras

    inner = keras.Input((legacy.inputs,))
    core = keras.Model(inner, dense_chain(legacy, inner), name="core")
    core(keras.Input((legacy.inputs,)))
    return scaled(legacy, core)


def branch_that_leads_nowhere(legacy):
    import keras

    def body(x):
        keras.layers.Dense(3)(x)
        return dense_chain(legacy, x)

    return scaled(legacy, body)


def subclass(legacy):
    import keras

    class Port(keras.Model):
        def __init__(self):
            super().__init__()
            self.before, self.after = rescaling(forward(legacy.norm_in)), rescaling(backward(legacy.norm_out))
            self.body = [
                keras.layers.Dense(kernel.shape[1], activation=name)
                for kernel, name in zip(legacy.kernels, legacy.activations, strict=True)
            ]

        def call(self, x):
            x = self.before(x)
            for layer in self.body:
                x = layer(x)
            return self.after(x)

    model = Port()
    model(np.zeros((1, legacy.inputs), np.float32))
    return set_weights(model, legacy)


def misleading_names(legacy):
    import keras

    def body(x):
        for number, (kernel, name) in enumerate(zip(legacy.kernels, legacy.activations, strict=True)):
            layer = keras.layers.Dense(kernel.shape[1], activation=name, name=f"Layer{len(legacy.kernels) - number}")
            x = layer(x)
        return x

    return scaled(legacy, body)


def bias_added_by_an_operation(legacy):
    import keras

    inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    for kernel, bias, name in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        x = keras.layers.Dense(kernel.shape[1], use_bias=False)(x) + bias.astype(np.float32)
        x = keras.layers.Activation(name)(x)
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out))(x)), legacy)


def matmul_operations(legacy):
    import keras

    inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    for kernel, bias, name in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        x = keras.ops.add(keras.ops.matmul(x, kernel.astype(np.float32)), bias.astype(np.float32))
        x = keras.activations.get(name)(x)
    return keras.Model(inputs, rescaling(backward(legacy.norm_out))(x))


def lambda_layers(legacy):
    import keras

    def step(kernel, bias, name):
        kernel, bias, activate = kernel.astype(np.float32), bias.astype(np.float32), keras.activations.get(name)
        return keras.layers.Lambda(lambda x: activate(keras.ops.matmul(x, kernel) + bias))

    inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    for arrays in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        x = step(*arrays)(x)
    return keras.Model(inputs, rescaling(backward(legacy.norm_out))(x))


def einsum_dense(legacy):
    import keras

    def body(x):
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True):
            shape = (kernel.shape[1],)
            x = keras.layers.EinsumDense("ab,bc->ac", output_shape=shape, bias_axes="c", activation=name)(x)
        return x

    return scaled(legacy, body)


def convolutions_of_width_one(legacy):
    import keras

    def body(x):
        x = keras.layers.Reshape((1, legacy.inputs))(x)
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True):
            x = keras.layers.Conv1D(kernel.shape[1], 1, activation=name)(x)
        return keras.layers.Flatten()(x)

    return scaled(legacy, body)


def layer_of_ones_own(legacy):
    import keras

    class Affine(keras.layers.Layer):
        def __init__(self, units, activation):
            super().__init__()
            self.units, self.activate = units, keras.activations.get(activation)

        def build(self, shape):
            self.matrix = self.add_weight(shape=(shape[-1], self.units), name="matrix")
            self.shift = self.add_weight(shape=(self.units,), name="shift")

        def call(self, x):
            return self.activate(keras.ops.matmul(x, self.matrix) + self.shift)

    def body(x):
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True):
            x = Affine(kernel.shape[1], name)(x)
        return x

    return scaled(legacy, body)


def python_functions_as_activations(legacy):
    import keras

    def mine(name):
        function = keras.activations.get(name)

        def activate(z):
            return 1.0 * function(z)

        return activate

    own = replace(legacy, activations=tuple(map(mine, legacy.activations)))
    return scaled(legacy, lambda x: dense_chain(own, x))


def inputs_taken_apart_and_joined(legacy):
    import keras

    return scaled(legacy, lambda x: dense_chain(legacy, keras.layers.Concatenate()([x[:, :3], x[:, 3:]])))


def frozen_and_compiled(legacy):
    model = plain_port(legacy)
    model.compile("adam", "mse", jit_compile=True)
    model.trainable = False
    return model


def fixed_batch(legacy):
    import keras

    inputs = keras.Input(batch_shape=(16, legacy.inputs))
    x = dense_chain(legacy, rescaling(forward(legacy.norm_in))(inputs))
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out))(x)), legacy)


def inputs_as_a_dictionary(legacy):
    import keras

    inputs = keras.Input((legacy.inputs,), name="rows")
    x = dense_chain(legacy, rescaling(forward(legacy.norm_in))(inputs))
    return set_weights(keras.Model({"rows": inputs}, rescaling(backward(legacy.norm_out))(x)), legacy)


STYLES = [
    plain_port,
    dropout,
    noise,
    sequential,
    sequential_built_by_a_call,
    sequential_inside_functional,
    functional_inside_sequential,
    wrapped_twice,
    model_called_elsewhere_too,
    branch_that_leads_nowhere,
    subclass,
    misleading_names,
    bias_added_by_an_operation,
    matmul_operations,
    lambda_layers,
    einsum_dense,
    convolutions_of_width_one,
    layer_of_ones_own,
    python_functions_as_activations,
    inputs_taken_apart_and_joined,
    frozen_and_compiled,
    fixed_batch,
    inputs_as_a_dictionary,
]
