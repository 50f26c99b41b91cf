"""Versions of everything that a number depends on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from variscope.version import __version__

_PACKAGES = ("numpy", "scipy", "numba", "zarr", "xarray", "torch", "torchvision", "snakemake")


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, the package and what it computes with."""
    found = {"python": platform.python_version(), "variscope": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
