"""First half of compare_torch.py, on any machine with nvcc or NVRTC and PyTorch: packages of products and networks, in one file to carry."""

import hashlib
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from compare_data import multiplier_of, product_data
from compare_networks import inputs, network
from tvm import relax

import octet
from octet.passes import ops
from octet.passes.lower.build import build_variant
from octet.targets import detect
from octet.targets.package import Package
from octet.targets.variant import TensorSpec
from octet.tools.inputs import random_inputs

NETWORKS = [("resnet50", 1), ("resnet50", 32), ("resnet50", 128), ("bert_base", 1), ("bert_base", 32)]
PRODUCTS = [("4096^3", 4096, 4096, 4096)] + [
    (f"BERT-{size}, {batch} x 128 tokens, {n} x {k}", batch * 128, n, k)
    for size, width in (("base", 768), ("large", 1024))
    for batch in (1, 32)
    for n, k in ((width, width), (4 * width, width), (width, 4 * width))
]
SAMPLES = 4


def prepare(path, target: str, products=PRODUCTS, networks=NETWORKS) -> None:
    """Writes the packages for `target`, and what tells the second half about them."""
    spec, found = detect.resolve(target), {"target": target, "products": [], "networks": []}
    with tempfile.TemporaryDirectory(prefix="octet-compare-") as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def keep(package):
            name = f"{len(archive.namelist())}.octet"
            package.save(Path(folder, name))
            archive.write(Path(folder, name), name)
            return name

        for name, m, n, k in products:
            print(name, flush=True)
            found["products"].append({"name": name, "m": m, "n": n, "k": k, "file": keep(Package((product(spec, m, n, k),)))})
        for name, batch in networks:
            print(f"{name}, batch {batch}", flush=True)
            package, digest = compiled(name, network(name), inputs(name, SAMPLES)["input"], batch, target, Path(folder, f"{name}.onnx"))
            found["networks"].append({"name": name, "batch": batch, "file": keep(package), "sha256": digest})
        archive.writestr("compare.json", json.dumps(found))


def product(spec, m: int, n: int, k: int):
    """The variant of an int8 linear layer [m, k] x [n, k] -> int8 [m, n]."""
    weight = product_data(m, n, k)[1]
    builder, data = relax.BlockBuilder(), relax.Var("x", relax.TensorType([m, k], "int8"))
    vectors = [relax.const(weight), relax.const(np.zeros(n, np.int32)), relax.const(np.full(n, multiplier_of(k), np.float32))]
    call = ops.call("octet.dense", [data, *vectors], data_zero_point=0, out_dtype="int8", out_zero_point=0, clip_min=-128, clip_max=127)
    with builder.function("main", [data]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(call)]))
        builder.emit_func_output(result)
    return build_variant(builder.get(), spec, (TensorSpec("x", (m, k), "int8"),), (TensorSpec("y", (m, n), "int8"),))


def compiled(name, module, samples, batch, target, path):
    """(package of the GPU's variant alone, SHA-256 of what this CPU's variant answers to `random_inputs`)."""
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    torch.onnx.export(module, (samples[:1],), str(path), input_names=["input"], output_names=["output"], dynamic_axes=axes, opset_version=17, dynamo=False)
    quantized = octet.quantize(octet.load_onnx(path, batch), {"input": samples.numpy()})
    package = octet.compile(quantized, targets=[target, "native"], policy="int8")
    wanted = package.session(target="native").run(random_inputs(package.inputs))["output"]
    return Package(package.variants[:1], package.info), hashlib.sha256(wanted.tobytes()).hexdigest()
