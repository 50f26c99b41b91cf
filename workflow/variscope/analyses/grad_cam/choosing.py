"""Which layer's maps are weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.errors import UserError


def candidates(settings: Mapping[str, Any], model: str, layers: Sequence[Any]) -> list[Any]:
    """Return the layers of a model that can be looked at: one where the settings name it.

    Args:
        settings: of the analysis.
        model: its name.
        layers: that are studied, `variscope.inputs.axes.Layer`, in the order of the network.

    Raises:
        UserError: the layer is not studied, or its units do not lie in the plane.
    """
    before = [layer for layer in layers[:-1] if layer.in_plane]
    given = settings["layers"].get(model)
    if given is None:
        return before
    found = [layer for layer in before if layer.name == given]
    if not found:
        known = ", ".join(layer.name for layer in before) or "none, no layer of maps is studied"
        raise UserError(
            f"analyses.grad_cam.layers.{model}: found {given!r}; allowed: studied layers of maps "
            f"before the last one ({known})"
        )
    return found
