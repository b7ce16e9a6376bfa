"""Which depthwise layers copy their input with its padding."""

from octet.targets.x86.conv.depthwise_schedule import default_schedule
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.isa import building_for


def staged(dot="vnni", size=14, kernel=3, stride=1, dtype="int8"):
    problem = ConvProblem(
        dtype,
        1,
        64,
        size,
        size,
        64,
        (kernel, kernel),
        (stride, stride),
        (kernel // 2,) * 4,
        (1, 1),
        64,
        0,
        Epilogue(dtype),
    )
    with building_for(dot):
        return default_schedule(problem).staged


def test_few_taps_read_the_image_where_it_lies():
    assert not staged() and not staged("amx", size=28)


def test_strides_many_taps_and_short_vectors_take_a_copy():
    assert staged(stride=2) and staged(kernel=5) and staged("vnni256") and staged(dtype="float32")
    assert not staged(size=128, stride=2), "larger than the cache that the copy is for"
