"""Small operators that take no launch of their own: wrapped indices, chains of scalar arithmetic."""

import numpy as np
import pytest
from cuda_harness import SM80, differences, emulator, function, nets
from tvm import relax

RNG = np.random.default_rng(31)
SCALAR = {name: relax.const(np.float32(value)) for name, value in (("one", 1.0), ("low", -10000.0), ("half", 0.5))}


def wrapped(b, x, i, size, seen=False):
    zero, count = (relax.const(value, "int64") for value in (0, size))
    less, added = b.emit(relax.op.less(i, zero)), b.emit(relax.op.add(i, count))
    indices = b.emit(relax.op.where(less, added, i))
    taken = b.emit(relax.op.take(x, indices, axis=0))
    return [taken, b.emit(relax.op.add(indices, count))] if seen else taken


def bounded(b, x, i, last):
    """Indices outside of the table stop at its ends."""
    zero, count, last = (relax.const(value, "int64") for value in (0, 9, last))
    indices = b.emit(relax.op.where(b.emit(relax.op.less(i, zero)), b.emit(relax.op.add(i, count)), i))
    indices = b.emit(relax.op.maximum(b.emit(relax.op.minimum(indices, last)), zero))
    return b.emit(relax.op.take(x, indices, axis=0))


def mask(b, m):
    turned = b.emit(relax.op.subtract(SCALAR["one"], b.emit(relax.op.astype(m, "float32"))))
    return b.emit(relax.op.multiply(turned, SCALAR["low"]))


def forked(b, x):
    """The first product is read twice: it stays a launch."""
    first = b.emit(relax.op.multiply(x, SCALAR["half"]))
    return b.emit(
        relax.op.add(b.emit(relax.op.maximum(b.emit(relax.op.divide(SCALAR["one"], first)), SCALAR["low"])), first)
    )


def embedded(b, x, i, z, j):
    """The sum of two tables' rows and of a constant."""
    one, two = b.emit(relax.op.take(x, i, axis=0)), b.emit(relax.op.take(z, j, axis=0))
    return b.emit(relax.op.add(b.emit(relax.op.add(one, two)), relax.const(POSITIONS)))


def summed_anyhow(b, x, i, c):
    """A summand that is not of the last axes."""
    return b.emit(relax.op.add(c, b.emit(relax.op.take(x, i, axis=0))))


POSITIONS = RNG.standard_normal((1, 7, 5)).astype(np.float32)
TABLE, INDICES = RNG.standard_normal((9, 5)).astype(np.float32), RNG.integers(-9, 9, (2, 7))
CASES = {
    "indices": (lambda b, x, i: wrapped(b, x, i, 9), {"x": TABLE, "i": INDICES}, ["take"]),
    "indices with bounds": (lambda b, x, i: bounded(b, x, i, 8), {"x": TABLE, "i": 3 * INDICES}, ["take"]),
    "other bounds": (
        lambda b, x, i: bounded(b, x, i, 5),
        {"x": TABLE, "i": 3 * INDICES},
        ["less", "add", "where", "minimum", "maximum", "take"],
    ),
    "indices of another size": (
        lambda b, x, i: wrapped(b, x, i, 7),
        {"x": TABLE, "i": np.abs(INDICES)},
        ["less", "add", "where", "take"],
    ),
    "indices that are seen": (
        lambda b, x, i: wrapped(b, x, i, 9, True),
        {"x": TABLE, "i": INDICES},
        ["less", "add", "where", "take", "add"],
    ),
    "embedding": (embedded, {"x": TABLE, "i": INDICES, "z": -TABLE[:2], "j": INDICES % 2}, ["take", "take_and_add"]),
    "one summand": (
        lambda b, x, i: b.emit(relax.op.add(relax.const(POSITIONS[0, 0]), b.emit(relax.op.take(x, i, axis=0)))),
        {"x": TABLE, "i": INDICES},
        ["take_and_add"],
    ),
    "a summand of the first axes": (
        summed_anyhow,
        {"x": TABLE, "i": INDICES, "c": RNG.standard_normal((2, 7, 1)).astype(np.float32)},
        ["take", "add"],
    ),
    "mask": (mask, {"m": RNG.integers(0, 2, (2, 1, 1, 37))}, ["scalars"]),
    "forked": (forked, {"x": RNG.standard_normal((3, 50)).astype(np.float32)}, ["multiply", "scalars", "add"]),
}


@pytest.fixture(scope="module")
def cases():
    modules = {name: function(emit, **inputs) for name, (emit, inputs, _) in CASES.items()}
    found = nets(list(modules.values()), SM80)
    return emulator(found), dict(zip(modules, zip(found, modules.values(), strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_launches_and_bytes(cases, name):
    emulated, found = cases
    net, module = found[name]
    assert [step.kernel for step in net.steps] == CASES[name][2]
    assert not differences(emulated, net, module, CASES[name][1], seeds=(0, 2))
