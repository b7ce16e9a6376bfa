"""A detector of the YOLO class in torch: SiLU blocks with split halves, a pyramid up and down, decoupled heads, and the
decoding in the graph."""

import torch
from torch import nn

STRIDES, BINS = (8, 16, 32), 8  # Each side of a box has a distribution of BINS distances, 0 to 7 strides.


class Conv(nn.Sequential):
    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
        )


class Bottleneck(nn.Module):
    def __init__(self, channels, adds):
        super().__init__()
        self.body, self.adds = nn.Sequential(Conv(channels, channels), Conv(channels, channels)), adds

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class Split(nn.Module):
    """Half of the channels through bottlenecks, every stage of them concatenated with both halves."""

    def __init__(self, inputs, outputs, adds, count=1):
        super().__init__()
        half = outputs // 2
        self.first, self.last = Conv(inputs, outputs, 1), Conv(half * (2 + count), outputs, 1)
        self.blocks = nn.ModuleList(Bottleneck(half, adds) for _ in range(count))

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pooled(nn.Module):
    """Three poolings in a row, concatenated."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.last, self.pool = (
            Conv(channels, channels // 2, 1),
            Conv(channels * 2, channels, 1),
            nn.MaxPool2d(5, 1, 2),
        )

    def forward(self, x):
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Head(nn.Module):
    """One branch for the sides of the boxes, one for the classes."""

    def __init__(self, channels, classes, width=32):
        super().__init__()
        self.sides = nn.Sequential(Conv(channels, width), Conv(width, width), nn.Conv2d(width, 4 * BINS, 1))
        self.classes = nn.Sequential(Conv(channels, width), Conv(width, width), nn.Conv2d(width, classes, 1))
        nn.init.constant_(self.classes[-1].bias, -4.0)

    def forward(self, x):
        return torch.cat([self.sides(x), self.classes(x)], 1).flatten(2)


class Detector(nn.Module):
    """Finds objects in pictures: [N, 3, side, side] -> [N, 4 + classes, A]: centre x, y, width and height in pixels,
    then scores, as YOLOv8's exporter writes them."""

    def __init__(self, side, classes):
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 16, 3, 2), Conv(16, 32, 3, 2), Split(32, 32, True))
        self.down = nn.ModuleList(
            [
                nn.Sequential(Conv(32, 48, 3, 2), Split(48, 48, True)),
                nn.Sequential(Conv(48, 64, 3, 2), Split(64, 64, True)),
                nn.Sequential(Conv(64, 96, 3, 2), Split(96, 96, True), Pooled(96)),
            ]
        )
        self.up = nn.ModuleList([Split(96 + 64, 64, False), Split(64 + 48, 48, False)])
        self.narrow = nn.ModuleList([Conv(48, 48, 3, 2), Conv(64, 64, 3, 2)])
        self.back = nn.ModuleList([Split(48 + 64, 64, False), Split(64 + 96, 96, False)])
        self.heads = nn.ModuleList(Head(channels, classes) for channels in (48, 64, 96))
        self.larger = nn.Upsample(scale_factor=2)
        places = [
            [((x + 0.5) * s, (y + 0.5) * s, s) for y in range(side // s) for x in range(side // s)] for s in STRIDES
        ]
        table = torch.tensor([place for level in places for place in level]).T
        self.register_buffer("centres", table[:2])
        self.register_buffer("strides", table[2:])
        self.register_buffer("bins", torch.arange(BINS, dtype=torch.float32).reshape(1, 1, BINS, 1))

    def raw(self, x):
        """Computes what the loss is taken of: [N, 4 * BINS + classes, A]."""
        small = self.down[0](self.stem(x))
        middle = self.down[1](small)
        large = self.down[2](middle)
        middle = self.up[0](torch.cat([self.larger(large), middle], 1))
        small = self.up[1](torch.cat([self.larger(middle), small], 1))
        middle = self.back[0](torch.cat([self.narrow[0](small), middle], 1))
        large = self.back[1](torch.cat([self.narrow[1](middle), large], 1))
        return torch.cat([head(x) for head, x in zip(self.heads, (small, middle, large))], 2)

    def distances(self, raw):
        """Left, top, right and bottom of the boxes from their centres, in strides: [N, 4, A]"""
        spread = raw[:, : 4 * BINS].unflatten(1, (4, BINS)).softmax(2)
        return (spread * self.bins).sum(2)

    def forward(self, x):
        raw = self.raw(x)
        near, far = self.distances(raw).chunk(2, 1)
        low, high = self.centres - near * self.strides, self.centres + far * self.strides
        return torch.cat([(low + high) / 2, high - low, raw[:, 4 * BINS :].sigmoid()], 1)
