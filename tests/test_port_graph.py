"""A Keras model as a graph of nodes: walked through, cut where one tensor crosses, evaluated as it was built."""

from __future__ import annotations

import numpy as np
import pytest

from porter.errors import PortError
from porter.ports.keras.graph import read_graph, read_port
from reference.precision import Precision

pytestmark = pytest.mark.usefixtures("keras")

X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def names(graph):
    return [node.name for node in graph.nodes]


def atoms(graph):
    return [(atom.kind, *atom.names) for atom in graph.atoms]


@pytest.fixture(scope="module")
def chain(keras):
    """Dense, activation, dropout, dense, with names."""
    layers = keras.layers
    inputs = keras.Input((3,), name="inputs")
    x = layers.Dense(4, name="first")(inputs)
    x = layers.Activation("tanh", name="tanh")(x)
    x = layers.Dropout(0.5, name="drop")(x)
    return keras.Model(inputs, layers.Dense(2, activation="relu", use_bias=False, name="second")(x))


def test_a_cast_that_its_takers_make_themselves_is_no_operation_of_the_port(keras):
    """Some Keras 3 write it into the graph; one to another dtype, of whole numbers, or given out stays."""
    layers, cast = keras.layers, keras.ops.cast

    def walked(make, dtype="float32"):
        inputs = keras.Input((3,), dtype=dtype)
        return names(read_graph(keras.Model(inputs, make(inputs))))

    half = {"dtype": "mixed_float16", "name": "last"}
    assert walked(lambda x: layers.Dense(2, **half)(cast(x, "float16"))) == ["last"]
    assert len(walked(lambda x: layers.Dense(2, name="last")(cast(x, "float16")))) == 2
    assert len(walked(lambda x: layers.Dense(2, **half)(cast(x, "float16")), "int32")) == 2
    assert len(walked(lambda x: [layers.Dense(2, **half)(y := cast(x, "float16")), y])) == 2
    inputs = keras.Input((3,))
    graph = read_graph(keras.Model(inputs, layers.Dense(2, **half)(cast(inputs, "float16"))))
    (found,) = (graph.trace([X])[key] for key in graph.outputs)
    np.testing.assert_array_equal(found, graph(X)[0])


def test_a_chain(chain):
    graph = read_graph(chain)
    assert names(graph) == ["first", "tanh", "drop", "second"]
    assert atoms(graph) == [("dense", "first"), ("activation", "tanh"), ("identity", "drop"), ("dense", "second")]
    assert graph.input_dtypes == ("float32",)
    assert graph.model is chain


def test_the_trace_is_what_the_layers_give(chain):
    graph = read_graph(chain)
    values = graph.trace([X])
    first, second = (chain.get_layer(name) for name in ("first", "second"))
    keys = [atom.key for atom in graph.atoms]
    hidden = first(X).numpy()
    assert np.array_equal(values[graph.inputs[0]], X)
    assert np.array_equal(values[keys[0]], hidden)
    assert np.array_equal(values[keys[2]], values[keys[1]])
    assert np.array_equal(values[keys[3]], second(values[keys[2]]).numpy())
    assert np.array_equal(values[graph.outputs[0]], graph(X)[0])


def test_an_atom_runs_alone_and_shows_its_weights(chain):
    first, _, _, second = read_graph(chain).atoms
    layer = chain.get_layer("first")
    assert np.array_equal(first.run(X), layer(X).numpy())
    assert np.array_equal(first.kernel, layer.get_weights()[0]) and first.kernel.dtype == np.float64
    assert np.array_equal(first.bias, layer.get_weights()[1])
    assert second.bias is None
    assert first.width == (3, 4) and first.is_core
    assert first.precision == Precision("float32", "float32")
    assert np.array_equal(second.activation(np.array([[-1.0, 2.0]])), [[0.0, 2.0]])
    assert (first.entry, second.entry) == (read_graph(chain).inputs[0], second.key - 1)


def test_the_exposed_weights_are_copies(chain):
    atom = read_graph(chain).atoms[0]
    before = chain.get_layer("first").get_weights()[0].copy()
    atom.kernel[...] = 0
    assert np.array_equal(chain.get_layer("first").get_weights()[0], before)


def test_nested_models_are_walked_through_with_their_names(keras):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="a")], name="inner")
    middle = keras.Sequential([keras.Input((3,)), inner, layers.Dense(3, name="b")], name="middle")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2, name="c")(middle(inputs)))
    graph = read_graph(model)
    assert names(graph) == ["middle/inner/a", "middle/b", "c"]
    assert np.array_equal(graph.trace([X])[graph.outputs[0]], graph(X)[0])


def test_a_model_shared_by_two_calls_is_walked_through_twice(keras):
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="tanh", name="a")], name="inner")
    inputs = keras.Input((3,))
    graph = read_graph(keras.Model(inputs, inner(inner(inputs))))
    assert names(graph) == ["inner/a", "inner/a"]
    assert len(graph.atoms) == 2
    assert np.array_equal(graph.trace([X])[graph.outputs[0]], graph(X)[0])


def test_a_layer_shared_by_two_calls(keras):
    inputs, layer = keras.Input((3,)), keras.layers.Dense(3, activation="tanh", name="a")
    model = keras.Model(inputs, layer(layer(inputs)))
    graph = read_graph(model)
    assert len(graph.atoms) == 2
    assert np.array_equal(graph.atoms[1].run(graph.atoms[0].run(X)), graph(X)[0])


def test_operations_are_nodes_with_their_constants(keras):
    inputs = keras.Input((3,))
    graph = read_graph(keras.Model(inputs, keras.ops.tanh(2 * inputs - np.float32(0.5))))
    assert len(graph.nodes) == 3
    assert np.array_equal(graph.trace([X])[graph.outputs[0]], graph(X)[0])
    assert [kind for kind, *_ in atoms(graph)] == ["affine", "affine", "activation"]


def test_branches_that_come_together_are_one_atom_or_a_merge(keras):
    layers, inputs = keras.layers, keras.Input((3,))
    x = layers.Dense(3, name="before")(inputs)
    y = layers.Concatenate(name="join")([x[:, :1], x[:, 1:]])
    graph = read_graph(keras.Model(inputs, layers.Dense(2, name="after")(y)))
    found = graph.atoms
    assert found[0].names == ("before",) and found[-1].names == ("after",)
    values = graph.trace([X])
    assert np.array_equal(values[graph.outputs[0]], graph(X)[0])


def test_branches_that_lead_nowhere_are_left_out(keras):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="used")(inputs)
    keras.layers.Dense(5, name="unused")(inputs)
    assert atoms(read_graph(keras.Model(inputs, outputs))) == [("dense", "used")]


def test_training_that_was_baked_in_stays(keras):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dropout(0.9, name="drop")(inputs, training=True)
    graph = read_graph(keras.Model(inputs, outputs))
    assert graph.nodes[0].is_training
    assert graph.atoms[0].kind == "other" and graph.atoms[0].is_training
    big = np.ones((50, 3), np.float32)
    assert (graph.atoms[0].run(big) == 0).any()
    quiet = read_graph(keras.Model(inputs, keras.layers.Dropout(0.9)(inputs)))
    assert np.array_equal(quiet.atoms[0].run(big), big)
    assert not quiet.atoms[0].is_training


@pytest.mark.parametrize(
    ("policy", "precision"),
    [
        ("float64", Precision("float64", "float64")),
        ("mixed_float16", Precision("float16", "float32")),
        ("mixed_bfloat16", Precision("bfloat16", "float32")),
        ("bfloat16", Precision("bfloat16", "bfloat16")),
    ],
)
def test_an_atom_knows_in_what_it_computes_and_keeps_its_variables(keras, policy, precision):
    inputs = keras.Input((3,))
    graph = read_graph(keras.Model(inputs, keras.layers.Dense(2, dtype=policy)(inputs)))
    dense = graph.atoms[-1]
    assert dense.precision == precision
    assert np.isfinite(np.asarray(dense.run(X)).astype(np.float64)).all()


def test_the_input_keeps_its_dtype(keras):
    inputs = keras.Input((3,), dtype="float64")
    graph = read_graph(keras.Model(inputs, keras.layers.Dense(2, dtype="float64")(inputs)))
    fine = X.astype(np.float64) + 1e-12
    assert graph.input_dtypes == ("float64",)
    assert np.array_equal(graph.trace([fine])[graph.inputs[0]], fine)
    assert graph(fine)[0].dtype == np.float64


def test_a_subclass_is_traced_through_its_call(keras):
    class Port(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2, name="dense")

        def call(self, x):
            return keras.ops.tanh(self.dense(x))

    model = Port()
    model(X)
    graph = read_graph(model)
    assert [kind for kind, *_ in atoms(graph)] == ["dense", "activation"]
    assert np.array_equal(graph.trace([X])[graph.outputs[0]], graph(X)[0])


def test_inputs_in_a_dictionary_or_a_list(keras):
    for packed in (lambda tensor: {"rows": tensor}, lambda tensor: [tensor]):
        inputs = keras.Input((3,), name="rows")
        graph = read_graph(keras.Model(packed(inputs), keras.layers.Dense(2)(inputs)))
        assert np.array_equal(graph.trace([X])[graph.outputs[0]], graph(X)[0])


def test_several_inputs_or_outputs_have_no_atoms(keras):
    inputs = keras.Input((3,))
    graph = read_graph(keras.Model(inputs, [inputs, keras.layers.Dense(2)(inputs)]))
    with pytest.raises(PortError, match="1 inputs and 2 outputs"):
        _ = graph.atoms


def test_what_is_no_model_is_refused():
    with pytest.raises(PortError, match="an object of type list"):
        read_graph([])


def test_a_saved_model_is_read_without_compiling_it(chain, tmp_path):
    chain.compile("adam", "mse")
    chain.save(tmp_path / "port.keras")
    model = read_port(tmp_path / "port.keras")
    assert not model.compiled
    assert np.array_equal(read_graph(model)(X)[0], read_graph(chain)(X)[0])
