"""Indices of measured responses: with the noise taken off, as measured, and how much it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from variscope.estimators.indices import unit_indices
from variscope.estimators.moments import summed_over
from variscope.estimators.noise import noise_factors, noise_share, without_noise
from variscope.indices.layer import layer_dataset
from variscope.responses.measured.sums import Measured
from variscope.vocabulary import FINE

# What `noise` among the attributes says: taken off the indices, or still in them.
TAKEN_OFF, HELD = "taken off", "held"


def measured_dataset(
    measured: Measured,
    variables: Sequence[str],
    confidence_level: float,
    attributes: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> xr.Dataset:
    """Estimate everything that is reported of a region.

    Args:
        measured: its sums.
        variables, confidence_level, attributes, groups: as of `layer_dataset`.

    Returns:
        What `layer_dataset` gives, of the responses without their noise where stimuli were repeated
        (attribute ``noise``: "taken off"); ``ST_raw``, ``ST_layer_raw`` and so on are then the
        indices as measured. Without repeats the noise is in V, ST and the Shapley effects
        (``noise``: "held"), and their long names say so. Also ``noise_share``, s2 / V per unit
        and of the layer with bounds, ``noise_variance``, ``drift`` and ``drift_share``. A unit that
        varies no more than its noise is *constant*, and aggregates hold it all the same: leaving
        out those whose noise was overrated would favour the others.
    """
    raw, noise = measured.moments, measured.noise
    fine = unit_indices(raw, confidence_level).status == FINE

    def dataset(moments: Any) -> xr.Dataset:
        return layer_dataset(
            [moments], variables, ("neuron",), confidence_level, attributes, groups, among=fine
        )

    as_measured = dataset(raw)
    estimates = [name for name in as_measured if f"{name}_low" in as_measured]
    data = as_measured
    if noise.known:
        data = dataset(without_noise(raw, noise))
        for name in estimates:
            if str(name).endswith("_by_replicates"):
                continue
            for bound in ("", "_low", "_high"):
                kept = as_measured[f"{name}{bound}"]
                kept.attrs["long_name"] += ", as measured"
                data[f"{name}_raw{bound}"] = kept
    else:
        factors = noise_factors(raw.layout)
        holding = [name for name in estimates if factors.get(str(name).split("_")[0], 0)]
        for name in [*holding, "variance"]:
            data[name].attrs["long_name"] += ", which holds the measurement noise"
    whole = summed_over(raw, fine, keep=0)
    of_layer = type(noise)(np.where(fine, noise.squares, 0).sum(axis=1), noise.degrees)
    for name, dims, moments, of in (
        ("noise_share", ("neuron",), raw, noise),
        ("noise_share_layer", (), whole, of_layer),
    ):
        for bound, values in zip(
            ("", "_low", "_high"), noise_share(moments, of, confidence_level), strict=True
        ):
            data[name + bound] = _variable(dims, values, "share of the variance that is noise", "1")
    data["noise_variance"] = _variable(
        ("neuron",), noise.variance, "variance of responses to one stimulus", "output^2"
    )
    data["drift"] = _variable(
        ("tenth", "neuron"),
        measured.drift,
        "mean response in each tenth of the session, less the mean, over the standard deviation",
        "1",
    )
    data["drift_share"] = _variable(
        ("neuron",), measured.drift_share, "share of the variance between tenths", "1"
    )
    data.attrs |= {
        "noise": TAKEN_OFF if noise.known else HELD,
        "repeats": int(noise.degrees.sum()),
        "blocks_dropped": measured.dropped,
    }
    return data


def _variable(dims: Sequence[str], values: Any, long_name: str, units: str) -> xr.Variable:
    return xr.Variable(dims, values, {"long_name": long_name, "units": units})
