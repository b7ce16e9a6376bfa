"""Int8 kernels against PyTorch on one GPU, in one run: products against torch._int_mm (cuBLASLt), ResNet-50 and BERT-base against fp16.

usage: python tests/cuda/compare_torch.py prepare FILE.zip --target cuda-sm90     on any machine with a compiler for CUDA, and PyTorch (for the CPU is enough)
       python tests/cuda/compare_torch.py measure FILE.zip [--json RESULT.json]   on the machine with the GPU: driver, NumPy, PyTorch, Octet's runtime
       python tests/cuda/compare_torch.py                                         both, for the GPU of this machine

PyTorch: fp16, channels_last, torch.compile at max-autotune. Both sides are CUDA graphs whose data are on the device already, launched 50 times between two events,
five rounds in turn; the median counts. Every answer of ours is checked first: a product against torch._int_mm, a network against the bytes of a CPU's variant."""

import argparse
import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from compare_data import multiplier_of, product_data  # noqa: E402

ROUNDS, LAUNCHES = 5, 50


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


def graph_of(run):
    """`run` as a CUDA graph; what is returned gives the seconds of one launch on the device."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what is allocated or tuned at first, is before the capture
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()

    def seconds():
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        graph.replay()
        first.record()
        for _ in range(LAUNCHES):
            graph.replay()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1e3 / LAUNCHES

    return seconds


def in_turn(session, feed, theirs) -> tuple[float, float]:
    """Seconds of one launch of ours and of theirs: medians."""
    found = [(session.device_seconds(feed, LAUNCHES), theirs()) for _ in range(ROUNDS + 1)][1:]
    return tuple(float(np.median(side)) for side in zip(*found))


def requantized(sums, k: int):
    """What our kernel makes of int32 sums (a tensor): int8."""
    import torch

    return torch.round(sums.float() * torch.tensor(multiplier_of(k), device=sums.device)).clamp(-128, 127).to(torch.int8)


def product(session, m: int, n: int, k: int) -> dict:
    """{"octet_tops", "torch_tops", "share"}; ours requantizes to int8, theirs leaves int32."""
    import torch

    x, weight = product_data(m, n, k)
    a, b = torch.from_numpy(x).cuda(), torch.from_numpy(weight).cuda()
    wrong = (requantized(torch._int_mm(a, b.t()), k).cpu().numpy() != session.run({"x": x})["y"]).sum()
    if wrong:
        raise SystemExit(f"{m} x {n} x {k}: {wrong} of {m * n} results differ from torch._int_mm's")
    ours, theirs = in_turn(session, {"x": x}, graph_of(lambda: torch._int_mm(a, b.t())))
    operations = 2.0 * m * n * k / 1e12
    return {"octet_tops": operations / ours, "torch_tops": operations / theirs, "share": theirs / ours}


def network(session, name: str, batch: int, sha256: str) -> dict:
    """{"octet_ms", "torch_fp16_ms", "ratio"}."""
    import torch
    from compare_networks import inputs, network as plain

    from octet.tools.inputs import random_inputs

    feed = random_inputs(session.inputs)
    if hashlib.sha256(session.run(feed)["output"].tobytes()).hexdigest() != sha256:
        raise SystemExit(f"{name}, batch {batch}: the outputs are not the CPU's bytes")
    model, x = plain(name).half().cuda(), inputs(name, batch)["input"].cuda()
    if x.is_floating_point():
        model, x = model.to(memory_format=torch.channels_last), x.half().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        compiled = torch.compile(model, mode="max-autotune-no-cudagraphs")  # the graph is ours: nothing is copied into it
        ours, theirs = in_turn(session, feed, graph_of(lambda: compiled(x)))
    return {"octet_ms": ours * 1e3, "torch_fp16_ms": theirs * 1e3, "ratio": theirs / ours}


def measure(path, json_path=None) -> None:
    """Prints a line for each product and network of a prepared file."""
    import octet
    from octet.targets.cuda.running import driver

    with tempfile.TemporaryDirectory(prefix="octet-compare-") as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        prepared = json.loads(Path(folder, "compare.json").read_text())
        found = {"device": driver.state(), "target": prepared["target"], "products": {}, "networks": {}}
        print(f"{driver.state()}; kernels for {prepared['target']}", flush=True)
        for entry in prepared["products"]:
            session = octet.load(Path(folder, entry["file"]), target=prepared["target"])
            one = found["products"][entry["name"]] = product(session, entry["m"], entry["n"], entry["k"])
            session.close()
            print(f"{entry['name']}: {one['octet_tops']:.1f} Top/s, torch._int_mm {one['torch_tops']:.1f}, {one['share']:.0%} of it", flush=True)
        for entry in prepared["networks"]:
            name = f"{entry['name']}, batch {entry['batch']}"
            session = octet.load(Path(folder, entry["file"]), target=prepared["target"])
            one = found["networks"][name] = network(session, entry["name"], entry["batch"], entry["sha256"])
            session.close()
            print(f"{name}: {one['octet_ms']:.3f} ms, PyTorch fp16 {one['torch_fp16_ms']:.3f} ms, {one['ratio']:.2f} times faster", flush=True)
    if json_path is not None:
        Path(json_path).write_text(json.dumps(found, indent=1))


def both() -> None:
    from compare_prepare import prepare

    from octet.targets import detect

    target = next(spec.name for spec in detect.runnable() if spec.kind == "cuda")
    with tempfile.TemporaryDirectory(prefix="octet-compare-") as folder:
        prepare(Path(folder, "all.zip"), target)
        measure(Path(folder, "all.zip"))


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step")
    first = steps.add_parser("prepare")
    first.add_argument("file")
    first.add_argument("--target", required=True)
    second = steps.add_parser("measure")
    second.add_argument("file")
    second.add_argument("--json")
    options = parser.parse_args(arguments)
    if options.step == "prepare":
        from compare_prepare import prepare

        prepare(options.file, options.target)
        return 0
    missing = why_not()
    if missing:
        print(f"not measured: {missing}")
    elif options.step == "measure":
        measure(options.file, options.json)
    else:
        both()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
