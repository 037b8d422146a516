"""An independent judge of generated digits (development only): a small convolutional network, its accuracy, and a Frechet distance in its features."""

import gzip
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def read_mnist(folder, part):
    def raw(name):
        with gzip.open(os.path.join(folder, name)) as file:
            return file.read()

    images = np.frombuffer(raw(f"{part}-images-idx3-ubyte.gz"), np.uint8, offset=16).reshape(-1, 28, 28)
    return torch.from_numpy(images.copy()), torch.from_numpy(np.frombuffer(raw(f"{part}-labels-idx1-ubyte.gz"), np.uint8, offset=8).astype(np.int64))


def at_size(images, size):
    """MNIST bytes [n, 28, 28] to pictures [n, 1, size, size] of 0 .. 1: in a frame of 32, then averaged or interpolated."""
    x = F.pad(images[:, None].float() / 255, (2, 2, 2, 2))
    if size == 32:
        return x
    if size < 32:
        return F.interpolate(x, (size, size), mode="area")
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=True)


def as_mnist(pictures):
    """Pictures of any size back to [n, 1, 28, 28]."""
    size = pictures.shape[-1]
    if size > 32:
        pictures = F.interpolate(pictures, (32, 32), mode="area")
    elif size < 32:
        pictures = F.interpolate(pictures, (32, 32), mode="bilinear", align_corners=False)
    return pictures[:, :, 2:30, 2:30]


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.ModuleList([nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)])
        self.features = nn.Linear(64 * 9, 64)
        self.classes = nn.Linear(64, 10)

    def embed(self, x):
        for layer in self.conv:
            x = F.max_pool2d(F.relu(layer(x)), 2)
        return F.relu(self.features(x.flatten(1)))

    def forward(self, x):
        return self.classes(self.embed(x))


def train_judge(images, labels, steps=1400):
    torch.manual_seed(7)
    judge = Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3)
    x = at_size(images, 32)[:, :, 2:30, 2:30].contiguous()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        pick = torch.randint(len(x), (128,))
        loss = F.cross_entropy(judge(x[pick]), labels[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return judge.eval()


@torch.no_grad()
def embed(judge, pictures):
    parts = [judge.embed(part) for part in as_mnist(pictures).split(500)]
    return torch.cat(parts)


def frechet(a, b):
    """Between Gaussians fitted to two sets of features."""
    a, b = a.double().numpy(), b.double().numpy()
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of sqrt(ca cb) is the sum of the square roots of its eigenvalues.
    roots = np.sqrt(np.clip(np.linalg.eigvals(ca @ cb).real, 0, None)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * roots)
