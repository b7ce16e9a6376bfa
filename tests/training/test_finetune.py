"""octet finetune as its users call it: what calibration loses comes back, and the file means what training saw."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'octet[train]')")

import octet  # noqa: E402
from octet.targets.batches import run_samples  # noqa: E402
from octet.targets.errors import DataError, OctetWarning  # noqa: E402
from octet.tools.main import main  # noqa: E402
from octet.tools.training import checkpoint  # noqa: E402
from octet.tools.training.objective import Objective  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network  # noqa: E402

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_network.write(tmp_path_factory.mktemp("small"))


def finetune(folder, output, *more, status=0, model="small.onnx"):
    """What the command prints; ranges that cut a tenth of the values on either side, which no rounding repairs."""
    harsh = [
        "--calibrator",
        "percentile",
        "--percentile",
        "90",
        "--mini-batch",
        "8",
        "--learning-rate",
        "0.1",
        "--threads",
        "1",
    ]
    called = [
        "finetune",
        folder / model,
        "--calib",
        folder / "calib.npz",
        "--train",
        folder / "calib.npz",
        "-o",
        output,
        *harsh,
        *more,
    ]
    result = CliRunner().invoke(main, [str(each) for each in called])
    assert result.exit_code == status, result.output
    return result.output


def test_a_trained_network_recovers_and_its_file_means_what_training_saw(tmp_path):
    """The bundled network with ranges that leave it a quarter of its answers: distilled from fp32 on 96 images without
    labels."""
    images = np.load(DIGITS / "digits-calib.npz")["image"][:96]
    validation = np.load(DIGITS / "digits-val.npz")
    np.savez(tmp_path / "calib.npz", image=images)
    np.savez(tmp_path / "val.npz", image=validation["image"][:100], labels=validation["labels"][:100])
    finetune(
        tmp_path,
        tmp_path / "tuned.onnx",
        "--validate",
        tmp_path / "val.npz",
        "--epochs",
        3,
        "--json",
        tmp_path / "report.json",
        model=DIGITS / "digits.onnx",
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metric"] == "top1" and report["samples"] == 100 and len(report["epochs"]) == 4
    before, after = report["epochs"][0]["drop"], report["epochs"][report["best_epoch"]]["drop"]
    assert before > 0.5 and after < before / 2
    session = octet.compile(octet.quantize(octet.load_onnx(tmp_path / "tuned.onnx"))).session(1)
    found = run_samples(session, {"image": validation["image"][:100]})["logits"]
    assert (found.argmax(1) == validation["labels"][:100]).mean() == report["tuned"]["logits"]


def test_an_interrupted_training_ends_as_if_it_had_not_been(small, tmp_path, monkeypatch):
    finetune(small, tmp_path / "whole.onnx", "--epochs", 3)
    save = checkpoint.save

    def killed(path, identity, state):
        save(path, identity, state)
        if len(state.epochs) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        said = finetune(small, tmp_path / "resumed.onnx", "--epochs", 3, status=130)
    assert (
        "the same command goes on" in said
        and not (tmp_path / "resumed.onnx").exists()
        and (tmp_path / "resumed.onnx.state").exists()
    )
    finetune(small, tmp_path / "resumed.onnx", "--epochs", 3, "--json", tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["resumed_at"] == 2
    assert (tmp_path / "resumed.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes() and not (
        tmp_path / "resumed.onnx.state"
    ).exists()


def test_labels_teach_and_a_network_that_comes_quantised_trains_on(small, tmp_path):
    with np.load(small / "val.npz") as file:
        np.savez(tmp_path / "train.npz", **file)
    finetune(small, tmp_path / "tuned.onnx", "--train", tmp_path / "train.npz", "--epochs", 1)
    said = finetune(
        tmp_path,
        tmp_path / "again.onnx",
        "--train",
        tmp_path / "train.npz",
        "--epochs",
        1,
        "--json",
        tmp_path / "report.json",
        model="tuned.onnx",
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert (
        report["metric"] == "top1"
        and "its own scales are taken" in said
        and octet.load_onnx(tmp_path / "again.onnx").comes_quantised
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--train", "missing.npz"], "missing.npz: no such file"),
        (["--metric", "top1", "--validate", "CALIB"], "holds no labels, top1 needs them"),
        (["--output-name", "z"], "--output-name z: the model has no such output"),
        (["--epochs", "0"], "--epochs"),
        (["--float-layers", "*"], "no layer has int8 weights, so there is nothing to train"),
        (["--learning-rate", "128"], "--learning-rate"),
        (["-o", "nowhere/tuned.onnx"], "nowhere does not exist; create it first"),
    ],
)
def test_wrong_input_is_one_line(small, tmp_path, more, said):
    more = [small / "calib.npz" if each == "CALIB" else each for each in more]
    output = finetune(small, tmp_path / "tuned.onnx", *more, status=2)
    assert said in output and not list(tmp_path.iterdir())


def test_a_state_file_that_is_none_is_named(small, tmp_path):
    (tmp_path / "tuned.onnx.state").write_bytes(b"no state")
    said = finetune(small, tmp_path / "tuned.onnx", "--epochs", 1, status=2)
    assert "tuned.onnx.state: is no state of a fine-tuning" in said and "remove it to begin again" in said


def test_a_loss_that_is_no_number_ends_it(small, tmp_path, monkeypatch):
    monkeypatch.setattr(Objective, "loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    said = finetune(small, tmp_path / "tuned.onnx", status=2)
    assert "the loss is no number in epoch 1" in said and not (tmp_path / "tuned.onnx").exists()


def test_a_state_of_another_training_is_left_aside_with_a_word(tmp_path):
    ones = np.ones((2, 3), np.float32)
    state = checkpoint.TrainingState(
        {"layer.weight": ones},
        {"layer.weight": ones},
        {"layer.weight": (ones, ones)},
        [checkpoint.Epoch(0.0, [0.5, 0.1])],
    )
    checkpoint.save(tmp_path / "state", "0" * 64, state)
    assert checkpoint.load(tmp_path / "state", "0" * 64, {"layer.weight": (2, 3)}).epochs == state.epochs
    with pytest.warns(OctetWarning, match="other samples or options"):
        assert checkpoint.load(tmp_path / "state", "1" * 64, {"layer.weight": (2, 3)}) is None
    with pytest.raises(DataError, match="now.layer.weight is not of its parameter"):
        checkpoint.load(tmp_path / "state", "0" * 64, {"layer.weight": (3, 2)})


def test_without_pytorch_it_says_how_to_get_it(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "octet finetune needs PyTorch; install it with pip install 'octet[train]'" in finetune(
        small, tmp_path / "tuned.onnx", status=2
    )
