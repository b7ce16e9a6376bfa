"""octet.fake_quantize -> its kernel, on the layout that the tensor has."""

from ....targets.x86.elementwise.fake_quantize import FakeQuantizeProblem, fake_quantize


def simulate(call, ctx):
    data = ctx.value(call.args[0])
    return ctx.emit(
        fake_quantize(FakeQuantizeProblem(data.layout)),
        [data, ctx.constant(call.args[1])],
        data.layout,
        call.op.name,
        "simulate",
    )


RULES = {"octet.fake_quantize": simulate}
