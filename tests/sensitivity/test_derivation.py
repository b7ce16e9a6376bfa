"""What a search learnt makes the same hub again, without samples; a file that says something else is refused."""

import json

import numpy as np
import pytest
import tvm

from octet.passes.annotate import Recipe
from octet.passes.calibrate import store
from octet.passes.calibrate.identity import network_identity
from octet.passes.calibrate.statistics import Statistics
from octet.passes.sensitivity import derivation
from octet.passes.sensitivity.configuration import measured_tensors, sites_of
from octet.passes.sensitivity.design import SCALINGS, Design
from octet.targets.errors import DataError
from octet.targets.npz import npz_bytes, read_npz

from ..json_edits import edits

EVERYTHING = Design(Recipe(calibrator="max", per_tensor=(("conv", "mse", 99.9),)), "migrate-0.5", True, True)


@pytest.fixture(scope="module")
def saved(bench, calibration, tmp_path_factory):
    """(the hub of EVERYTHING, its file)."""
    path = tmp_path_factory.mktemp("derivation") / "d.npz"
    tensor = bench.tensors(Design(Recipe(calibrator="max")))[0]
    design = EVERYTHING.with_recipe(per_tensor=((tensor, "mse", 99.9),))
    hub = bench.hub(design)
    derivation.save(path, hub, calibration)
    return hub, path


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("rounding, biases", [(False, False), (True, False), (False, True), (True, True)])
def test_every_design_comes_back(bench, small_model, calibration, tmp_path, scaling, rounding, biases):
    if rounding and scaling not in ("", "migrate-0.5"):
        pytest.skip("learning is the same whatever was rescaled")
    design = Design(Recipe(), scaling, rounding, biases)
    hub = bench.hub(design)
    derivation.save(tmp_path / "d.npz", hub, calibration)
    again, samples = derivation.replayed(tmp_path / "d.npz", small_model, Recipe())
    tvm.ir.assert_structural_equal(again.module, hub.module, map_free_vars=True)
    assert samples == 72 and again.origin.repairs == {"scaling": scaling, "rounding": rounding, "biases": biases}
    assert again.decisions == hub.decisions


def test_choices_by_tensor_and_layers_in_float_come_back(saved, small_model):
    hub, path = saved
    again, _ = derivation.replayed(path, small_model, hub.recipe)
    tvm.ir.assert_structural_equal(again.module, hub.module, map_free_vars=True)
    with pytest.raises(DataError, match="derived with another recipe"):
        derivation.replayed(path, small_model, Recipe())


def test_it_holds_statistics(saved):
    identity, statistics = store.load(saved[1])
    assert store.holds_statistics(saved[1]) and identity.samples == 72 and statistics


def _with(path, folder, **changes):
    held = read_npz(path, 1 << 30) | changes
    made = folder / "changed.npz"
    made.write_bytes(npz_bytes({name: array for name, array in held.items() if array is not None}))
    return made


def test_statistics_of_what_the_network_lacks_are_refused(small_model, calibration, tmp_path):
    tensors = measured_tensors([sites_of(small_model.module, Recipe())])
    store.save(
        tmp_path / "d.npz",
        network_identity(small_model.module).with_data(calibration),
        dict.fromkeys([*tensors, "stranger"], Statistics()),
    )
    with pytest.raises(DataError, match="'stranger', which the network lacks"):
        derivation.replayed(tmp_path / "d.npz", small_model, Recipe())


def test_edited_designs_are_refused_or_the_same(saved, small_model, tmp_path):
    hub, path = saved
    held, refused = json.loads(str(read_npz(path, 1 << 30)["octet_design"])), 0
    for done, made in edits(held, bad=(None, "x")):
        changed = _with(path, tmp_path, octet_design=np.array(json.dumps(made)))
        try:
            again, _ = derivation.replayed(changed, small_model, hub.recipe)
        except DataError as error:
            refused += 1
            assert "changed.npz" in str(error), done
        else:
            assert again.origin.design.recipe == hub.recipe, done
    assert refused > 50


@pytest.mark.parametrize(
    "change",
    [
        {"maximum_0": None},
        {"maximum_0": np.zeros(3)},
        {"maximum_0": np.array("x")},
        {"weight_0": np.zeros(3)},
        {"octet_design": np.array("{}")},
        {"octet_design": np.array("[")},
        {"octet_design": np.zeros(3)},
    ],
)
def test_edited_arrays_are_refused(saved, small_model, tmp_path, change):
    hub, path = saved
    learnt = next(name for name in read_npz(path, 1 << 30) if name.startswith("weight_"))
    change = {learnt if name == "weight_0" else name: array for name, array in change.items()}
    with pytest.raises(DataError, match="changed.npz: what a search found is damaged in it"):
        derivation.replayed(_with(path, tmp_path, **change), small_model, hub.recipe)


def test_magnitudes_that_are_none(saved, small_model, tmp_path):
    hub, path = saved
    largest = read_npz(path, 1 << 30)["maximum_0"]
    for bad in (np.nan, np.inf, -1):
        with pytest.raises(DataError, match="not of its channels"):
            derivation.replayed(_with(path, tmp_path, maximum_0=np.full_like(largest, bad)), small_model, hub.recipe)
    with pytest.raises(DataError, match="stale"):  # Other magnitudes make another network.
        derivation.replayed(
            _with(path, tmp_path, maximum_0=largest * np.geomspace(1, 9, largest.size, dtype=np.float32)),
            small_model,
            hub.recipe,
        )
