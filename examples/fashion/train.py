"""Trains the five networks of networks.py on Fashion-MNIST: 70,000 real photographs of clothes, 28x28 grey pixels, ten
classes.

The data are Debian's package dataset-fashion-mnist (apt-get install dataset-fashion-mnist). The package's 60,000
training images train; 2,500 of its test images validate and are seen by nothing else. Written to FOLDER:

    NETWORK.onnx     fp32, BatchNormalization nodes kept, batch size N
    calib.npz        "image": 512 of the training images, float32 [512, 1, 28, 28]
    train.npz        2,048 other training images and their "labels", for octet finetune
    val.npz          the first 2,500 test images, "labels": int64 [2500]

usage: pip install 'octet[train]' && python train.py FOLDER [--data IDX_FOLDER] [--epochs N] [NETWORK...]
        (about a minute for each epoch and network on one core)
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
import torch
from networks import NETWORKS
from torch.nn import functional as F

DEBIAN = "/usr/share/datasets/fashion-mnist"
BATCH, CALIBRATION, LESSONS, VALIDATION = 128, 512, 2048, 2500


def read(folder, part):
    """Reads pictures and labels of one part: float32 [N, 1, 28, 28] about zero, int64 [N]."""
    pixels = gzip.decompress((Path(folder) / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((Path(folder) / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 1, 28, 28)
    return (images.astype(np.float32) - 72) / 90, np.frombuffer(labels, np.uint8).astype(np.int64)


def write_samples(folder, data):
    (x, y), (validation, truth) = read(data, "train"), read(data, "t10k")
    calibration, lessons = slice(0, CALIBRATION), slice(CALIBRATION, CALIBRATION + LESSONS)
    np.savez(folder / "calib.npz", image=x[calibration])
    np.savez(folder / "train.npz", image=x[lessons], labels=y[lessons])
    np.savez(folder / "val.npz", image=validation[:VALIDATION], labels=truth[:VALIDATION])


def augmented(x, generator):
    """Mirrored and shifted by up to two pixels."""
    flipped = torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5, x, x.flip(3))
    down, right = (int(torch.randint(0, 5, (1,), generator=generator)) for _ in range(2))
    return F.pad(flipped, (2, 2, 2, 2), value=-0.8)[:, :, down : down + 28, right : right + 28]


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return float(
            np.mean([(model(part).argmax(1) == true).float().mean() for part, true in zip(x.split(500), y.split(500))])
        )


def train(name, data, epochs):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.tensor(array) for array in read(data, "train"))
    model = NETWORKS[name]()
    # Only these decay, as nothing pulls the scales of BatchNorm together.
    wide = [p for p in model.parameters() if p.dim() > 1]
    narrow = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": wide, "weight_decay": 0.02}, {"params": narrow, "weight_decay": 0.0}], lr=1e-3
    )
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3 if name != "vit" else 2e-3, total_steps=steps)
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = F.cross_entropy(model(augmented(x[rows], generator)), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"{name}, epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}", flush=True)
    validation, truth = (torch.tensor(array[:VALIDATION]) for array in read(data, "t10k"))
    print(f"{name}: top-1 {100 * accuracy(model, validation, truth):.2f} %", flush=True)
    return model.eval()


def save(model, path):
    torch.onnx.export(
        model,
        torch.zeros(1, 1, 28, 28),
        path,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--data", default=DEBIAN)
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_intermixed_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    write_samples(given.folder, given.data)
    for name in given.networks:
        save(train(name, given.data, given.epochs), given.folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
