"""What a search tries, and in which order."""

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.choices.ranges import CALIBRATIONS, ranges_of
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.improvement import Pace, improvements, next_of


def test_what_gains_most_per_second_comes_first():
    """What is learnt from the ranges comes behind what changes them; of the others, calibrators of single tensors come
    last where errors take long."""

    def order(pace):
        left, found = improvements(list, True, True, True), []
        while left:
            found.append(next_of(left, pace).name)
            left = [one for one in left if one.name != found[-1]]
        return found

    assert order(Pace(error=0.01, build=5.0)) == [
        "ranges",
        "calibrators by tensor",
        "rescaled channels",
        "corrected biases",
        "learnt rounding",
    ]
    assert order(Pace(error=2.0, build=5.0)) == [
        "rescaled channels",
        "ranges",
        "calibrators by tensor",
        "corrected biases",
        "learnt rounding",
    ]
    assert [one.name for one in improvements(None, False, True, False)] == ["corrected biases", "learnt rounding"]
    assert improvements(None, False, False, True) == []


def test_other_ranges_are_those_that_the_user_left_open():
    class Plan:
        groups = ()

    def names(*free):
        return [name for name, _ in ranges_of(Design(Recipe()), free, lambda design: Plan)]

    assert names("activations") == ["symmetric activations"] and names("softmax") == [] == names()
    assert len(names("calibrator")) == len(CALIBRATIONS) - 1
