"""EfficientNet-Lite0, for the ImageNet weights that a package of the registry carries.

The network is that of Tan and Le (2019, arXiv 1905.11946) without squeeze-and-excitation and with
ReLU6 in place of swish. Parameters have the names of the published state dict. Every activation is
a module of its own and writes into nothing that it receives, so that a hook sees each output as it
is; modules without parameters name the points at which layers are usually looked at: `stem`,
`stage1` to `stage7`, `head`, `features` and `scores`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

# Of each stage: expansion, kernel, stride, channels in, channels out, blocks.
STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
STEM, HEAD = 32, 1280
DROPOUT = 0.2


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, for images of any size.

    The output has ceil(side / stride) pixels a side. What is missing is padded by zeros on both
    sides, an odd pixel at the right and below.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Convolve ``(n, C, H, W)``."""
        height, width = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, stride, kernel in zip(
                images.shape[-2:], self.stride, self.kernel_size, strict=True
            )
        )
        padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        return super().forward(functional.pad(images, padding))


def _convolution(
    channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> SameConv2d:
    return SameConv2d(channels_in, channels, kernel, stride=stride, groups=groups, bias=False)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Sequential):
    """An inverted residual: widen, filter each channel, narrow, and add the input where it fits."""

    def __init__(
        self, expansion: int, kernel: int, stride: int, channels_in: int, channels: int
    ) -> None:
        wide = channels_in * expansion
        steps: list[tuple[str, nn.Module]] = []
        if expansion > 1:
            steps += [
                ("_expand_conv", _convolution(channels_in, wide, 1)),
                ("_bn0", _normalisation(wide)),
                ("expanded", nn.ReLU6()),
            ]
        steps += [
            ("_depthwise_conv", _convolution(wide, wide, kernel, stride, groups=wide)),
            ("_bn1", _normalisation(wide)),
            ("filtered", nn.ReLU6()),
            ("_project_conv", _convolution(wide, channels, 1)),
            ("_bn2", _normalisation(channels)),
        ]
        super().__init__(OrderedDict(steps))
        self.adds = stride == 1 and channels_in == channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(n, channels, ceil(H / stride), ceil(W / stride))``."""
        found = super().forward(images)
        return found + images if self.adds else found


class EfficientNetLite(nn.Module):
    """The network of `STAGES`; takes images ``(n, 3, H, W)`` of any size, gives ``(n, class)``."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self._conv_stem = _convolution(3, STEM, 3, stride=2)
        self._bn0 = _normalisation(STEM)
        self.stem = nn.ReLU6()
        self._blocks = nn.ModuleList()
        self._ends: list[int] = []
        for number, (expansion, kernel, stride, channels_in, channels, count) in enumerate(STAGES):
            self._blocks.append(Block(expansion, kernel, stride, channels_in, channels))
            for _ in range(count - 1):
                self._blocks.append(Block(expansion, kernel, 1, channels, channels))
            self._ends.append(len(self._blocks))
            self.add_module(f"stage{number + 1}", nn.Identity())
        self._conv_head = _convolution(STAGES[-1][4], HEAD, 1)
        self._bn1 = _normalisation(HEAD)
        self.head = nn.ReLU6()
        self._pool = nn.AdaptiveAvgPool2d(1)
        self.features = nn.Flatten()
        self._dropout = nn.Dropout(DROPOUT)
        self._fc = nn.Linear(HEAD, num_classes)
        self.scores = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of the classes, ``(n, class)``, before softmax."""
        found = self.stem(self._bn0(self._conv_stem(images)))
        start = 0
        for number, end in enumerate(self._ends):
            for block in self._blocks[start:end]:
                found = block(found)
            found = getattr(self, f"stage{number + 1}")(found)
            start = end
        found = self.head(self._bn1(self._conv_head(found)))
        return self.scores(self._fc(self._dropout(self.features(self._pool(found)))))


def efficientnet_lite0(num_classes: int = 1000) -> EfficientNetLite:
    """EfficientNet-Lite0.

    At 224 px the outputs are: stem (32, 112, 112), stage1 (16, 112, 112), stage2 (24, 56, 56),
    stage3 (40, 28, 28), stage4 (80, 14, 14), stage5 (112, 14, 14), stage6 (192, 7, 7), stage7
    (320, 7, 7), head (1280, 7, 7), features (1280,), scores (num_classes,).
    """
    return EfficientNetLite(num_classes)
