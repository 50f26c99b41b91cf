"""The small network of the embedded study."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def _stage(channels_in: int, channels: int, kernel: int) -> nn.Sequential:
    """Half the side, `channels` maps; strides instead of pooling cost a quarter of the time."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def convnet(num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """Make a small convolutional network whose named layers are each called once.

    At 64 px the outputs are: stage1 (12, 32, 32), stage2 (24, 16, 16), stage3 (48, 8, 8),
    head (64,), logits (num_classes,). Images have `in_channels` channels;
    any of at least 16 px per side is taken.
    """
    return nn.Sequential(
        OrderedDict(
            stage1=_stage(in_channels, 12, 5),
            stage2=_stage(12, 24, 3),
            stage3=_stage(24, 48, 3),
            head=nn.Sequential(
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(48 * 2 * 2, 64),
                nn.ReLU(inplace=True),
            ),
            logits=nn.Sequential(nn.Dropout(0.2), nn.Linear(64, num_classes)),
        )
    )
