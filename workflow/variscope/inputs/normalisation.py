"""How a model's images are normalised, and who says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from variscope.errors import UserError
from variscope.inputs.models import preprocessing

# Of ImageNet, which most published networks were trained on.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
        UserError: mean or std are not one number per channel; a state dict by its path, and nothing
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


def per_channel(values: Iterable[float], channels: int) -> list[float]:
    """Return values of three channels for images of this many: one channel takes their mean."""
    three = list(values)
    return three if channels == 3 else [round(sum(three) / len(three), 6)]


def _refuse_other_channels(name: str, values: Sequence[float], channels: int, whose: str) -> None:
    if len(values) != channels:
        raise UserError(
            f"{name}: found {len(values)} numbers{whose}; allowed: {channels}, one for each of "
            "dataset.channels"
        )


def _pair(mean: Sequence[float], std: Sequence[float]) -> str:
    """Write mean and std as they stand in a configuration."""
    return f"mean: {list(mean)}, std: {list(std)}"
