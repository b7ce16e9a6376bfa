"""The calibration cache: nothing measured twice, and a reason whenever something is measured."""

import os
import re
import threading
import time
from functools import cache

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Recipe
from octet.passes.calibrate.cache import StatisticsCache, cache_place
from octet.passes.calibrate.identity import network_identity
from octet.passes.calibrate.statistics import Statistics
from octet.targets.npz import npz_bytes


@cache
def network(scale=2.0, relu=True):
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType([1, 4], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            scaled = builder.emit(
                relax.op.multiply(x, relax.const(np.full((1, 4), scale, np.float32))), name_hint="scaled"
            )
            y = builder.emit(relax.op.nn.relu(scaled) if relu else relax.op.nn.silu(scaled), name_hint="y")
            result = builder.emit_output(relax.Tuple([y]))
        builder.emit_func_output(result)
    return builder.get()


SAMPLES = {"x": np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)}


class Measure:
    def __init__(self):
        self.asked = []

    def __call__(self, mod, tensors, samples, factory, progress=None):
        self.asked.append(set(tensors))
        found = {}
        for tensor in tensors:
            found[tensor] = Statistics()
            found[tensor].update(samples["x"])
        return found


def ask(folder, measure, mod=None, tensors=("scaled", "y"), samples=SAMPLES):
    kept = StatisticsCache(folder)
    found = kept.measured(measure, mod if mod is not None else network(), tensors, samples, None)
    return found, kept.line


def test_statistics_are_measured_once(tmp_path):
    measure = Measure()
    first, line = ask(tmp_path / "c", measure)
    assert line == "calibration: computed"
    again, line = ask(tmp_path / "c", measure, tensors=("y",))
    assert (
        re.fullmatch(r"calibration: from cache \(8 samples, made \d{4}-\d\d-\d\d \d\d:\d\d\)", line)
        and len(measure.asked) == 1
    )
    assert (
        again.keys() == {"y"}
        and np.array_equal(again["y"].histogram, first["y"].histogram)
        and again["y"].range == first["y"].range
    )
    _, line = ask(tmp_path / "c", measure, tensors=("y", "x"))
    assert measure.asked[-1] == {"x"} and "lacks 1 tensors" in line
    assert "from cache" in ask(tmp_path / "c", measure, tensors=("x", "y", "scaled"))[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mod": network(3.0)}, "weights changed ('scaled')"),
        ({"mod": network(relu=False)}, "the graph changed ('y')"),
        ({"samples": {"x": SAMPLES["x"] + 1}}, "the calibration data changed (input 'x')"),
        ({"samples": {"x": SAMPLES["x"][:6]}}, "it is of 8 samples, asked for are 6"),
    ],
    ids=["weights", "graph", "data", "part"],
)
def test_what_changed_is_said(tmp_path, change, said):
    measure = Measure()
    ask(tmp_path, measure)
    assert ask(tmp_path, measure, **change)[1] == f"calibration: computed, what is cached does not serve: {said}"
    assert "from cache" in ask(tmp_path, measure)[1] and "from cache" in ask(tmp_path, measure, **change)[1]


def test_another_version_measures_anew(tmp_path, monkeypatch):
    measure = Measure()
    ask(tmp_path, measure)
    monkeypatch.setattr("octet.passes.calibrate.identity._FORMAT", 99)
    assert "Octet's version changed" in ask(tmp_path, measure)[1]


def test_damaged_entries_count_as_absent(tmp_path):
    measure = Measure()
    ask(tmp_path, measure)
    (entry,) = tmp_path.glob("*.npz")
    whole = entry.read_bytes()
    for damaged in (
        b"",
        whole[:100],
        whole[: len(whole) // 2],
        b"x" * 1000,
        whole[:600] + bytes([whole[600] ^ 255]) + whole[601:],
    ):
        entry.write_bytes(damaged)
        ask(tmp_path, measure)
        assert len(entry.read_bytes()) == len(whole)
    assert "from cache" in ask(tmp_path, measure)[1]


def test_the_size_is_limited_and_the_least_used_goes(tmp_path):
    cache, identities = StatisticsCache(tmp_path), []
    statistics = Measure()(None, ("y",), SAMPLES, None)
    for number in range(4):
        identities.append(network_identity(network(float(number + 2))).with_data(SAMPLES))
        cache.put(identities[-1], statistics)
        size = next(tmp_path.glob("*.npz")).stat().st_size
        cache.limit = 3 * size + size // 2
        cache.find(identities[0])
    assert (
        cache.find(identities[0])
        and cache.find(identities[3])
        and not cache.find(identities[1])
        and len(list(tmp_path.iterdir())) == 3
    )


def test_writers_side_by_side(tmp_path):
    measure, failures = Measure(), []
    network()

    def work(number):
        for _ in range(5):
            if ask(tmp_path, measure, samples={"x": SAMPLES["x"] + number % 2})[0].keys() != {"scaled", "y"}:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_made_does_not_stop_anything(tmp_path):
    (tmp_path / "file").write_text("")
    found, line = ask(tmp_path / "file" / "c", Measure())
    assert found and "not cached" in line


def test_the_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("OCTET_CACHE", "/somewhere")
    assert str(cache_place("here")) == "here" and str(cache_place()) == "/somewhere"
    monkeypatch.delenv("OCTET_CACHE")
    assert cache_place() == tmp_path / "octet"


def test_recipes_that_only_choose_ranges_share_an_entry(model, samples, tmp_path):
    from octet import api

    lines = []
    for calibrator in ("mse", "entropy", "max"):
        cache = StatisticsCache(tmp_path)
        api.quantize(model, samples, Recipe(calibrator=calibrator), threads=1, cache=cache)
        lines.append(cache.line)
    assert lines[0] == "calibration: computed" and all("from cache" in line for line in lines[1:])


@pytest.mark.parametrize("damage", ["cut", "byte", "header", "another's", "pipe", "device", "link"])
def test_an_entry_that_does_not_serve_is_measured_again(tmp_path, damage):
    """A damaged one, and one whose content is of other samples than its name says."""
    measure = Measure()
    first, _ = ask(tmp_path, measure)
    (entry,) = tmp_path.glob("*.npz")
    if damage == "cut":
        entry.write_bytes(entry.read_bytes()[:200])
    elif damage == "byte":
        entry.write_bytes(entry.read_bytes()[:1])
    elif damage in ("pipe", "device", "link"):
        entry.unlink()
        (tmp_path / "elsewhere").write_text("somebody's")
        os.mkfifo(entry) if damage == "pipe" else entry.symlink_to(
            "/dev/null" if damage == "device" else tmp_path / "elsewhere"
        )
    elif damage == "header":
        entry.write_bytes(
            npz_bytes({"octet_statistics": np.array('{"identity": {"graph": 1}}'), "ranges": np.zeros((0, 2))})
        )
    else:
        ask(tmp_path / "half", measure, samples={"x": SAMPLES["x"][:4]})
        (other,) = (tmp_path / "half").glob("*.npz")
        entry.write_bytes(other.read_bytes())
    asked = len(measure.asked)
    again, line = ask(tmp_path, measure)
    assert (
        len(measure.asked) == asked + 1
        and line == "calibration: computed, what is cached does not serve: the entry is damaged, or of something else"
    )
    assert again["y"].count == first["y"].count and entry.is_file() and not entry.is_symlink()
    assert damage != "link" or (tmp_path / "elsewhere").read_text() == "somebody's"
    assert "from cache" in ask(tmp_path, measure)[1], "what was measured replaces it"


def test_left_overs_of_killed_writers_go(tmp_path):
    for name, age in ((".old.npz.abcdefgh", 86400), (".new.npz.abcdefgh", 0)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    ask(tmp_path, Measure())
    assert [path.name for path in tmp_path.glob(".*")] == [".new.npz.abcdefgh"]
