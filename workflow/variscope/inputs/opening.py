"""Open what a configuration names: its images, its models and its spaces, the same in every job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from variscope.errors import UserError
from variscope.inputs.images import ImageTable, Progress, open_images
from variscope.inputs.models import load_weights, open_model, preprocessing
from variscope.space import augmentations
from variscope.space.augmentations import Augmentation
from variscope.space.images import PARTS, ImageIndex
from variscope.space.space import Space

DEFAULT_AUXILIARY = ("order", "class", "image")
# Of ImageNet, which most published networks were trained on.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def dataset_settings(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the data set's settings; sizes left out are what the models' weights ask for.

    A data set without parts is split only where a model is trained here or part is a variable.

    Raises:
        UserError: a model's weights are not there, or they ask for different sizes.
    """
    dataset = dict(config["dataset"])
    sets = config["variable_sets"].values()
    trained = any(model["weights"] == "train" for model in config["models"].values())
    varied = any("part" in (one["auxiliary"] or ()) for one in sets)
    dataset["split"] = trained or varied
    asked = {}
    for name, model in config["models"].items():
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


@dataclass(frozen=True)
class Normalisation:
    """Of images in [0, 1], for each channel: (x - mean) / std; and who says so."""

    mean: list[float]
    std: list[float]
    source: str

    def __str__(self) -> str:
        mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (self.mean, self.std))
        return f"normalisation: mean [{mean}], std [{std}], {self.source}"


def normalisation(
    model: Mapping[str, Any], network: nn.Module, folder: Path, channels: int = 3
) -> Normalisation:
    """Return a model's mean and std: of the settings, of the weights, or of the network itself.

    A network that is trained here or not at all is given ImageNet's where nobody says otherwise.

    Raises:
        UserError: mean or std are not one number a channel; a state dict by its path, and nothing
            says what its images were; or one of mean and std is set, and nothing gives the other.
    """
    given = {key: list(model[key]) for key in ("mean", "std") if model[key] is not None}
    for name, values in given.items():
        _refuse_other_channels(name, values, channels, "")
    if len(given) == 2:
        return Normalisation(given["mean"], given["std"], "from the settings")
    found: dict[str, Any] | None
    wanted = preprocessing(model["factory"], model["weights"], folder)
    if wanted is not None and "mean" in wanted:
        found, source = wanted, f"from the weights {model['weights']}"
    else:
        found, source = carried_normalisation(network), "from the model's pretrained_cfg"
    if found is None:
        if given:
            missing = "std" if "mean" in given else "mean"
            raise UserError(
                f"{missing}: left out, and neither the weights nor the model say it; "
                f"give it beside {next(iter(given))}"
            )
        if model["weights"] not in ("train", "none"):
            raise UserError(
                f"mean, std: left out, and {model['weights']} does not say how the images of its "
                "network were normalised; add those of its training, most often "
                f"{_pair(per_channel(MEAN, channels), per_channel(STD, channels))} (ImageNet's) or "
                f"{_pair([0.5] * channels, [0.5] * channels)} (images in [-1, 1])"
            )
        trained = model["weights"] == "train"
        found = {"mean": per_channel(MEAN, channels), "std": per_channel(STD, channels)}
        source = "ImageNet's, the default of a network " + (
            "that is trained here" if trained else "whose weights are none"
        )
    elif given:
        source = f"{next(iter(given))} from the settings, the other {source}"
    for name in ("mean", "std"):
        _refuse_other_channels(name, found[name], channels, ", those of the weights")
    both = {**{key: [float(v) for v in found[key]] for key in ("mean", "std")}, **given}
    return Normalisation(both["mean"], both["std"], source)


def carried_normalisation(network: nn.Module) -> dict[str, Any] | None:
    """Return mean and std that a network carries as timm's do, in `pretrained_cfg`; else None."""
    config = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None)
    if not isinstance(config, Mapping):  # of some versions of timm a dataclass
        config = getattr(config, "__dict__", {})
    found = {key: config.get(key) for key in ("mean", "std")}
    for values in found.values():
        if not isinstance(values, list | tuple) or not all(
            isinstance(v, int | float) for v in values
        ):
            return None
    return found


def _refuse_other_channels(name: str, values: Sequence[float], channels: int, whose: str) -> None:
    if len(values) != channels:
        raise UserError(
            f"{name}: found {len(values)} numbers{whose}; allowed: {channels}, one for each of "
            "dataset.channels"
        )


def _pair(mean: Sequence[float], std: Sequence[float]) -> str:
    """Write mean and std as they stand in a configuration."""
    return f"mean: {list(mean)}, std: {list(std)}"


def open_table(
    dataset: Mapping[str, Any],
    seed: int,
    folder: Path,
    skipped: Iterable[tuple[str, str]] | None = None,
    on_progress: Progress | None = None,
) -> ImageTable:
    """Open the images of a study; with ``skipped``, as an earlier look found them."""
    return open_images(dataset, seed=seed, folder=folder, skipped=skipped, on_progress=on_progress)


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
        model: its part of the configuration.
        classes: of the data set, for a model that is trained here.
        folder: what relative paths start at.
        seed: of the initial weights.
        trained: the state dict of a model with ``weights: train``; without it the initial weights.
        image_shape: (C, H, W) of one image, for lazy layers.
    """
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


def make_space(
    variable_set: Mapping[str, Any],
    images: ImageTable,
    augmentation_files: Iterable[str] = (),
    folder: Path = Path("."),
) -> Space:
    """Make the space of a configured variable set.

    Raises:
        UserError: an unknown augmentation, wrong bounds, or images that do not suit the variables.

    The auxiliary variables may be None: the usual ones, without class where it does not vary. Of
    images without parts all are studied.
    """
    for file in augmentation_files:
        augmentations.load_file(folder / file)
    return Space(
        augmentations=tuple(map(entry_augmentation, variable_set["variables"])),
        auxiliary=auxiliary_of(variable_set["auxiliary"], images),
        index=ImageIndex.of(images.label, images.part),
        size=images.size,
        channels=images.channels,
        apply=variable_set["apply"],
        apply_probability=variable_set["apply_probability"],
        part=PARTS[images.part[0]] if images.parts == "none" else variable_set["part"],
    )


def auxiliary_of(given: Iterable[str] | None, images: ImageTable) -> tuple[str, ...]:
    """Return which of order, class, image, part are variables; None stands for the usual ones.

    Raises:
        UserError: class is named, and the images have one class or none.
    """
    varies = len(images.classes) > 1
    if given is None:
        return tuple(name for name in DEFAULT_AUXILIARY if name != "class" or varies)
    named = tuple(given)
    if "class" in named and not varies:
        why = f"are of one class, {images.classes[0]!r}" if images.labelled else "have no classes"
        rest = ", ".join(name for name in named if name != "class")
        raise UserError(
            f"auxiliary: class is named, but the images {why}; leave it out: auxiliary: [{rest}]"
        )
    return named


def per_channel(values: Iterable[float], channels: int) -> list[float]:
    """Return values of three channels for images of so many: one channel takes their mean."""
    three = list(values)
    return three if channels == 3 else [round(sum(three) / len(three), 6)]


def entry_augmentation(entry: str | Mapping[str, Any] | Augmentation) -> Augmentation:
    """Return the augmentation of a name, a ``{name, bounds}`` entry, or itself.

    Raises:
        UserError: unknown, or the bounds are wrong.
    """
    if isinstance(entry, Augmentation):
        return entry
    if isinstance(entry, str):
        return augmentations.get(entry)
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise UserError(f"variables: found {entry!r}; allowed: a name or {{name: ..., bounds}}")
    overrides = {key: value for key, value in entry.items() if key != "name"}
    return augmentations.get(entry["name"]).with_overrides(overrides)
