"""Nodes and small constants of networks that the tests of this folder write."""

import numpy as np
from onnx import helper


def node(operator, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


def u8(value):
    return np.array(value, "uint8")


def i8(value):
    return np.array(value, "int8")
