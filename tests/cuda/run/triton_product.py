"""An int8 product by Triton: [M, K] x [N, K] -> int8 [M, N], requantised as ours is."""

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

_TILES = (
    (128, 256, 128, 8, 3),
    (128, 256, 64, 8, 4),
    (128, 128, 128, 4, 3),
    (128, 128, 128, 8, 3),
    (64, 128, 128, 4, 4),
    (64, 64, 128, 4, 4),
    (64, 32, 128, 4, 5),
)


@triton.autotune(
    configs=[triton.Config({"BM": m, "BN": n, "BK": k}, num_warps=w, num_stages=s) for m, n, k, w, s in _TILES],
    key=["M", "N", "K"],
)
@triton.jit
def _product(a, b, y, scale, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    panel = 8
    number, rows, columns = tl.program_id(0), tl.cdiv(M, BM), tl.cdiv(N, BN)
    first = number // (panel * columns) * panel
    height = min(rows - first, panel)
    row, column = first + number % (panel * columns) % height, number % (panel * columns) // height
    m, n, k = row * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN), tl.arange(0, BK)
    left, right = a + (m % M)[:, None] * K + k[None, :], b + (n % N)[None, :] * K + k[:, None]
    sums = tl.zeros((BM, BN), tl.int32)
    for _ in range(tl.cdiv(K, BK)):
        sums = tl.dot(tl.load(left), tl.load(right), sums, out_dtype=tl.int32)
        left += BK
        right += BK
    value = libdevice.rint(sums.to(tl.float32) * scale)
    code = tl.minimum(tl.maximum(value, -128.0), 127.0).to(tl.int8)
    tl.store(y + m[:, None] * N + n[None, :], code, mask=(m[:, None] < M) & (n[None, :] < N))


def product(a: torch.Tensor, b: torch.Tensor, y: torch.Tensor, scale: float) -> None:
    """K is a multiple of 128."""
    (rows, depth), columns = a.shape, b.shape[0]
    _product[lambda meta: (triton.cdiv(rows, meta["BM"]) * triton.cdiv(columns, meta["BN"]),)](
        a, b, y, scale, rows, columns, depth
    )


def chosen() -> str:
    """What the last product took."""
    return str(_product.best_config)
