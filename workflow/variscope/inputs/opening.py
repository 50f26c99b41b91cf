"""Open the models that a configuration names, and settle what it leaves open of the images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from variscope.errors import UserError
from variscope.inputs.models import build, load_weights, open_model, preprocessing
from variscope.inputs.untrained import untrained


def dataset_settings(
    config: Mapping[str, Any], folder: Path, selects: bool = False
) -> dict[str, Any]:
    """Return the data set's settings; sizes left out are what the models' weights ask for.

    A data set without parts is split only where a model is trained here, part is a variable, or an
    analysis selects units on one part and is tested on the other.

    Args:
        config: completed.
        folder: what relative paths start at.
        selects: whether such an analysis is on.

    Raises:
        UserError: a model's weights are not there, or they ask for different sizes.
    """
    dataset = dict(config["dataset"])
    sets = config["variable_sets"].values()
    trained = any(model["weights"] == "train" for model in config["models"].values())
    varied = any("part" in (one["auxiliary"] or ()) for one in sets)
    dataset["split"] = trained or varied or selects
    asked = {}
    for name, model in config["models"].items():
        if model["responses"] is not None:
            continue
        try:
            wanted = preprocessing(model["factory"], model["weights"], folder)
        except UserError as error:
            raise UserError(f"models.{name}: {error}") from error
        if wanted is not None:
            asked[name] = (wanted["image_size"], wanted["resize"])
    if dataset["image_size"] is None and asked:
        if len(set(asked.values())) > 1:
            found = ", ".join(f"{name} {size[0]} px" for name, size in asked.items())
            raise UserError(
                f"dataset.image_size: left out, and the models' weights disagree ({found}); "
                "give one size for all models"
            )
        size, resize = next(iter(asked.values()))
        dataset["image_size"] = size
        if dataset["resize"] is None:
            dataset["resize"] = resize
    return dataset


def open_network(
    model: Mapping[str, Any],
    classes: int,
    folder: Path,
    seed: int,
    trained: Path | None = None,
    *,
    image_shape: tuple[int, int, int],
) -> nn.Module:
    """Build a configured model with its weights, in eval mode.

    Args:
        model: its part of the configuration; with a true entry ``untrained`` it is its untrained
            twin (`variscope.inputs.untrained`).
        classes: of the data set, for a model that is trained here.
        folder: what relative paths start at.
        seed: of the initial weights.
        trained: the state dict of a model with ``weights: train``; without it the initial weights.
        image_shape: (C, H, W) of one image, for lazy layers.
    """
    if model.get("untrained"):
        return untrained(
            build(
                model["factory"],
                arguments=model["arguments"],
                classes=classes if model["weights"] == "train" else None,
                channels=image_shape[0],
                folder=folder,
                seed=seed,
                image_shape=image_shape,
            ),
            seed,
            draw_anew=model["weights"] in ("none", "train"),
        )
    network = open_model(
        model["factory"],
        model["weights"],
        arguments=model["arguments"],
        classes=classes,
        channels=image_shape[0],
        folder=folder,
        seed=seed,
        image_shape=image_shape,
    )
    if trained is not None:
        load_weights(network, str(trained.resolve()), model["factory"], folder)
    return network
