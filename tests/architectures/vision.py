"""Vision architectures. size: pixels; depth and width scale the published numbers of blocks and channels (1 is the
published network)."""

from onnx_graph import Graph, image


def _scaled(channels, width):
    return max(8, int(channels * width) // 8 * 8)


def _resnet(path, blocks_of_a_stage, size, depth, width, classes):
    """Of bottlenecks, the stride in their 3 x 3 convolution."""
    g = Graph()
    w = lambda c: _scaled(c, width)
    x = g.op(
        "MaxPool", g.conv("input", 3, w(64), 7, 2, act="relu"), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    )
    inputs = w(64)
    for channels, blocks, stride in zip((64, 128, 256, 512), blocks_of_a_stage, (1, 2, 2, 2), strict=True):
        for i in range(max(1, int(blocks * depth))):
            s = stride if i == 0 else 1
            y = g.conv(g.conv(x, inputs, w(channels), act="relu"), w(channels), w(channels), 3, s, act="relu")
            y = g.conv(y, w(channels), w(channels) * 4)
            x = g.act(g.op("Add", y, g.conv(x, inputs, w(channels) * 4, 1, s) if i == 0 else x), "relu")
            inputs = w(channels) * 4
    g.save(path, image(size), {g.classify(x, inputs, classes): [1, classes]})


def resnet50(path, size=224, depth=1.0, width=1.0, classes=1000):
    _resnet(path, (3, 4, 6, 3), size, depth, width, classes)


def resnet152(path, size=224, depth=1.0, width=1.0, classes=1000):
    _resnet(path, (3, 8, 36, 3), size, depth, width, classes)


def mobilenet_v1(path, size=224, depth=1.0, width=1.0, classes=1000):
    g = Graph(5)
    w = lambda c: _scaled(c, width)
    x, inputs = g.conv("input", 3, w(32), 3, 2, act="relu6"), w(32)
    layers = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * max(1, int(5 * depth))]
    for channels, stride in (*layers, (1024, 2), (1024, 1)):
        x = g.conv(x, inputs, inputs, 3, stride, groups=inputs, act="relu6")
        x, inputs = g.conv(x, inputs, w(channels), act="relu6"), w(channels)
    g.save(path, image(size), {g.classify(x, inputs, classes): [1, classes]})


def mobilenet_v2(path, size=224, depth=1.0, width=1.0, classes=1000):
    g = Graph(6)
    w = lambda c: _scaled(c, width)
    x, inputs = g.conv("input", 3, w(32), 3, 2, act="relu6"), w(32)
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, channels, blocks, stride in stages:
        for i in range(max(1, int(blocks * depth))):
            s, hidden = (stride if i == 0 else 1), inputs * expand
            y = g.conv(x, inputs, hidden, act="relu6") if expand > 1 else x
            y = g.conv(g.conv(y, hidden, hidden, 3, s, groups=hidden, act="relu6"), hidden, w(channels))
            x, inputs = (g.op("Add", x, y) if s == 1 and inputs == w(channels) else y), w(channels)
    x = g.conv(x, inputs, w(1280), act="relu6")
    g.save(path, image(size), {g.classify(x, w(1280), classes): [1, classes]})


def efficientnet_b0(path, size=224, depth=1.0, width=1.0, classes=1000):
    g = Graph(1)
    w = lambda c: _scaled(c, width)
    x, inputs = g.conv("input", 3, w(32), 3, 2, act="silu"), w(32)
    stages = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    )
    for expand, channels, blocks, stride, kernel in stages:
        for i in range(max(1, int(blocks * depth))):
            s, hidden = (stride if i == 0 else 1), inputs * expand
            y = g.conv(x, inputs, hidden, act="silu") if expand > 1 else x
            y = g.conv(y, hidden, hidden, kernel, s, groups=hidden, act="silu")
            y = g.conv(g.squeeze(y, hidden, max(4, inputs // 4), "silu", "sigmoid"), hidden, w(channels))
            x, inputs = (g.op("Add", x, y) if s == 1 and inputs == w(channels) else y), w(channels)
    x = g.conv(x, inputs, w(1280), act="silu")
    g.save(path, image(size), {g.classify(x, w(1280), classes): [1, classes]})


def mobilenet_v3(path, size=224, depth=1.0, width=1.0, classes=1000):
    """MobileNet-v3 large."""
    g = Graph(2)
    w = lambda c: _scaled(c, width)
    blocks = [
        (3, 16, 16, 0, "relu", 1),
        (3, 64, 24, 0, "relu", 2),
        (3, 72, 24, 0, "relu", 1),
        (5, 72, 40, 1, "relu", 2),
        (5, 120, 40, 1, "relu", 1),
        (5, 120, 40, 1, "relu", 1),
        (3, 240, 80, 0, "hardswish", 2),
        (3, 200, 80, 0, "hardswish", 1),
        (3, 184, 80, 0, "hardswish", 1),
        (3, 184, 80, 0, "hardswish", 1),
        (3, 480, 112, 1, "hardswish", 1),
        (3, 672, 112, 1, "hardswish", 1),
        (5, 672, 160, 1, "hardswish", 2),
        (5, 960, 160, 1, "hardswish", 1),
        (5, 960, 160, 1, "hardswish", 1),
    ]
    x, inputs = g.conv("input", 3, w(16), 3, 2, act="hardswish"), w(16)
    for i, (kernel, hidden, channels, excite, act, stride) in enumerate(blocks):
        if depth < 1 and i % 2 and stride == 1:
            continue
        y = g.conv(x, inputs, w(hidden), act=act) if w(hidden) != inputs else x
        y = g.conv(y, w(hidden), w(hidden), kernel, stride, groups=w(hidden), act=act)
        y = g.squeeze(y, w(hidden), max(8, w(hidden) // 4), "relu", "hard") if excite else y
        y = g.conv(y, w(hidden), w(channels))
        x, inputs = (g.op("Add", x, y) if stride == 1 and inputs == w(channels) else y), w(channels)
    x = g.op("GlobalAveragePool", g.conv(x, inputs, w(960), act="hardswish"))
    x = g.op(
        "HardSwish",
        g.op("Gemm", g.op("Flatten", x), g.normal((1280, w(960)), w(960) ** -0.5), g.normal(1280, 0.02), transB=1),
    )
    out = g.op("Gemm", x, g.normal((classes, 1280), 1280**-0.5), g.normal(classes, 0.02), transB=1)
    g.save(path, image(size), {out: [1, classes]})


def densenet121(path, size=224, depth=1.0, width=1.0, classes=1000):
    """BatchNormalization and ReLU stand before the convolutions; every layer is concatenated to its inputs."""
    g = Graph(3)
    growth, inputs = _scaled(32, width), _scaled(64, width)
    x = g.op(
        "MaxPool", g.conv("input", 3, inputs, 7, 2, act="relu"), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    )

    def plain(x, inputs, outputs, kernel):
        weight = g.normal((outputs, inputs, kernel, kernel), (2.0 / (inputs * kernel * kernel)) ** 0.5)
        return g.op("Conv", x, weight, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4)

    for stage, layers in enumerate((6, 12, 24, 16)):
        for _ in range(max(2, int(layers * depth))):
            y = plain(g.act(g.norm(x, inputs), "relu"), inputs, 4 * growth, 1)
            x = g.op("Concat", x, plain(g.act(g.norm(y, 4 * growth), "relu"), 4 * growth, growth, 3), axis=1)
            inputs += growth
        if stage < 3:
            y = plain(g.act(g.norm(x, inputs), "relu"), inputs, inputs // 2, 1)
            x, inputs = g.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]), inputs // 2
    g.save(path, image(size), {g.classify(g.act(g.norm(x, inputs), "relu"), inputs, classes): [1, classes]})


def inception_v3(path, size=299, depth=1.0, width=1.0, classes=1000):
    g = Graph(4)
    w = lambda c: _scaled(c, width)
    c = lambda x, i, o, k=1, s=1, pad=None: (g.conv(x, i, w(o), k, s, act="relu", pad=pad), w(o))

    def chain(x, inputs, *layers):
        for outputs, kernel, *rest in layers:
            x, inputs = c(x, inputs, outputs, kernel, *rest)
        return x, inputs

    def join(*branches):
        return g.op("Concat", *(b[0] for b in branches), axis=1), sum(b[1] for b in branches)

    def pooled(x, stride=1):
        if stride == 2:
            return g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
        return g.op("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=1)

    x, n = chain("input", 3, (32, 3, 2, 0), (32, 3, 1, 0), (64, 3))
    x, n = chain(pooled(x, 2), n, (80, 1), (192, 3, 1, 0))
    x = pooled(x, 2)
    for pool in (32, 64, 64)[: max(1, int(3 * depth))]:
        x, n = join(
            c(x, n, 64), chain(x, n, (48, 1), (64, 5)), chain(x, n, (64, 1), (96, 3), (96, 3)), c(pooled(x), n, pool)
        )
    x, n = join(c(x, n, 384, 3, 2, 0), chain(x, n, (64, 1), (96, 3), (96, 3, 2, 0)), (pooled(x, 2), n))
    for m in (128, 160, 160, 192)[: max(1, int(4 * depth))]:
        x, n = join(
            c(x, n, 192),
            chain(x, n, (m, 1), (m, (1, 7)), (192, (7, 1))),
            chain(x, n, (m, 1), (m, (7, 1)), (m, (1, 7)), (m, (7, 1)), (192, (1, 7))),
            c(pooled(x), n, 192),
        )
    x, n = join(
        chain(x, n, (192, 1), (320, 3, 2, 0)),
        chain(x, n, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0)),
        (pooled(x, 2), n),
    )
    for _ in range(max(1, int(2 * depth))):
        a, na = c(x, n, 384)
        b, nb = chain(x, n, (448, 1), (384, 3))
        x, n = join(
            c(x, n, 320),
            c(a, na, 384, (1, 3)),
            c(a, na, 384, (3, 1)),
            c(b, nb, 384, (1, 3)),
            c(b, nb, 384, (3, 1)),
            c(pooled(x), n, 192),
        )
    g.save(path, image(size), {g.classify(x, n, classes): [1, classes]})


NETWORKS = {
    f.__name__: f
    for f in (
        resnet50,
        resnet152,
        mobilenet_v1,
        mobilenet_v2,
        mobilenet_v3,
        efficientnet_b0,
        densenet121,
        inception_v3,
    )
}
