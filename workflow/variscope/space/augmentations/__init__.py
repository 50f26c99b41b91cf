"""Augmentations: operations on batches of images with one vector of parameters per image.

Twelve come with the package: erasing, sharpness, rolling, grayscale and gaussian_blur (the
published set "spatial"); brightness, contrast, saturation, hue, hflip, rotation and
elliptic_local_blur (the set "color"). One of your own is one file, loaded with
`load_file("posterize.py")` or named in the configuration:

    import torch
    from variscope.space.augmentations import Parameter, augmentation

    @augmentation(
        "posterize",
        parameters=[Parameter(name="levels", low=2, high=8, minimum=2, integer=True)],
        description="Few levels per channel.",
    )
    def posterize(images: torch.Tensor, parameters: torch.Tensor, *, offset: float = 0.5):
        levels = parameters[:, :, None, None].round()          # (n, 1, 1, 1): one value per image
        return (images * (levels - 1) + offset).floor() / (levels - 1)

The images are `(n, 3, H, W)` in [0, 1], the parameters `(n, k)` in the order of `parameters`; the
keyword-only defaults are the options. A study overrides both by name: `{name: posterize,
levels: [3, 5], offset: 0.25}`. The function must be pure and treat each image as if it were alone:
no random draws, no means over the batch, nothing written into `images`. Clamping to [0, 1], empty
batches and the checks of shapes are done for it.
"""

# Importing the modules is what registers the augmentations that come with the package.
from variscope.space.augmentations import blur, color, geometry, occlusion
from variscope.space.augmentations.definition import Augmentation, Parameter, finite_number
from variscope.space.augmentations.registry import augmentation, get, load_file, names

__all__ = [
    "Augmentation",
    "Parameter",
    "augmentation",
    "blur",
    "color",
    "finite_number",
    "geometry",
    "get",
    "load_file",
    "names",
    "occlusion",
]
