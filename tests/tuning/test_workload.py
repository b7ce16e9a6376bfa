"""What two layers must have in common to share a tuned schedule."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from octet.targets.registry import find
from octet.targets.tuned import words
from octet.targets.workloads import workload_from
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.windows.pooling import PoolProblem
from octet.targets.x86.workload import Workload, from_dict, workload_of
from octet.tuning.spaces.registry import workload_and_spaces

PROBLEM = ConvProblem(
    "int8", 1, 16, 8, 8, 32, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, 5, Epilogue("int8", 7, 7, 127, True, -3, 0.5)
)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(-128, 127), st.integers(-128, 127), st.floats(0.125, 2))
def test_numbers_do_not_matter(data, out, multiplier):
    other = replace(
        PROBLEM,
        data_zero_point=data,
        epilogue=replace(PROBLEM.epilogue, out_zero_point=out, residual_zero_point=out, residual_multiplier=multiplier),
    )
    assert workload_of(other) == workload_of(PROBLEM) and workload_of(other).key == workload_of(PROBLEM).key


def test_structure_matters():
    e = PROBLEM.epilogue
    others = [
        replace(PROBLEM, channels=20),
        replace(PROBLEM, batch=2),
        replace(PROBLEM, strides=(2, 2)),
        replace(PROBLEM, padding=(0, 0, 0, 0)),
        replace(PROBLEM, dtype="float32"),
        replace(PROBLEM, epilogue=replace(e, residual=False)),
        replace(PROBLEM, epilogue=replace(e, clip_min=-128)),
        replace(PROBLEM, epilogue=replace(e, out_dtype="float32")),
    ]
    assert len({workload_of(p).key for p in [PROBLEM, *others]}) == len(others) + 1


def test_json_keeps_everything():
    for problem in (PROBLEM, replace(PROBLEM, dtype="float32", epilogue=Epilogue("float32"))):
        chosen = workload_of(problem)
        text = json.dumps(chosen.as_dict(), allow_nan=False)
        assert from_dict(json.loads(text)) == chosen


@pytest.mark.parametrize(
    "field, value",
    [
        ("batch", "x" * 5000),
        ("batch", True),
        ("batch", 1.5),
        ("kernel", [3]),
        ("kernel", [3, "3"]),
        ("kernel", 3),
        ("epilogue", None),
        ("planar", 1),
    ],
)
def test_values_of_another_type_are_refused(field, value):
    """A text for the batch, times the height of a padded image, took 5 GB."""
    entry = json.loads(json.dumps(workload_of(PROBLEM).as_dict()))
    with pytest.raises(ValueError, match=field):
        from_dict(entry | {field: value})


def test_a_representative_is_its_own():
    assert workload_of(workload_of(PROBLEM).problem) == workload_of(PROBLEM)


def test_words():
    from octet.targets.x86.conv.amx import AmxSchedule

    assert words(AmxSchedule(True, 4)).startswith("pixels_outer=1 units=4")


NUMBERS = {
    "a window of so many places that a list of them ends the memory": replace(
        PROBLEM, dtype="bfloat16", kernel=(1 << 20, 1 << 20), epilogue=Epilogue("float32")
    ),
    "an extent that no index has": replace(PROBLEM, width=1 << 40),
    "a step of nothing": replace(PROBLEM, strides=(0, 1)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_no_kernel_has_are_refused(name):
    with pytest.raises(ValueError):
        workload_and_spaces(json.loads(json.dumps(Workload(NUMBERS[name]).as_dict())), find("avx512bf16"))


@pytest.mark.parametrize("field, value", [("size", [0, 0]), ("multiplier", 1e300), ("kind", "least")])
def test_what_a_kernel_asserts_of_its_own_problems_is_asked_of_those_in_files(field, value):
    entry = json.loads(
        json.dumps(
            workload_of(
                PoolProblem("average", "int8", (1, 20, 9, 9), (3, 3), (2, 2), (1, 1, 1, 1), multiplier=0.8)
            ).as_dict()
        )
    )
    assert workload_from(entry).name
    entry["problem"][field] = value
    with pytest.raises(ValueError):
        workload_from(entry)
