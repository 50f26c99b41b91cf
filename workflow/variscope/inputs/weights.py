"""The weights of a network: a state dict's file, a torchvision weights name, train or none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from variscope.errors import UserError
from variscope.inputs.packaged import PACKAGED, PackagedWeights, packaged
from variscope.inputs.state_dicts import fitted, read_state_dict

# DenseNet's published files have keys of an older class, as torchvision's own loader knows.
_OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where weights come from.

    Attributes:
        kind: "train", "none", "file", "torchvision" or "package".
        path: the file, of kinds "file", "torchvision" (in torch.hub's folder) and "package".
        entry: the member of torchvision's weights enumeration.
        package: what a package carries.
        notes: what was done to the file's state dict so that it fits.
    """

    kind: str
    path: Path | None = None
    entry: Any = None
    package: PackagedWeights | None = None
    notes: tuple[str, ...] = ()

    @property
    def needs_download(self) -> bool:
        """Whether torchvision's file is not here yet."""
        return self.kind == "torchvision" and self.path is not None and not self.path.is_file()


def resolve_weights(weights: str, factory: str, folder: Path | str = ".") -> Weights:
    """Say what the setting `weights` means for this factory. Nothing is loaded or downloaded.

    Raises:
        UserError: a file is missing, or torchvision's model has no weights of that name.
    """
    if not isinstance(weights, str | Path) or not str(weights):
        raise UserError(
            f"weights: found {weights!r}; allowed are train, none, the path of a state dict, and "
            "the name of torchvision weights"
        )
    weights = str(weights)
    if weights in ("train", "none"):
        return Weights(kind=weights)
    carried = packaged(factory, weights)
    if carried is not None:
        return Weights(kind="package", path=carried.path(), package=carried)
    members = _members(factory)
    name = weights.rpartition(".")[2]
    qualified = {f"{type(entry).__name__}.{key}" for key, entry in members.items()}
    if weights in members or weights in qualified:
        entry = members[name]
        file = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]
        return Weights(kind="torchvision", path=file, entry=entry)
    path = Path(folder) / Path(weights).expanduser()
    if path.is_file():
        return Weights(kind="file", path=path)
    allowed = f"; torchvision weights of {factory!r} are {', '.join(members)}" if members else ""
    if not members and re.fullmatch(r"(\w+_Weights\.)?(DEFAULT|IMAGENET1K_\w+)", weights):
        allowed = "; names of torchvision weights are for factories 'torchvision:NAME'"
    if factory in PACKAGED:
        allowed = (
            f"; those of {factory!r} that a package carries are {', '.join(PACKAGED[factory])}"
        )
    found = "is a folder" if path.is_dir() else "does not exist"
    raise UserError(
        f"weights: found {weights!r}, and {path} {found}; allowed are train, none, the path of a "
        f"state dict, and the name of torchvision weights{allowed}"
    )


def load_weights(
    model: nn.Module, weights: str, factory: str, folder: Path | str = "."
) -> nn.Module:
    """Load weights into `model`, in place; it is returned in eval mode.

    A torchvision file that is already in torch.hub's folder needs no network. Weights "train" and
    "none" leave the model as it is.

    Raises:
        UserError: the file is missing, unreadable, no state dict, or does not fit the model; or
            a file can be neither found nor downloaded.
    """
    resolved = resolve_weights(weights, factory, folder)
    if resolved.needs_download:
        _download(resolved)
    check_weights(weights, factory, folder, model=model, load=True)
    model.eval()  # its result is not used: an overridden train() may give none
    return model


def check_weights(
    weights: str,
    factory: str,
    folder: Path | str = ".",
    *,
    model: nn.Module | None = None,
    load: bool = False,
) -> Weights:
    """Check all that can be checked without a download, and load it into `model` if asked to.

    The name or file exists, the file is a state dict, and it fits `model` where one is given. The
    result's notes say what was taken off its keys, and which of several state dicts it is.

    Raises:
        UserError: as `load_weights` does.
    """
    resolved = resolve_weights(weights, factory, folder)
    if resolved.kind in ("train", "none") or resolved.needs_download:
        return resolved
    path = _checked(resolved)
    state = read_state_dict(path)
    if model is None:
        return resolved
    if resolved.kind == "torchvision":
        keys = {key: _OLD_DENSENET.match(key) for key in state.tensors}
        renamed = {
            "".join(match.groups()) if (match := keys[key]) else key: value
            for key, value in state.tensors.items()
        }
        state = replace(state, tensors=renamed)
    state = fitted(state, model, path, factory)
    if load:
        if resolved.kind == "torchvision" and hasattr(model, "transform_input"):
            # GoogLeNet and Inception v3 were trained so.
            setattr(model, "transform_input", True)  # noqa: B010 (modules are typed as tensors)
        # What is allowed to be missing was checked.
        model.load_state_dict(dict(state.tensors), strict=False)
    return replace(resolved, notes=state.notes)


def _checked(resolved: Weights) -> Path:
    """Return the file of weights that lie here; one of a package must be the published one."""
    assert resolved.path is not None
    return resolved.path if resolved.package is None else resolved.package.checked()


def preprocessing(factory: str, weights: str, folder: Path | str = ".") -> dict[str, Any] | None:
    """Return what published weights expect: image_size and resize (pixels), mean and std (3 each).

    Torchvision's say it, and so do those that a package carries. None for others.
    """
    resolved = resolve_weights(weights, factory, folder)
    if resolved.package is not None:
        return resolved.package.preprocessing
    if resolved.kind != "torchvision":
        return None
    transforms = resolved.entry.transforms()
    try:
        return {
            "image_size": int(transforms.crop_size[0]),
            "resize": int(transforms.resize_size[0]),
            "mean": [float(value) for value in transforms.mean],
            "std": [float(value) for value in transforms.std],
        }
    except (AttributeError, TypeError):  # presets of segmentation and video have no centre crop
        return None


def categories(factory: str, weights: str, folder: Path | str = ".") -> tuple[str, ...] | None:
    """Name the classes that published weights were trained on; None where nobody says."""
    resolved = resolve_weights(weights, factory, folder)
    if resolved.package is not None:
        from torchvision.models._meta import _IMAGENET_CATEGORIES

        return tuple(_IMAGENET_CATEGORIES)
    if resolved.kind == "torchvision":
        return tuple(resolved.entry.meta.get("categories") or ()) or None
    return None


def _download(resolved: Weights) -> None:
    assert resolved.path is not None
    url = resolved.entry.url
    resolved.path.parent.mkdir(parents=True, exist_ok=True)
    # torchvision names a file by the first digits of its SHA-256.
    digest = re.search(r"-([a-f0-9]+)\.", resolved.path.name)
    try:
        torch.hub.download_url_to_file(
            url, str(resolved.path), digest.group(1) if digest else None, progress=False
        )
    except (OSError, RuntimeError) as error:  # no network, or a damaged download
        reason = " ".join(str(error).split())
        raise UserError(
            f"weights: {resolved.path.name} is not here and cannot be downloaded ({reason}); "
            f"fetch {url} elsewhere and put it into {resolved.path.parent}"
        ) from error


def _members(factory: str) -> dict[str, Any]:
    """Torchvision's weights of this factory by name, DEFAULT among them; empty for others."""
    module, _, name = factory.partition(":")
    if module != "torchvision":
        return {}
    from torchvision import models

    if name not in models.list_models():
        return {}
    return dict(models.get_model_weights(name).__members__)
