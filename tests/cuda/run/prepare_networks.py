"""Packages of networks and products for one target, and the digests of what this CPU's variant answers."""

import functools
import hashlib
import json
import lzma
from pathlib import Path

import numpy as np
from product_data import multiplier_of, product_data
from tvm import relax

import octet
from octet.passes import ops
from octet.passes.lower.build import build_variant
from octet.targets.package import Package
from octet.targets.variant import TensorSpec
from octet.tools.random_inputs import random_inputs

_DIGITS = Path(__file__).resolve().parents[3] / "examples" / "digits"
_SAMPLES = 64
NETWORKS = [("resnet50", 1), ("bert_base", 1), ("resnet50", 32), ("bert_base", 32), ("resnet50", 128)]
PRODUCTS = [("4096^3", 4096, 4096, 4096)] + [
    (f"BERT-{size}, {batch} x 128 tokens, {n} x {k}", batch * 128, n, k)
    for size, width in (("base", 768), ("large", 1024))
    for batch in (32, 1)
    for n, k in ((width, width), (4 * width, width), (width, 4 * width))
]
SAMPLES = 4  # So many calibrate a network.


def digits(folder, spec, compiler, found, small) -> None:
    """The bundled network, one sample at a time."""
    package = _digits(spec.name)
    images, count = np.load(_DIGITS / "digits-val.npz")["image"], 4 if small else _SAMPLES
    session = package.session(target="native")
    digests = [
        hashlib.sha256(session.run({"image": images[i : i + 1]})["logits"].tobytes()).hexdigest() for i in range(count)
    ]
    Package(package.variants[:1], package.info).save(folder / "digits.octet")
    np.savez_compressed(folder / "digits.npz", image=images[:count])
    (folder / "digits.json").write_text(json.dumps({"target": spec.name, "sha256": digests}))


@functools.cache
def _digits(target):
    quantized = octet.quantize(
        octet.load_onnx(_DIGITS / "digits.onnx", 1), {"image": np.load(_DIGITS / "digits-calib.npz")["image"]}
    )
    return octet.compile(quantized, targets=[target, "native"], policy="int8")


def products(folder, spec, compiler, found, small) -> None:
    """productN.octet: int8 linear layers."""
    entries = []
    for number, (name, m, n, k) in enumerate(PRODUCTS):
        file = f"product{number}.octet"
        _keep(Package((product(spec, m, n, k),)), folder / file)
        entries.append({"name": name, "m": m, "n": n, "k": k, "file": file, "target": spec.name})
    (folder / "products.json").write_text(json.dumps(entries))


def product(spec, m: int, n: int, k: int):
    """The variant of an int8 linear layer [m, k] x [n, k] -> int8 [m, n]."""
    weight = product_data(m, n, k)[1]
    builder, data = relax.BlockBuilder(), relax.Var("x", relax.TensorType([m, k], "int8"))
    vectors = [
        relax.const(weight),
        relax.const(np.zeros(n, np.int32)),
        relax.const(np.full(n, multiplier_of(k), np.float32)),
    ]
    call = ops.call(
        "octet.dense",
        [data, *vectors],
        data_zero_point=0,
        out_dtype="int8",
        out_zero_point=0,
        clip_min=-128,
        clip_max=127,
    )
    with builder.function("main", [data]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(call)]))
        builder.emit_func_output(result)
    return build_variant(builder.get(), spec, (TensorSpec("x", (m, k), "int8"),), (TensorSpec("y", (m, n), "int8"),))


def networks(folder, spec, compiler, found, small) -> None:
    """Those of the comparison with PyTorch; small: the bundled one."""
    for entries in _bundled(folder, spec) if small else _compared(folder, spec):
        (folder / "networks.json").write_text(json.dumps(entries, indent=1))


def _keep(package, path):
    """As PATH.xz: weights that repeat, which a package stores as they are, pack well."""
    package.save(path)
    path.with_name(path.name + ".xz").write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()


def _bundled(folder, spec):
    package, entries = _digits(spec.name), []
    digest = hashlib.sha256(
        package.session(target="native").run(random_inputs(package.inputs))["logits"].tobytes()
    ).hexdigest()
    for number in range(2):
        _keep(Package(package.variants[:1], package.info), folder / f"digits{number}.octet")
        entries.append(
            {
                "title": f"digits {number}",
                "batch": 1,
                "file": f"digits{number}.octet",
                "target": spec.name,
                "output": "logits",
                "sha256": digest,
            }
        )
    yield entries


def _compared(folder, spec):
    from torch_networks import inputs, network

    entries, path = [], folder / "network.onnx"
    for name, batch in NETWORKS:
        package, digest = _exported(network(name), inputs(name, SAMPLES)["input"], batch, spec.name, path)
        file = f"{name}-{batch}.octet"
        _keep(package, folder / file)
        entries.append(
            {
                "title": f"{name}, batch {batch}",
                "model": name,
                "batch": batch,
                "file": file,
                "target": spec.name,
                "output": "output",
                "sha256": digest,
            }
        )
        print(f"   {name}, batch {batch}", flush=True)
        yield entries  # What is there after each can be used.
    path.unlink()


def _exported(module, samples, batch, target, path):
    """(package of the GPU's variant alone, SHA-256 of what this CPU's variant answers to `random_inputs`)."""
    import torch

    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    torch.onnx.export(
        module,
        (samples[:1],),
        str(path),
        input_names=["input"],
        output_names=["output"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    quantized = octet.quantize(octet.load_onnx(path, batch), {"input": samples.numpy()})
    package = octet.compile(quantized, targets=[target, "native"], policy="int8")
    wanted = package.session(target="native").run(random_inputs(package.inputs))["output"]
    return Package(package.variants[:1], package.info), hashlib.sha256(wanted.tobytes()).hexdigest()
