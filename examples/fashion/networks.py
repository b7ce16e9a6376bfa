"""Five small architectures for 28x28 grey images and ten classes, as torch modules.

MobileNets and EfficientNet here have what makes their big sisters hard to quantise: BatchNorm scales that differ widely
between channels. Those of a network that is trained for minutes hardly move, so they begin at exp(N(0, WIDE)) instead
of 1; nothing else is made hard on purpose.
"""

import torch
from torch import nn

CLASSES, WIDE = 10, 1.0


def conv(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU6):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([act()] if act is not None else []))


class Residual(nn.Module):
    """A residual block: relu(shortcut(x) + conv(conv(x)))."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(conv(inputs, outputs, stride=stride, act=nn.ReLU), conv(outputs, outputs, act=None))
        self.shortcut = conv(inputs, outputs, 1, stride, act=None)

    def forward(self, x):
        return torch.relu(self.shortcut(x) + self.body(x))


class Squeeze(nn.Module):
    """Squeeze and excite: x times what a bottleneck makes of its average."""

    def __init__(self, channels, narrow):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, narrow, 1),
            nn.SiLU(),
            nn.Conv2d(narrow, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return x * self.gate(x)


class Inverted(nn.Module):
    """An inverted residual block: (x +) project(squeeze?(depthwise(expand(x))))."""

    def __init__(self, inputs, outputs, stride, act, squeeze, expansion=4):
        super().__init__()
        wide = inputs * expansion
        steps = [conv(inputs, wide, 1, act=act), conv(wide, wide, 3, stride, wide, act)]
        self.body = nn.Sequential(
            *steps, *([Squeeze(wide, inputs)] if squeeze else []), conv(wide, outputs, 1, act=None)
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.into, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.into(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5, -1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, tokens, width))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width, heads):
        super().__init__()
        self.first, self.attention, self.second = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.first(x))
        return x + self.hidden(self.second(x))


class Vit(nn.Module):
    """A vision transformer: 49 patches of 4x4 pixels, averaged behind the last block."""

    def __init__(self, width=64, heads=4, blocks=4):
        super().__init__()
        self.patches, self.places = nn.Conv2d(1, width, 4, 4), nn.Parameter(torch.randn(1, 49, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(x)).mean(1))


def _head(channels):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)


def resnet():
    return nn.Sequential(
        conv(1, 16, act=nn.ReLU), Residual(16, 32, 2), Residual(32, 64, 2), Residual(64, 96, 2), *_head(96)
    )


def mobilenet_v1():
    blocks, inputs = [conv(1, 32, stride=2)], 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        blocks += [conv(inputs, inputs, 3, stride, inputs), conv(inputs, outputs, 1)]
        inputs = outputs
    return widened(nn.Sequential(*blocks, *_head(inputs)))


def _inverted(act, squeeze):
    blocks, inputs = [conv(1, 16, stride=2, act=act)], 16
    for outputs, stride in ((24, 1), (24, 1), (40, 2), (40, 1), (64, 2), (64, 1)):
        blocks.append(Inverted(inputs, outputs, stride, act, squeeze))
        inputs = outputs
    return widened(nn.Sequential(*blocks, conv(inputs, 192, 1, act=act), *_head(192)))


def mobilenet_v2():
    return _inverted(nn.ReLU6, False)


def efficientnet():
    return _inverted(nn.SiLU, True)


def widened(model):
    """Makes the same network with BatchNorm scales that differ widely."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 0, WIDE)
            module.weight.data.exp_()
    return model


NETWORKS = {
    "resnet": resnet,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet": efficientnet,
    "vit": Vit,
}
