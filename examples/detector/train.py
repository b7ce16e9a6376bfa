"""Trains the detector of network.py on the scenes of scenes.py and writes to FOLDER:

    detector.onnx     fp32, the decoding in the graph, batch size 1
    calib.npz         "image": 256 training scenes
    val.npz           500 other scenes, "boxes" and "classes", as --metric map takes them

usage: pip install 'octet[train]' && python train.py FOLDER        (about three minutes on one core)
"""

import sys
from pathlib import Path

import numpy as np
import torch
from network import BINS, STRIDES, Detector
from scenes import CLASSES, SIDE, scenes
from torch.nn import functional as F

TRAINING, VALIDATION, CALIBRATION, EPOCHS, BATCH = 3200, 500, 256, 5, 32


def targets(model, boxes, classes):
    """Which anchors of each scene have which object: int64 [N, A], -1 for none. An object is of the level whose stride
    is about a quarter of its side or less, and of the centres there within 1.5 strides of its own."""
    size = (boxes[..., 2:] - boxes[..., :2]).amax(-1)
    level = torch.where(size < 24, STRIDES[0], torch.where(size < 44, STRIDES[1], STRIDES[2]))
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    # The axes of this are samples, objects and places.
    distance = (model.centres.T[None, None] - middle[:, :, None]).abs().amax(-1)
    fits = (classes[..., None] >= 0) & (model.strides[0] == level[..., None]) & (distance < 1.5 * model.strides[0])
    nearest = torch.where(fits, distance, torch.inf).min(1)
    return torch.where(nearest.values < torch.inf, nearest.indices, -1)


def loss_of(model, images, boxes, classes):
    # This is twice as fast on CPUs that have bfloat16 products.
    with torch.autocast("cpu", torch.bfloat16):
        raw = model.raw(images)
    raw = raw.float()
    owner = targets(model, boxes, classes)
    found = owner >= 0
    n, place = found.nonzero(as_tuple=True)
    box = boxes[n, owner[n, place]]
    centre, stride = model.centres.T[place], model.strides[0, place]
    wanted = torch.cat([centre - box[:, :2], box[:, 2:] - centre], 1) / stride[:, None]
    wanted = wanted.clamp(0, BINS - 1.01)
    # The axes of this are places with an object, sides and bins.
    spread = raw[:, : 4 * BINS].unflatten(1, (4, BINS))[n, :, :, place]
    low = wanted.long()
    part = wanted - low
    log = spread.log_softmax(2)
    sides = -(
        log.gather(2, low[..., None])[..., 0] * (1 - part) + log.gather(2, low[..., None] + 1)[..., 0] * part
    ).mean()
    given = model.distances(raw).transpose(1, 2)[n, place]
    shared = torch.minimum(given, wanted)
    both = (shared[:, 0] + shared[:, 2]) * (shared[:, 1] + shared[:, 3])
    area = lambda d: (d[:, 0] + d[:, 2]) * (d[:, 1] + d[:, 3])
    overlap = both / (area(given) + area(wanted) - both + 1e-6)
    truth = torch.zeros_like(raw[:, 4 * BINS :])
    truth[n, classes[n, owner[n, place]], place] = overlap.detach().clamp(min=0.1)
    scores = F.binary_cross_entropy_with_logits(raw[:, 4 * BINS :], truth, reduction="sum") / max(len(n), 1)
    return scores + 1.5 * sides + 4 * (1 - overlap).mean()


def train():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images, boxes, classes = (torch.from_numpy(array) for array in scenes(TRAINING, 1))
    model = Detector(SIDE, CLASSES).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=EPOCHS * (TRAINING // BATCH))
    for epoch in range(EPOCHS):
        losses = []
        for rows in torch.randperm(TRAINING, generator=generator).split(BATCH)[: TRAINING // BATCH]:
            x, b = images[rows], boxes[rows]
            if torch.rand(1, generator=generator) < 0.5:
                x, b = x.flip(3), torch.stack([SIDE - b[..., 2], b[..., 1], SIDE - b[..., 0], b[..., 3]], -1)
            loss = loss_of(model, x.to(memory_format=torch.channels_last), b, classes[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {np.mean(losses):.3f}", flush=True)
    return model.eval().to(memory_format=torch.contiguous_format), images.numpy()


def save(model, images, folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        torch.from_numpy(images[:1]),
        folder / "detector.onnx",
        input_names=["image"],
        output_names=["detections"],
        opset_version=17,
        dynamo=False,
    )
    validation, boxes, classes = scenes(VALIDATION, 2)
    np.savez(folder / "calib.npz", image=images[:CALIBRATION])
    np.savez(folder / "val.npz", image=validation, boxes=boxes, classes=classes)


if __name__ == "__main__":
    save(*train(), Path(sys.argv[1]))
