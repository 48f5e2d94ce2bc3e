"""ONNX files of small networks, right ones and ones with a mistake put in by hand."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from porter.exports.onnx import build_onnx, save_onnx


def write(network, path, edit=None, **how):
    """The network's file, with an edit made to the graph beforehand."""
    model = build_onnx(network, **how)
    if edit is not None:
        edit(model.graph)
    save_onnx(model, path)
    return path


def node(graph, name):
    return next(each for each in graph.node if each.name == name)


def array(graph, name):
    return numpy_helper.to_array(next(each for each in graph.initializer if each.name == name)).copy()


def put(graph, name, values):
    kept = next(each for each in graph.initializer if each.name == name)
    kept.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))


def transposed(layer):
    def edit(graph):
        kernel = node(graph, f"{layer}/MatMul").input[1]
        put(graph, kernel, array(graph, kernel).T)

    return edit


def other_operation(name, operation):
    def edit(graph):
        node(graph, name).op_type = operation

    return edit


def without_bias(layer):
    def edit(graph):
        gone = node(graph, f"{layer}/Add")
        for each in graph.node:
            for at, name in enumerate(each.input):
                if name == gone.output[0]:
                    each.input[at] = gone.input[0]
        graph.node.remove(gone)

    return edit


def one_weight(layer, factor):
    def edit(graph):
        kernel = node(graph, f"{layer}/MatMul").input[1]
        values = array(graph, kernel)
        values[1, 2] *= factor
        put(graph, kernel, values)

    return edit


def without_offset(name):
    def edit(graph):
        offset = node(graph, f"{name}/Add").input[1]
        put(graph, offset, np.zeros_like(array(graph, offset)))

    return edit


def renamed(graph):
    """Names that say nothing, as another exporter gives them."""
    known = {each.name for each in (*graph.input, *graph.output)}
    numbers: dict[str, str] = {}

    def other(name):
        return name if name in known or not name else numbers.setdefault(name, f"t{len(numbers)}")

    for at, each in enumerate(graph.node):
        each.name = f"n{at}"
        each.input[:] = [other(name) for name in each.input]
        each.output[:] = [other(name) for name in each.output]
    for each in graph.initializer:
        each.name = other(each.name)


def as_gemm(graph):
    """Products and biases as another exporter writes them: Gemm, with the kernel as (units, inputs)."""
    products = [each for each in graph.node if each.op_type == "MatMul"]
    for product in products:
        bias = next(each for each in graph.node if product.output[0] in each.input)
        put(graph, product.input[1], array(graph, product.input[1]).T)
        own = [name for name in bias.input if name != product.output[0]]
        gemm = helper.make_node("Gemm", [*product.input, *own], list(bias.output), name=product.name, transB=1)
        place = list(graph.node).index(product)
        graph.node.remove(product)
        graph.node.remove(bias)
        graph.node.insert(place, gemm)


def reloaded(path):
    return onnx.load(path)
