"""What a network answers where the data's classes are none of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from variscope.inputs.answers import answers_of
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import probe
from variscope.responses.network.agreement import TOGETHER, Answers, agreement, top_answers
from variscope.space import augmentations
from variscope.space.images import ImageIndex
from variscope.space.space import Space

IDENTITY: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class Brighter(nn.Module):
    """Four outputs: the highest is 0 for dark images, and 3 for bright ones."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.count = 0
        self.scores = nn.Identity()
        self.outputs = outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.count += len(images)
        mean = images.mean((1, 2, 3))[:, None]
        return self.scores(-((mean - torch.linspace(0, 1, self.outputs)) ** 2))


def table(levels=(0.05, 0.95)):
    """Two classes of three images, each of one gray level."""
    gray = np.repeat(np.array(levels, np.float32), 3)
    images = np.broadcast_to(gray[:, None, None, None], (6, 3, 16, 16)).copy()
    return table_from_arrays(images, np.repeat([0, 1], 3), class_names=["dark", "bright"])


def space(images, *entries, **settings) -> Space:
    return Space(
        augmentations=entries,
        auxiliary=("order", "class", "image"),
        index=ImageIndex.of(images.label, images.part),
        size=images.size,
        part="train",
        **settings,
    )


def test_the_answers_to_each_class_are_counted():
    images = table()
    answers = Answers(Brighter(), images, **IDENTITY)
    assert top_answers(answers, images, space(images, augmentations.get("hflip"))) == [
        {"class": "dark", "images": 3, "answers": [(0, 3)]},
        {"class": "bright", "images": 3, "answers": [(3, 3)]},
    ]


def test_agreement_is_the_share_of_altered_images_with_the_unaltered_one_s_answer():
    """Flips change no gray image; brightness b takes the level 0.95 to min(1, 0.95 b).

    The answer stays 3 where that is above 5 / 6, which b in [0, 2] is with probability
    1 - 5 / 6 / 0.95 / 2; the level 0.05 keeps its answer 0 up to 0.1.
    """
    images = table()
    brightness = augmentations.get("brightness").with_overrides({"factor": [0.0, 2.0]})
    both = space(images, augmentations.get("hflip"), brightness)
    draws = 4000
    rows = agreement(Answers(Brighter(), images, **IDENTITY), both, seed=3, draws=draws)
    assert [row["variable"] for row in rows] == ["hflip", "brightness", TOGETHER]
    assert {row["n"] for row in rows} == {draws}
    assert rows[0]["same"] == draws
    wanted = (1 + 1 - 5 / 6 / 0.95 / 2) / 2
    for row in rows[1:]:
        assert abs(row["same"] / draws - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / draws)
    assert rows == agreement(Answers(Brighter(), images, **IDENTITY), both, seed=3, draws=draws)


def test_alone_an_augmentation_is_always_applied():
    """Black boxes over all of the image: alone they always change the answer to bright images."""
    images = table((0.95, 0.95))
    black = augmentations.get("brightness").with_overrides({"factor": [0.0, 0.001]})
    rows = agreement(
        Answers(Brighter(), images, **IDENTITY),
        space(images, black, apply="switched", apply_probability=0.5),
        seed=1,
        draws=1000,
    )
    assert rows[0]["same"] == 0
    assert 400 < rows[1]["same"] < 600


def test_an_image_is_evaluated_once_for_its_own_answer():
    images = table()
    network = Brighter()
    answers = Answers(network, images, **IDENTITY)
    found = answers.unaltered(np.array([5, 0, 5, 5, 0]), space(images, augmentations.get("hflip")))
    assert found.tolist() == [3, 0, 3, 3, 0] and network.count == 2


@pytest.mark.parametrize(
    ("outputs", "known", "measured", "names"),
    [
        (2, None, "accuracy", ["dark", "bright"]),
        (4, None, "agreement", None),
        (4, ["a", "b", "c", "d"], "agreement", ["a", "b", "c", "d"]),
        (4, ["a", "b", "c"], "agreement", None),
        (1, None, "nothing", None),
    ],
)
def test_what_can_be_measured_follows_from_the_outputs(outputs, known, measured, names):
    network = Brighter(outputs).eval()
    (last,) = probe(network, ["scores"], (3, 16, 16))
    found = answers_of(network, last, torch.rand(2, 3, 16, 16), ["dark", "bright"], known)
    assert (found.measured, found.names) == (measured, names)
    assert found.scores == ("scores" if measured != "nothing" else None)


def test_names_are_given_to_no_layer_but_that_of_the_scores():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2), nn.ReLU(), nn.Linear(2, 2)).eval()
    (hidden,) = probe(network, ["1"], (3, 2, 2))
    found = answers_of(network, hidden, torch.rand(2, 3, 2, 2), ["dark", "bright"], None)
    assert found.measured == "accuracy" and found.scores is None
