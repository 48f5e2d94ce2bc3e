"""LiteRT files of small networks, right ones and ones with a mistake put in by hand."""

from __future__ import annotations

import copy

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from porter.exports.litert import write_litert


def write(network, path, edit=None, **how):
    """The network's file, with an edit made to its graph afterwards."""
    write_litert(network, path, **how)
    if edit is not None:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        edit(model)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
    return path


def products(model):
    """The dense layers' operations, in order."""
    graph = model.subgraphs[0]
    wanted = schema.BuiltinOperator.FULLY_CONNECTED
    return [each for each in graph.operators if model.operatorCodes[each.opcodeIndex].builtinCode == wanted]


def array(model, at):
    tensor = model.subgraphs[0].tensors[int(at)]
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape).copy()


def put(model, at, values):
    tensor = model.subgraphs[0].tensors[int(at)]
    model.buffers[tensor.buffer].data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)


def transposed(number):
    def edit(model):
        kernel = products(model)[number].inputs[1]
        put(model, kernel, array(model, kernel).T)

    return edit


def with_another_output(*, signed):
    """The negative of the output as a second one; ``signed``: which the signature names instead."""

    def edit(model):
        graph = model.subgraphs[0]
        own = int(graph.outputs[0])
        tensor, code, node = copy.copy(graph.tensors[own]), schema.OperatorCodeT(), schema.OperatorT()
        tensor.name, tensor.buffer = b"more", 0
        graph.tensors.append(tensor)
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.NEG
        code.version = 1
        model.operatorCodes.append(code)
        node.opcodeIndex = len(model.operatorCodes) - 1
        node.builtinOptionsType, node.builtinOptions = schema.BuiltinOptions.NegOptions, schema.NegOptionsT()
        made = len(graph.tensors) - 1
        node.inputs, node.outputs = np.array([own], np.int32), np.array([made], np.int32)
        graph.operators.append(node)
        graph.outputs = np.array([own, made], np.int32)
        if signed:
            model.signatureDefs[0].outputs[0].tensorIndex = made

    return edit


def with_a_hidden_output(place):
    """What the first product gives as an output of the graph, in front of the own one or behind it."""

    def edit(model):
        graph = model.subgraphs[0]
        graph.outputs = np.insert(graph.outputs, place, products(model)[0].outputs[0])

    return edit


def without_bias(number):
    def edit(model):
        bias = products(model)[number].inputs[2]
        put(model, bias, np.zeros_like(array(model, bias)))

    return edit


def sigmoid_for_tanh(number):
    def edit(model):
        graph = model.subgraphs[0]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.LOGISTIC
        model.operatorCodes.append(code)
        behind = products(model)[number].outputs[0]
        next(each for each in graph.operators if behind in each.inputs).opcodeIndex = len(model.operatorCodes) - 1

    return edit
