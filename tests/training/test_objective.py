"""What training makes small."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'octet[train]')")

from octet.targets.variant import TensorSpec  # noqa: E402
from octet.tools.training.objective import Objective  # noqa: E402

ROWS = np.arange(2)


def objective(teacher, classes=(), labels=None, distill=0.5):
    """Of a network of batch 1 with one output `y`."""
    spec = TensorSpec("y", (1, *teacher.shape[1:]), "float32")
    model = SimpleNamespace(inputs=(TensorSpec("x", (1, 4), "float32"),), outputs=(spec,))
    return Objective(model, {"y": teacher}, frozenset(classes), {} if labels is None else {"y": labels}, distill)


def loss(made, answers):
    return float(made.loss({"y": torch.from_numpy(answers)[:, None]}, ROWS))


def test_fp32s_own_answers_are_at_no_distance():
    teacher = np.float32([[1, 2, 3], [0, 0, 5]])
    for classes in ((), ("y",)):
        assert loss(objective(teacher, classes), teacher) == pytest.approx(0, abs=1e-6)
    assert loss(objective(teacher, ("y",)), teacher + 7) == pytest.approx(0, abs=1e-6), (
        "scores are the same distribution"
    )
    assert loss(objective(teacher), 0 * teacher) == pytest.approx(1)


def test_probabilities_are_taken_as_they_are():
    teacher, found = np.float32([[0.5, 0.5], [0.25, 0.75]]), np.float32([[0.25, 0.75], [0.25, 0.75]])
    assert loss(objective(teacher, ("y",)), found) == pytest.approx(0.5 * np.log(0.5 / 0.25 * 0.5 / 0.75) / 2, rel=1e-5)


def test_what_fp32_masks_is_not_learnt():
    teacher = np.float32([[1, -np.inf], [2, 3]])
    assert loss(objective(teacher), np.float32([[1, 100], [2, 3]])) == 0


def test_labels_per_place_and_places_that_do_not_count():
    teacher = np.zeros((2, 3, 4), np.float32)  # It has four places and three classes, and the labels lack axis 1.
    labels = np.array([[0, 1, 2, -100], [2, 2, -100, -100]])
    answers = np.zeros((2, 3, 4), np.float32)
    for sample, place in zip(*np.nonzero(labels >= 0), strict=True):
        answers[sample, labels[sample, place], place] = 50
    assert loss(objective(teacher, ("y",), labels, 0.0), answers) == pytest.approx(0, abs=1e-6)
