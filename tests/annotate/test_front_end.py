"""Spectra in front of logarithms and roots stay in float, where that costs little."""

import pytest
from tvm import relax

R = relax.op


def spectrum(net, x, kind="sqrt", floor=True):
    """kind(conv(x)^2 + conv(x)^2) of [1, 8, 1, 6] as 4 frequencies."""
    parts = [net.conv(x, 4, name=name, bias=False) for name in ("real", "imag")]
    squares = [net(R.multiply(part, part)) for part in parts]
    power = net(R.add(*squares), "power")
    return net.unary(net(R.clip(power, 1e-12, 1e12)) if floor else power, kind, kind)


def behind(net, y, channels=32):
    return net.conv(net.relu(net.conv(y, channels, 3, "first")), 4, 3, "second")


def int8(decided):
    return {name for name, decision in decided.items() if decision.dtype == "int8"}


@pytest.mark.parametrize("kind", ["log", "sqrt"])
def test_the_transform_in_front_of_a_logarithm_or_root_stays_in_float(network, decisions, observed, kind):
    module = network(lambda net, x: behind(net, spectrum(net, x, kind)), (1, 8, 1, 6))
    decided = decisions(module)
    assert int8(decided) == {"first", "second"}
    assert "makes as much of small values as of large ones" in decided["real"].reason
    assert "x" not in observed(module) and kind in observed(module)


def test_a_product_between_the_power_and_the_logarithm_too(network, decisions):
    def body(net, x):
        rows = net(R.reshape(spectrum(net, x, floor=False), (6, 4)))
        mel = net(R.maximum(net(R.matmul(rows, net.const(4, 8)), "mel"), relax.const(1e-6)))
        return behind(net, net(R.reshape(net.unary(mel, "log"), (1, 8, 1, 6))))

    assert int8(decisions(network(body, (1, 8, 1, 6)))) == {"first", "second"}


def test_a_product_with_a_constant_in_front_may_lie_between(network, decisions):
    """As a transform in two steps has it: its first product is of a matrix and the samples."""

    def body(net, x):
        turned = net(R.matmul(net.const(8, 8), net(R.reshape(x, (8, 6)))), "turned")
        return behind(net, spectrum(net, net(R.reshape(turned, (1, 8, 1, 6)))))

    decided = decisions(network(body, (1, 8, 1, 6)))
    assert int8(decided) == {"first", "second"} and decided["turned"].dtype != "int8"


def test_does_not_apply_where_the_front_end_is_a_large_part_of_the_work(network, decisions):
    module = network(lambda net, x: behind(net, spectrum(net, x), channels=1), (1, 8, 1, 6))
    assert {"real", "imag"} <= int8(decisions(module))


def test_a_network_that_is_a_spectrum_stays_in_float_and_one_that_normalises_does_not(network, decisions):
    assert not int8(decisions(network(lambda net, x: spectrum(net, x, "log"), (1, 8, 1, 6))))
    normalised = network(lambda net, x: spectrum(net, net.relu(net.conv(x, 8, name="first"))), (1, 8, 1, 6))
    assert {"first", "real", "imag"} <= int8(decisions(normalised))


def test_does_not_apply_without_squares_or_behind_another_function(network, decisions):
    def no_squares(net, x):
        return behind(net, net.unary(net(R.clip(net.conv(x, 4, name="real", bias=False), 1e-6, 1e6)), "log"))

    def bounded(net, x):
        return behind(net, spectrum(net, net.unary(x, "tanh")))

    for body in (no_squares, bounded):
        assert "real" in int8(decisions(network(body, (1, 8, 1, 6))))


def test_the_user_has_the_last_word(network, decisions):
    module = network(lambda net, x: behind(net, spectrum(net, x)), (1, 8, 1, 6))
    assert int8(decisions(module, int8_layers=("real", "imag"))) >= {"real", "imag"}
    assert decisions(module, float_layers=("real",))["real"].reason == "named by --float-layers"
