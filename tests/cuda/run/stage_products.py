"""Int8 products of ours against cuBLASLt (torch._int_mm, which leaves int32) and Triton (which requantises as ours
does), and fp16: same data, in turn, in one process."""

import json

import torch
from packages import session_of
from peers import graph_of, in_turn, kernels_of
from product_data import multiplier_of, product_data, requantized

LAUNCHES = 20  # One graph has so many.


def run(work) -> None:
    entries = json.loads((work.folder / "products.json").read_text())
    work.each({entry["name"]: entry for entry in entries}, lambda entry: _product(work, entry))


def _product(work, entry):
    m, n, k = entry["m"], entry["n"], entry["k"]
    session = session_of(work, entry)
    x, weight = product_data(m, n, k)
    a, b = torch.from_numpy(x).cuda(), torch.from_numpy(weight).cuda()
    wanted = requantized(torch._int_mm(a, b.t()), k).cpu().numpy()
    wrong = int((wanted != session.run({"x": x})["y"]).sum())
    graphs = max(2, min(20, int(4e12 / (2.0 * m * n * k * LAUNCHES))))
    half, other = a.half(), b.half().t()
    sides = {"int_mm": lambda: torch._int_mm(a, b.t()), "fp16": lambda: half @ other}
    found = {}
    try:
        import triton_product

        y = torch.empty(m, n, dtype=torch.int8, device="cuda")
        sides["triton"] = lambda: triton_product.product(a, b, y, float(multiplier_of(k)))
        sides["triton"]()
        found |= {
            "triton_config": triton_product.chosen(),
            "triton_differs": int((torch.from_numpy(wanted).cuda() != y).sum()),
        }
    except Exception as error:
        sides.pop("triton", None)
        found["triton_error"] = str(error)[:200]
    timed = {name: graph_of(side, LAUNCHES) for name, side in sides.items()}
    ours, *theirs = in_turn(
        lambda: session.device_seconds({"x": x}, LAUNCHES * graphs),
        *(lambda side=side: side(graphs) for side in timed.values()),
    )
    found |= {"octet_us": round(ours * 1e6, 2)} | {
        f"{name}_us": round(seconds * 1e6, 2) for name, seconds in zip(timed, theirs, strict=True)
    }
    best = min(seconds for name, seconds in zip(timed, theirs, strict=True) if name != "fp16")
    found |= {
        "octet_tops": round(2e-12 * m * n * k / ours, 1),
        "best_tops": round(2e-12 * m * n * k / best, 1),
        "share": round(best / ours, 3),
    }
    found["kernels"] = {name: kernels_of(side, 2) for name, side in sides.items()}
    found["schedules"] = [step.schedule for step in session.steps if step.macs]
    session.close()
    return found | ({"error": f"{wrong} of {m * n} results differ from torch._int_mm's"} if wrong else {"right": True})
