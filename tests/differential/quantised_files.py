"""Random files as quantizers write them: the float networks of random_generator.py with QuantizeLinear and
DequantizeLinear between the nodes, or with ONNX's and ONNX Runtime's operators on integers; and what each layer of such
a file makes of the integers that it reads.

A layer is whatever lies between two tensors of integers."""

import zlib
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.parser
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 20  # ONNX Runtime has no QLinearMatMul of 21.
_MICROSOFT = "com.microsoft"
# Where the output channel of a constant second operand lies; the generator transposes that of Gemm.
_CHANNEL = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": 0}
_BODIES = {
    "QLinearAdd": ("a, as, az, b, bs, bz", "r = Add (da, db)"),
    "QLinearMul": ("a, as, az, b, bs, bz", "r = Mul (da, db)"),
    "QLinearSigmoid": ("a, as, az", "r = Sigmoid (da)"),
    "QLinearGlobalAveragePool": ("a, as, az", "r = GlobalAveragePool (da)"),
}
ON_INTEGERS = {"Add": "QLinearAdd", "Mul": "QLinearMul", "Sigmoid": "QLinearSigmoid"} | {
    "GlobalAveragePool": "QLinearGlobalAveragePool"
}


def contributed():
    """ONNX Runtime's operators on integers as functions of ONNX's, for the evaluator: dequantise, compute, quantise."""
    found = []
    for name, (operands, body) in _BODIES.items():
        read = "".join(f"d{x} = DequantizeLinear ({x}, {x}s, {x}z) " for x in "ab" if f"{x}s" in operands)
        found.append(
            onnx.parser.parse_function(
                f'<opset_import: ["" : {OPSET}], domain: "{_MICROSOFT}"> {name} ({operands}, ys, yz) => (y) '
                f"{{ {read} {body} y = QuantizeLinear (r, ys, yz) }}"
            )
        )
    return found


@dataclass
class Quantizer:
    """Writes a float network of ONNX anew, with quantised tensors.

    rng: draws which tensors are quantised, and how; values: {tensor: array} of one run; style: "qdq" or "operators";
    dense: the share of tensors that are quantised;
    dtypes: those of activations; codes: {tensor: (its integers, scale, zero point)}, by names."""

    rng: np.random.Generator
    values: dict
    style: str
    dense: float
    dtypes: list
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    codes: dict = field(default_factory=dict)

    def constant(self, name, array):
        self.constants[name] = np.asarray(array)
        return name

    def node(self, kind, read, written, **attrs):
        self.nodes.append(helper.make_node(kind, read, [written], **attrs))
        return written

    def grid(self, name):
        """The scale and zero point that a tensor gets, as names."""
        array = np.abs(self.values[name])
        # A scale per channel is one of QDQ alone, along axis 1.
        per = self.style == "qdq" and array.ndim in (3, 4) and array.size > 0 and self.rng.random() < 0.2
        largest = array.max(initial=0, axis=tuple(i for i in range(array.ndim) if i != 1) if per else None)
        largest = np.where(largest > 0, largest, 1)
        dtype = self.rng.choice(self.dtypes)
        limits, kind = np.iinfo(dtype), self.rng.choice(["symmetric", "end", "any"])
        any_zero = self.rng.integers(limits.min, limits.max + 1, largest.shape)
        zero = {"symmetric": limits.min + 128, "end": limits.min, "any": any_zero}[kind]
        scale = (largest / 127 * self.rng.choice([0.1, 0.5, 1, 1.5], p=[0.1, 0.3, 0.4, 0.2])).astype(np.float32)
        zero = np.broadcast_to(zero, scale.shape).astype(dtype)
        return self.constant(f"{name}.s", scale), self.constant(f"{name}.z", zero)

    def quantise(self, name, computed=None):
        """Integers of a tensor; the name of what they stand for. computed: a node that makes the integers itself."""
        scale, zero = self.codes[name][1:] if name in self.codes else self.grid(name)
        self.codes[name] = (f"{name}.q", scale, zero)
        if computed is None:
            self.node("QuantizeLinear", [name, scale, zero], f"{name}.q")
        else:
            self.nodes.append(computed)
        return self.node("DequantizeLinear", [f"{name}.q", scale, zero], f"{name}.d")

    def weight(self, name, array, axis):
        """A constant as integers; the names of (what they stand for, integers, scale, zero point)."""
        axis, per = axis % array.ndim, self.rng.random() < 0.6
        others = tuple(i for i in range(array.ndim) if i != axis)
        largest = np.abs(array).max(axis=others if per else None) if array.size else np.zeros(())
        kind = self.rng.choice(["symmetric", "all", "uint8", "any"], p=[0.5, 0.2, 0.15, 0.15])
        unsigned = "uint8" in self.dtypes and (kind == "uint8" or kind == "any" and self.rng.random() < 0.5)
        dtype = "uint8" if unsigned else "int8"
        limits = np.iinfo(dtype)
        zero = int(self.rng.integers(limits.min, limits.max + 1)) if kind == "any" else limits.min + 128
        scale = np.where(largest > 0, largest / (128 if kind == "all" else 127), 1).astype(np.float32)
        along = [-1 if i == axis else 1 for i in range(array.ndim)]
        steps = np.rint(array / (scale.reshape(along) if per else scale)) + zero
        steps = np.clip(steps, limits.min + (kind == "symmetric"), limits.max).astype(dtype)
        names = [
            self.constant(f"{name}.q", steps),
            self.constant(f"{name}.s", scale),
            self.constant(f"{name}.z", np.full(scale.shape, zero, dtype)),
        ]
        real = self.node("DequantizeLinear", names, f"{name}.d", **({"axis": axis} if per else {}))
        return real, *names

    def bias(self, name, array, step):
        """int32 on the grid of the layer's accumulators, or float32, as files have either; the name of the value."""
        if step is None or self.rng.random() < 0.4:
            return self.constant(name, array), None
        steps = np.clip(np.rint(array / step.astype("float64")), -(2**31) + 128, 2**31 - 128).astype(np.int32)
        names = [self.constant(f"{name}.q", np.broadcast_to(steps, array.shape).copy())]
        names += [self.constant(f"{name}.s", step), self.constant(f"{name}.z", np.zeros(step.shape, np.int32))]
        return self.node("DequantizeLinear", names, f"{name}.d", **({"axis": 0} if step.ndim else {})), names[0]


def quantised(case, seed):
    """(ModelProto, [tensors of integers]) of a Case of random_generator.py."""
    rng = np.random.default_rng(zlib.crc32(f"quantised {seed}".encode()))
    graph = case.proto.graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    names = [name for node in graph.node for name in node.output if name]
    whole = onnx.ModelProto.FromString(case.proto.SerializeToString())
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with np.errstate(all="ignore"):
        values = dict(zip(names, map(np.asarray, ReferenceEvaluator(whole).run(None, case.feed)))) | case.feed
    style = str(rng.choice(["qdq", "operators"]))
    # ONNX Runtime has no product of one type into the other.
    dtypes = ["int8", "uint8"] if style == "qdq" else [str(rng.choice(["int8", "uint8"]))]
    made = Quantizer(rng, values, style, float(rng.choice([0.6, 1.0])), dtypes)
    real = {name: made.constant(name, array) for name, array in known.items()}
    for value in graph.input:
        real[value.name] = _after(made, value.name)
    for number, node in enumerate(graph.node):
        _write(made, node, number, known, real)
    # Nothing is without a reader, so that those that are results for the test's sake as well change no layer.
    read = {name for node in made.nodes for name in node.input}
    leaves = [name for name in real.values() if name and name not in known and name not in read]
    outputs = [*(real[value.name] for value in graph.output), *leaves]
    return _proto(made, case, dict.fromkeys(outputs)), [codes for codes, _, _ in made.codes.values()]


def _after(made, name, computed=None):
    """What reads a tensor reads: its quantised values, or itself."""
    if computed is None and (made.values[name].dtype != np.float32 or made.rng.random() >= made.dense):
        return name
    return made.quantise(name, computed)


def _write(made, node, number, known, real):
    new = onnx.NodeProto()
    new.CopyFrom(node)
    operands = [real.get(name, name) for name in node.input]
    axis = _CHANNEL.get(node.op_type)
    codes = [made.codes.get(name) for name in node.input]
    if axis is not None and node.input[1] in known:
        operands[1], *weight = made.weight(f"{node.input[1]}.{number}", known[node.input[1]], axis)
        codes[1:] = [tuple(weight)]
        if len(node.input) > 2:
            step = None
            if codes[0] is not None and not made.constants[codes[0][1]].ndim:
                step = made.constants[codes[0][1]] * made.constants[codes[1][1]]
            operands[2], whole = made.bias(f"{node.input[2]}.{number}", known[node.input[2]], step)
            codes.append(whole)
    del new.input[:]
    new.input.extend(operands)
    computed = _on_integers(made, node, codes)
    if computed is None and not _as_sums(made, node, codes):
        made.nodes.append(new)
    for name in node.output:
        real[name] = _after(made, name, computed) if name else ""


def _as_sums(made, node, codes):
    """Whether the node is written as a product of integers whose sums are cast and multiplied by both scales, as
    quantizers did before QDQ."""
    kinds = {"Conv": "ConvInteger", "MatMul": "MatMulInteger"}
    known = node.op_type in kinds and len(node.input) == 2 and None not in codes
    if made.style != "operators" or not known or made.rng.random() < 0.4:
        return False
    (x, x_scale, x_zero), (w, w_scale, w_zero) = codes
    step = made.constants[x_scale] * made.constants[w_scale]
    if node.op_type == "Conv" and step.ndim:
        step = step.reshape(-1, *[1] * (made.values[node.output[0]].ndim - 2))
    name = node.output[0]
    one = made.constant(f"{name}.wz", made.constants[w_zero].reshape(-1)[0])
    sums = helper.make_node(kinds[node.op_type], [x, w, x_zero, one], [f"{name}.sums"])
    sums.attribute.extend(node.attribute)
    made.nodes.append(sums)
    made.node("Cast", [f"{name}.sums"], f"{name}.whole", to=onnx.TensorProto.FLOAT)
    made.node("Mul", [f"{name}.whole", made.constant(f"{name}.step", step)], name)
    return True


def _on_integers(made, node, codes):
    """The node of ONNX, or of ONNX Runtime, that computes on integers alone; None where there is none."""
    kinds = {"Conv": "QLinearConv", "MatMul": "QLinearMatMul"} | ON_INTEGERS
    if made.style != "operators" or node.op_type not in kinds or None in codes or made.rng.random() < 0.2:
        return None
    if node.op_type == "MatMul" and any(made.constants[each[1]].ndim for each in codes):
        return None  # ONNX has a scale per row and per column there, and its evaluator no scale per channel.
    if node.op_type == "Conv" and made.values[node.output[0]].ndim != 4:
        return None  # The evaluator's QLinearConv knows images alone.
    result = made.codes.setdefault(node.output[0], (f"{node.output[0]}.q", *made.grid(node.output[0])))
    read = [name for each in codes[:2] for name in each] + list(result[1:]) + codes[2:]
    extra = {"channels_last": 0} if node.op_type == "GlobalAveragePool" else {}
    new = helper.make_node(kinds[node.op_type], read, [result[0]], **extra)
    new.attribute.extend(node.attribute)
    new.domain = _MICROSOFT if node.op_type in ON_INTEGERS else ""
    return new


def _proto(made, case, outputs):
    dtypes = {value.name: value.type.tensor_type.elem_type for value in case.proto.graph.output}
    infos = []
    for name in outputs:
        plain = name.removesuffix(".d")
        array = made.constants.get(plain, made.values.get(plain))
        dtype = dtypes.get(plain, helper.np_dtype_to_tensor_dtype(array.dtype))
        infos.append(helper.make_tensor_value_info(name, dtype, array.shape))
    graph = helper.make_graph(
        made.nodes,
        "quantised",
        list(case.proto.graph.input),
        infos,
        [numpy_helper.from_array(array, name) for name, array in made.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def exposed(proto, codes, values):
    """The network whose results are its tensors of integers as well. values: {codes: an array of their type}."""
    new = onnx.ModelProto.FromString(proto.SerializeToString())
    for name in codes:
        dtype = helper.np_dtype_to_tensor_dtype(values[name].dtype)
        new.graph.output.append(helper.make_tensor_value_info(name, dtype, values[name].shape))
    return new


def cut(proto, codes, values):
    """The network whose layers each read integers that are its inputs: one run computes every layer from them. What a
    layer computes is called NAME.computed."""
    new = onnx.ModelProto.FromString(proto.SerializeToString())
    for node in new.graph.node:
        for position, name in enumerate(node.output):
            if name in codes:
                node.output[position] = f"{name}.computed"
    for name in codes:
        dtype = helper.np_dtype_to_tensor_dtype(values[name].dtype)
        new.graph.input.append(helper.make_tensor_value_info(name, dtype, values[name].shape))
        new.graph.output.append(helper.make_tensor_value_info(f"{name}.computed", dtype, values[name].shape))
    return new


def by_evaluator(proto, feed):
    """{result: array} of a network by ONNX's evaluator."""
    whole = onnx.ModelProto.FromString(proto.SerializeToString())
    whole.functions.extend(contributed())
    with np.errstate(all="ignore"):
        return dict(zip([value.name for value in proto.graph.output], ReferenceEvaluator(whole).run(None, feed)))


def by_onnx_runtime(proto, feed):
    """The same by ONNX Runtime, as the file stands: its optimisations fuse layers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in proto.graph.output]
    return dict(zip(names, session.run(names, feed)))
