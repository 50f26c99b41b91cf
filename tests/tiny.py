"""A small real network and a few real images, for studies that can be enumerated in full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

REPOSITORY = Path(__file__).parents[1]

NETWORK = """
from torch import nn


def network(num_classes=3):
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(96, num_classes)),
    )
"""
LAYERS = ("0", "1", "2")


def network(seed: int = 1) -> nn.Module:
    """The same network as in NETWORK, with seeded weights."""
    namespace: dict = {}
    exec(NETWORK, namespace)
    torch.manual_seed(seed)
    return namespace["network"]().eval()


def photographs(classes: int = 3, each: int = 4, size: int = 16) -> tuple[NDArray, NDArray]:
    """Crops of one photograph, ``(n, 3, size, size)`` uint8, and their labels."""
    from skimage import data

    picture = np.asarray(data.astronaut())
    rng = np.random.default_rng(0)
    crops = []
    for _ in range(classes * each):
        row, column = rng.integers(0, 512 - 128, 2)
        crops.append(picture[row : row + 128 : 128 // size, column : column + 128 : 128 // size])
    images = np.stack(crops).transpose(0, 3, 1, 2)[:, :, :size, :size]
    return np.ascontiguousarray(images), np.repeat(np.arange(classes), each)


def run_workflow(folder: Path, config: dict, *arguments: str) -> None:
    """Run the whole workflow on a configuration, in a folder of its own."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    command += ["--cores", "2", "--scheduler", "greedy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
