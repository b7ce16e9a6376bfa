"""Int8 kernels against PyTorch on one GPU, in one run: products against torch._int_mm (cuBLASLt), a package against the same network in fp16.

usage: python tests/cuda/compare_torch.py [--package OUT.octet --network resnet50|bert_base] [--target cuda-sm90] [--json FILE]

A network is PyTorch's own with random weights (torchvision, transformers): fp16, channels_last, torch.compile with CUDA graphs, inputs on the device already.
Ours is the package's graph of kernels, inputs on the device too. Says "not measured" and why where something is missing."""

import argparse
import json

import numpy as np

PRODUCTS = [("4096^3", 4096, 4096, 4096)] + [
    (f"BERT-{size}, {batch} x 128 tokens, {n} x {k}", batch * 128, n, k)
    for size, width in (("base", 768), ("large", 1024))
    for batch in (1, 32)
    for n, k in ((width, width), (4 * width, width), (width, 4 * width))
]


def why_not() -> str:
    """What is missing, or nothing."""
    from octet.targets.cuda.running import driver

    if driver.device() is None:
        return driver.state()
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed: pip install torch"
    return "" if torch.cuda.is_available() else "this PyTorch has no CUDA"


def seconds(run, repeat: int = 50) -> float:
    """Of one call on the device: the median of `repeat`, after warming up."""
    import torch

    found = []
    for i in range(repeat + 10):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        run()
        last.record()
        last.synchronize()
        found.append(first.elapsed_time(last) / 1e3)
    return float(np.median(found[10:]))


def product(spec, m: int, n: int, k: int) -> dict:
    """{"octet_tops", "torch_tops", "share"} of an int8 product; ours requantizes to int8, theirs leaves int32."""
    import torch
    from tvm import relax

    from octet.passes import ops
    from octet.passes.lower.build import build_variant
    from octet.targets.cuda.running.session import CudaSession
    from octet.targets.variant import TensorSpec

    rng = np.random.default_rng(0)
    x, weight = (rng.integers(-127, 128, shape).astype(np.int8) for shape in ((m, k), (n, k)))
    builder, data = relax.BlockBuilder(), relax.Var("x", relax.TensorType([m, k], "int8"))
    vectors = [relax.const(np.zeros(n, np.int32)), relax.const(np.full(n, 0.001, np.float32))]
    call = ops.call("octet.dense", [data, relax.const(weight), *vectors], data_zero_point=0, out_dtype="int8", out_zero_point=0, clip_min=-128, clip_max=127)
    with builder.function("main", [data]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(call)]))
        builder.emit_func_output(result)
    variant = build_variant(builder.get(), spec, (TensorSpec("x", (m, k), "int8"),), (TensorSpec("y", (m, n), "int8"),))
    session = CudaSession(variant)
    ours = min(session.device_seconds({"x": x}, 50) for _ in range(3))
    session.close()
    a, b = torch.from_numpy(x).cuda(), torch.from_numpy(weight).cuda()
    theirs = seconds(lambda: torch._int_mm(a, b.t()))
    operations = 2.0 * m * n * k / 1e12
    return {"octet_tops": operations / ours, "torch_tops": operations / theirs, "share": theirs / ours}


def network(path: str, name: str) -> dict:
    """{"octet_ms", "torch_fp16_ms", "ratio"}."""
    import torch

    import octet

    session = octet.load(path)
    if not session.target.startswith("cuda"):
        raise SystemExit(f"{path}: runs on {session.target}: {session.why}; compile it with --target for this GPU")
    feed = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs}
    ours = min(session.device_seconds(feed, 50) for _ in range(3))
    if name == "resnet50":
        from torchvision.models import resnet50

        model = resnet50().eval().half().cuda().to(memory_format=torch.channels_last)
        inputs = (torch.zeros(session.inputs[0].shape, dtype=torch.float16, device="cuda").to(memory_format=torch.channels_last),)
    else:
        from transformers import BertConfig, BertModel

        model = BertModel(BertConfig()).eval().half().cuda()
        inputs = (torch.zeros(session.inputs[0].shape, dtype=torch.int64, device="cuda"),)
    compiled = torch.compile(model, mode="max-autotune")  # with CUDA graphs
    with torch.inference_mode():
        theirs = seconds(lambda: compiled(*inputs))
    return {"octet_ms": ours * 1e3, "torch_fp16_ms": theirs * 1e3, "ratio": theirs / ours}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package")
    parser.add_argument("--network", choices=("resnet50", "bert_base"))
    parser.add_argument("--target")
    parser.add_argument("--json")
    options = parser.parse_args()
    missing = why_not()
    if missing:
        print(f"not measured: {missing}")
        return 0
    from octet.targets import detect
    from octet.targets.cuda.running import driver

    spec = detect.resolve(options.target) if options.target is not None else next(spec for spec in detect.runnable() if spec.kind == "cuda")
    found = {"device": driver.state(), "target": spec.name, "products": {}}
    for name, m, n, k in PRODUCTS:
        found["products"][name] = one = product(spec, m, n, k)
        print(f"{name}: {one['octet_tops']:.1f} Top/s, torch._int_mm {one['torch_tops']:.1f}, {one['share']:.0%} of it")
    if options.package is not None:
        found["network"] = one = network(options.package, options.network or "resnet50")
        print(f"{options.package}: {one['octet_ms']:.3f} ms, PyTorch fp16 {one['torch_fp16_ms']:.3f} ms, {one['ratio']:.2f} times faster")
    if options.json is not None:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
