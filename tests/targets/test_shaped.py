"""Packages of several shapes: which shape takes which arrays, and manifests that do not fit together."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from octet.targets import archive
from octet.targets.cuda import backend
from octet.targets.errors import DataError, OctetError, PackageError
from octet.targets.package import Package, read_package
from octet.targets.shaped.session import ShapedSession, for_samples
from octet.targets.variant import TensorSpec


class Echo:
    """A session of x [1, H, L], m [L] that gives x back, its sum over L, and what it was run on."""

    def __init__(self, height, length):
        self.inputs = (TensorSpec("x", (1, height, length), "float32"), TensorSpec("m", (length,), "int64", None))
        self.outputs = (TensorSpec("y", (1, height, length), "float32"), TensorSpec("sums", (1, height), "float32"))
        self.steps, self.target, self.threads, self.weights, self.why, self.batch = (), "echo", 1, None, "", 1

    def run(self, feed, health=False):
        self.fed = feed
        results = {"y": feed["x"].copy(), "sums": feed["x"].sum(2)}
        return (results, "health") if health else results

    def close(self):
        pass


def arrays(height, length):
    return {"x": np.full((1, height, length), 2, np.float32), "m": np.ones(length, np.int64)}


@pytest.fixture
def session():
    return ShapedSession(tuple(Echo(h, n) for h in (3, 5) for n in (4, 8)), {"x": 7, "m": 0})


@pytest.mark.parametrize(
    "height, length, at",
    [(3, 4, (3, 4)), (3, 3, (3, 4)), (4, 4, (5, 4)), (1, 5, (3, 8)), (5, 8, (5, 8)), (4, 1, (5, 4))],
)
def test_the_smallest_shape_that_fits_runs(session, height, length, at):
    feed = arrays(height, length)
    found = session.run(feed)
    assert (
        found["y"].tobytes() == feed["x"].tobytes()
        and found["y"].flags.c_contiguous
        and found["sums"].shape == (1, height)
    )
    one = next(each for each in session.shapes if each.inputs[0].shape[1:] == at)
    x, m = one.fed["x"], one.fed["m"]
    assert (
        x.shape == (1, *at)
        and (x[0, height:] == 7).all()
        and (x[0, :, length:] == 7).all()
        and not m[length:].any()
        and m[:length].all()
    )
    assert not hasattr(next(each for each in session.shapes if each is not one), "fed")


@pytest.mark.parametrize(
    "feed",
    [
        arrays(6, 4),
        arrays(3, 9),
        {**arrays(3, 4), "m": np.ones(3, np.int64)},
        {**arrays(3, 4), "x": np.ones((2, 3, 4), np.float32)},
    ],
)
def test_what_fits_nowhere_lists_the_shapes(session, feed):
    with pytest.raises(
        DataError,
        match=r"no shape of the package takes .*it has x "
        r"\[1, 3, 4\], m \[4\] or .*x \[1, 5, 8\], m \[8\]; give arrays that fit",
    ):
        session.run(feed)


def test_the_health_of_a_padded_answer_stands_beside_its_results(session):
    feed = arrays(2, 3)
    results, health = session.run(feed, health=True)
    assert health == "health" and {name: value.shape for name, value in results.items()} == {
        "y": (1, 2, 3),
        "sums": (1, 2),
    }


def test_a_closed_session_says_so(session):
    with session:
        session.run(arrays(3, 3))
    with pytest.raises(OctetError, match="the session is closed"):
        session.run(arrays(3, 3))


def test_only_inputs_with_a_value_are_padded():
    session = ShapedSession((Echo(3, 4), Echo(5, 4), Echo(5, 8)), {"m": 0})
    assert session.run(arrays(5, 4))["y"].shape == (1, 5, 4)
    with pytest.raises(DataError, match="pad them yourself where that is meant, or compile with --pad"):
        session.run(arrays(4, 4))


def test_extents_that_outputs_have_by_themselves_are_not_cut():
    shapes = tuple(Echo(3, n) for n in (4, 8))
    for one in shapes:
        one.outputs = (*one.outputs, TensorSpec("half", (1, one.inputs[1].shape[0] // 2), "float32"))
    with pytest.raises(DataError, match="no shape of the package takes"):
        ShapedSession(shapes, {"x": 0, "m": 0}).run(arrays(3, 5))


def test_samples_say_which_shape_is_meant(session):
    assert for_samples(session, {"x": (9, 3, 4), "m": (9, 4)}) is session.shapes[0]
    assert for_samples(session, {"x": (9, 1, 5, 8), "m": (9, 8)}) is session.shapes[3]
    assert for_samples(session, {"x": (9, 3, 4)}) is session and for_samples(session.shapes[0], {}) is session.shapes[0]


def test_many_samples_of_one_shape(session):
    feed = {name: np.stack([array] * 3) for name, array in arrays(4, 4).items()}
    assert session.run_many(feed)["y"].shape == (3, 4, 4)
    with pytest.raises(DataError, match="no shape of the package takes"):
        session.run_many({name: np.stack([array] * 3) for name, array in arrays(6, 4).items()})


@pytest.fixture
def contents(toy_variant, tmp_path):
    """Of a package with the toy network and another shape of it, which its library does not have."""
    other = replace(
        toy_variant,
        inputs=(TensorSpec("x", (8, 16), "float32"),),
        outputs=(TensorSpec("y", (8, 16), "float32"),),
        shape=1,
    )
    x = {name: np.zeros((8, 16), np.float32) for name in ("input/x", "output/y")}
    Package(
        (toy_variant,),
        {"model": {"name": "toy", "sha256": "0" * 64, "batch": 4}},
        {},
        others=(Package((other,), {}, x),),
        pads={"x": 0.5},
    ).save(tmp_path / "a.octet")
    return archive.read(tmp_path / "a.octet")


def test_shapes_come_back(contents, toy_variant, tmp_path):
    found = read_package(tmp_path / "a.octet")
    assert (
        [shape.inputs[0].shape for shape in found.shapes] == [(4, 16), (8, 16)]
        and found.pads == {"x": 0.5}
        and json.loads(contents.text)["format"] == 4
    )
    (other,) = found.others
    assert (
        other.variants[0].shape == 1
        and other.variants[0].library is found.variants[0].library
        and other.selftest["output/y"].shape == (8, 16)
        and found.selftest == {}
    )
    with pytest.raises(PackageError, match="holds no octet kernels"):
        found.session(1)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda shape, values: shape["variants"].clear(), "shapes"),
        (lambda shape, values: shape["variants"].append(shape["variants"][0]), "has 2 variants of 1"),
        (lambda shape, values: shape["inputs"][0].update(name="z"), "not of the names, types and ranks"),
        (lambda shape, values: shape["outputs"][0].update(dtype="int8"), "not of the names, types and ranks"),
        (lambda shape, values: shape["inputs"][0].update(shape=[8]), "not of the names, types and ranks"),
        (lambda shape, values: shape["inputs"][0].update(shape=[8, -1]), "shapes"),
        (
            lambda shape, values: shape["variants"][0].update(loops=[[0, 9, 2]]),
            "shape 1: variant .* loop 0 to 9 of 2 steps",
        ),
        (lambda shape, values: shape["variants"][0].update(arena_bytes=-1), "arena_bytes"),
        (lambda shape, values: values["pads"].update(z=1), "pads: z = 1 pads no input"),
        (lambda shape, values: values["pads"].update(x=1e300), "pads no input"),
        (lambda shape, values: values["pads"].update(x="0"), "pads"),
        (lambda shape, values: values["shapes"].extend([shape] * 63), "shapes"),
        (lambda shape, values: shape["inputs"][0].update(shape=[9, 16]), "its self-test has input/x"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(contents, tmp_path, change, said):
    values = json.loads(contents.text)
    change(values["shapes"][0], values)
    archive.write(tmp_path / "b.octet", json.dumps(values).encode(), contents.members, ())
    with pytest.raises(PackageError, match=said) as error:
        read_package(tmp_path / "b.octet")
    assert "\n" not in str(error.value)


def test_a_gpu_is_asked_itself_what_it_is(session, monkeypatch):
    """The sessions of several shapes together have no device of their own."""
    monkeypatch.setattr(backend, "_device", lambda: SimpleNamespace(name="one GPU"))
    assert backend.CudaBackend().session_device(session) == {"device": "one GPU"}
