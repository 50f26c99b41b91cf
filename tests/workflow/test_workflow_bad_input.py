"""Bad settings end before the first job: one message names the key and says what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tiny_study import CONFIG, changed, refusal

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "an experiment that leaves results": (
        {"experiment": "../elsewhere"},
        r"experiment: found '\.\./elsewhere'; allowed: letters, digits",
    ),
    "an experiment with a slash": ({"experiment": "a/b"}, r"experiment: found 'a/b'; allowed"),
    "an experiment of dots": ({"experiment": ".."}, r"experiment: found '\.\.'; allowed"),
    "an experiment that ends a line": ({"experiment": "tiny\n"}, r"experiment: found 'tiny\\n'"),
    "an empty experiment": ({"experiment": ""}, r"experiment: found ''; allowed"),
    "no experiment": ({"experiment": None}, r"experiment: this key is missing\. Name of"),
    "no models": ({"models": {}}, r"models: found \{\}; allowed: a mapping with at least 1 entry"),
    "a model with a slash": (
        {"models": {"a/b": {"factory": "net.py:tiny"}}},
        r"models: found the name 'a/b'; allowed: letters",
    ),
    "a model of dots": (
        {"models": {"..": {"factory": "net.py:tiny"}}},
        r"models: found the name '\.\.'; allowed",
    ),
    "a model whose name is a number": (
        {"models": {5: {"factory": "net.py:tiny"}}},
        r"models: found the name 5; allowed",
    ),
    "a set with a slash": (
        {"variable_sets": {"a/b": {"variables": ["hflip"]}}},
        r"variable_sets: found the name 'a/b'; allowed",
    ),
    "an unknown key": (
        {"confidence": 0.9},
        r"confidence: unknown key \(did you mean confidence_level\?\); allowed: experiment, seed",
    ),
    "an unknown key within": (
        {"designs.cycle.block": 8},
        r"designs\.cycle\.block: unknown key \(did you mean blocks\?\); allowed: blocks",
    ),
    "negative blocks": ({"designs.cycle.blocks": -8}, r"designs\.cycle\.blocks: found -8; allowed"),
    "huge blocks": (
        {"designs.cycle.blocks": 10**12},
        r"designs\.cycle\.blocks: found 1000000000000; allowed: .* at most 16777216",
    ),
    "half a block": ({"designs.cycle.blocks": 8.5}, r"designs\.cycle\.blocks: found 8\.5; allowed"),
    "blocks as a text": (
        {"designs.cycle.blocks": "many"},
        r"designs\.cycle\.blocks: found 'many'; allowed: an integer",
    ),
    "fewer blocks than replicates": (
        {"designs.cycle.blocks": 3},
        r"designs\.cycle\.blocks: found 3; allowed: at least designs\.replicates \(4\)",
    ),
    "one replicate": ({"designs.replicates": 1}, r"designs\.replicates: found 1; .*at least 2"),
    "a confidence level of one": (
        {"confidence_level": 1},
        r"confidence_level: found 1; allowed: a number above 0 and below 1",
    ),
    "a confidence level in percent": ({"confidence_level": 95}, r"confidence_level: found 95; "),
    "a negative confidence level": ({"confidence_level": -0.1}, r"confidence_level: found -0\.1"),
    "a confidence level that is not a number": (
        {"confidence_level": float("nan")},
        r"confidence_level: found nan; allowed: a number above 0 and below 1",
    ),
    "an unknown storage": (
        {"storage": "disk"},
        r"storage: found 'disk'; allowed: activations, moments",
    ),
    "an unknown kind of data set": (
        {"dataset.kind": "image_folders"},
        r"dataset\.kind: found 'image_folders' \(did you mean image_folder\?\); allowed: photogr",
    ),
    "no pixels": ({"dataset.image_size": 0}, r"dataset\.image_size: found 0; allowed: .*least 1"),
    "negative pixels": ({"dataset.image_size": -64}, r"dataset\.image_size: found -64; allowed"),
    "a seed below zero": ({"seed": -1}, r"seed: found -1; allowed: an integer of at least 0"),
    "a seed that is not a number": ({"seed": "now"}, r"seed: found 'now'; allowed: an integer"),
    "a list where a mapping is needed": ({"dataset": ["x"]}, r"dataset: found \['x'\]; allowed"),
    "nothing where a mapping is needed": (
        {"variable_sets.small": "hflip"},
        r"variable_sets\.small: found 'hflip'; allowed: a mapping",
    ),
    "no memory": ({"resources.memory_gb": 0}, r"resources\.memory_gb: found 0; allowed: .*above 0"),
    "an unknown device": ({"evaluation.device": "tpu"}, r"evaluation\.device: found 'tpu'; allo"),
    "a batch of nothing": (
        {"evaluation.batch_size": 0},
        r"evaluation\.batch_size: found 0; allowed: auto, or an integer of at least 1",
    ),
    "two values of mean": (
        {"models.net.mean": [0.5]},
        r"models\.net: mean: found 1 numbers; allowed: 3, one for each of dataset\.channels",
    ),
    "a std of zero": (
        {"models.net.std": [0.5, 0.5, 0]},
        r"models\.net\.std\.2: found 0; allowed: a number above 0",
    ),
    "an unknown auxiliary variable": (
        {"variable_sets.small.auxiliary": ["order", "label"]},
        r"variable_sets\.small\.auxiliary\.1: found 'label'; allowed: order, class, image, part",
    ),
    "an unknown way to apply": (
        {"variable_sets.small.apply": "sometimes"},
        r"variable_sets\.small\.apply: found 'sometimes'; allowed: always, switched",
    ),
    "an entry without a name": (
        {"variable_sets.small.variables": [{"factor": [0.5, 1]}]},
        r"variable_sets\.small\.variables\.0: found .*; allowed: the name of an augm",
    ),
    "a factory without a callable": (
        {"models.net.factory": "net.py"},
        r"models\.net\.factory: found 'net\.py'; allowed: .*path/to/file\.py:callable",
    ),
}


@pytest.mark.parametrize("changes, message", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_outside_its_range_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    assert re.match(message, refusal(changed(CONFIG, changes), folder))
