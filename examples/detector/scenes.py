"""Synthetic scenes: disks, squares, triangles and rings of any size, colour and place over gradients and noise, and
boxes around them."""

import numpy as np

SIDE, CLASSES, MOST = 96, 4, 5  # A scene has at most MOST objects.
_GRID = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)).astype(np.float32)


def scenes(count, seed):
    """Draws pictures and says what is on them: float32 [N, 3, SIDE, SIDE] in [-1, 1]; boxes float32 [N, MOST, 4] (x1,
    y1, x2, y2); classes int64 [N, MOST], -1 where there is none."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, 3, SIDE, SIDE), np.float32)
    boxes, classes = np.zeros((count, MOST, 4), np.float32), np.full((count, MOST), -1, np.int64)
    for n in range(count):
        images[n] = _background(rng)
        for m in range(rng.integers(1, MOST + 1)):
            kind, radius = rng.integers(CLASSES), np.exp(rng.uniform(np.log(5), np.log(26)))
            x, y = rng.uniform(radius, SIDE - radius, 2)
            box = np.array([x - radius, y - radius, x + radius, y + radius], np.float32)
            if _overlap(boxes[n, :m], box) < 0.2:
                mask = _mask(kind, x, y, radius)
                colour = rng.uniform(-1, 1, (3, 1, 1)).astype(np.float32)
                images[n] = images[n] * (1 - mask) + colour * mask
                boxes[n, m], classes[n, m] = box, kind
        images[n] += rng.standard_normal((3, SIDE, SIDE), np.float32) * rng.uniform(0, 0.15)
    return images.clip(-1, 1), boxes, classes


def _background(rng):
    corners = rng.uniform(-1, 1, (3, 3)).astype(np.float32)[..., None, None]
    return (
        corners[:, 0]
        + (_GRID[0] / SIDE) * (corners[:, 1] - corners[:, 0]) * 0.5
        + (_GRID[1] / SIDE) * (corners[:, 2] - corners[:, 0]) * 0.5
    )


def _mask(kind, x, y, radius):
    """How much of each pixel the object covers."""
    dx, dy = _GRID[0] - x, _GRID[1] - y
    distance = np.sqrt(dx**2 + dy**2)
    inside = {
        0: radius - distance,
        1: radius - np.maximum(abs(dx), abs(dy)),
        2: np.minimum(radius - dy, (dy + radius) / 2 - abs(dx)),
        3: np.minimum(radius - distance, distance - 0.55 * radius),
    }[kind]
    return np.clip(inside + 0.5, 0, 1)


def _overlap(boxes, box):
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.prod(np.clip(high - low, 0, None), 1)
    return float((shared / np.prod(box[2:] - box[:2])).max(initial=0))
