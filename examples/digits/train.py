"""Trains the bundled example: a small convolutional network on scikit-learn's handwritten digits.

The 1,797 real digits (8x8, 16 grey levels) are enlarged to 32x32 by bilinear interpolation and scaled to [-1, 1]. 1,197
of them train the network; the other 600 are never seen in training and validate it. Written beside this script:

    digits.onnx        the trained fp32 network: depthwise, residual and inverted residual blocks, BatchNormalization
                       nodes kept, batch size N
    digits-calib.npz   "image": 256 of the training images, float32 [256, 1, 32, 32]
    digits-val.npz     "image": the 600 validation images, "labels": int64 [600]

usage: pip install 'octet[train]' && python train.py        (about three minutes on one core)
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
SIDE, EPOCHS, BATCH, TRAINING, CALIBRATION = 32, 40, 64, 1197, 256


def conv(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU6):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([act()] if act is not None else []))


class Residual(nn.Module):
    """A residual block: relu(x + conv(conv(x))), with a 1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.body = nn.Sequential(conv(inputs, outputs, stride=stride, act=nn.ReLU), conv(outputs, outputs, act=None))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv(inputs, outputs, kernel=1, stride=stride, act=None)

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.body(x))


class InvertedResidual(nn.Module):
    """An inverted residual block: x + project(depthwise(expand(x)))."""

    def __init__(self, channels, expansion=4):
        super().__init__()
        wide = channels * expansion
        self.body = nn.Sequential(
            conv(channels, wide, kernel=1), conv(wide, wide, groups=wide), conv(wide, channels, kernel=1, act=None)
        )

    def forward(self, x):
        return x + self.body(x)


def network():
    return nn.Sequential(
        conv(1, 16),
        conv(16, 16, stride=2, groups=16),
        conv(16, 24, kernel=1),  # This and the layer before are a depthwise separable block.
        InvertedResidual(24),
        Residual(24, 48, stride=2),
        Residual(48, 48),
        conv(48, 48, stride=2, groups=48),
        conv(48, 96, kernel=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def images_and_labels():
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None]
    large = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    order = np.random.default_rng(0).permutation(len(large))
    return (large / 8 - 1)[order], torch.tensor(digits.target)[order]


def augmented(x, generator):
    """Random rotation, scale and shift: digits stay digits."""
    n = len(x)
    angle, scale = (
        (torch.rand(n, generator=generator) - 0.5) * 0.5,
        1 + (torch.rand(n, generator=generator) - 0.5) * 0.3,
    )
    shift = (torch.rand(n, 2, generator=generator) - 0.5) * 0.3
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    return F.grid_sample(x + 1, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False) - 1


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def train():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, y = images_and_labels()
    model = network()
    steps = EPOCHS * -(-TRAINING // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        model.train()
        for rows in torch.randperm(TRAINING, generator=generator).split(BATCH):
            loss = F.cross_entropy(model(augmented(x[rows], generator)), y[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if epoch % 5 == 4:
            print(
                f"epoch {epoch + 1}: loss {loss.item():.3f}, validation top-1 "
                f"{accuracy(model, x[TRAINING:], y[TRAINING:]):.4f}",
                flush=True,
            )
    return model, x.numpy(), y.numpy()


def save(model, x, y):
    model.eval()
    torch.onnx.export(
        model,
        torch.tensor(x[:1]),
        HERE / "digits.onnx",
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    np.savez_compressed(HERE / "digits-calib.npz", image=x[:CALIBRATION])
    np.savez_compressed(HERE / "digits-val.npz", image=x[TRAINING:], labels=y[TRAINING:].astype(np.int64))


if __name__ == "__main__":
    save(*train())
