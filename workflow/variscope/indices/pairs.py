"""Pairs of variables: where each stands, and a layer's map of S2 over all of its channels."""

import numpy as np
import xarray as xr

from variscope.indices.reading import estimate, variables


def pair_places(dataset: xr.Dataset) -> list[tuple[int, int]]:
    """Return the places (i, j), i < j, of each pair's variables in the study's order.

    One entry a ``pair`` of the dataset, in its order; pairs are named "first:second", in either
    order. Empty where a study of one variable has no pairs.
    """
    if "pair" not in dataset:
        return []
    place = {name: k for k, name in enumerate(variables(dataset))}
    places = []
    for pair in dataset["pair"].values:
        i, j = sorted(place[name] for name in str(pair).split(":"))
        places.append((i, j))
    return places


def pair_map_over_channels(dataset: xr.Dataset) -> xr.DataArray:
    """Return the variance-weighted mean (pair, y, x) of S2 over the channels.

    At every pixel, with S2_c and V_c of the unit of channel c,

        sum_c S2_c V_c / sum_c V_c

    over the channels where S2 is defined: the share that the two variables have, beyond each
    alone, of the summed variance of these units (Gamboa et al. 2014). NaN where no channel has it:
    every unit of the pixel is constant or not finite, or the design does not give the pair. It
    comes without an interval, as units of one pixel are dependent and the replicates are summed
    already.

    Raises:
        ValueError: the layer holds no S2.
    """
    value = estimate(dataset, "S2").value
    variance = dataset["variance"].where(value.notnull())
    numerator = (value * variance).sum("channel", min_count=1)
    mean = numerator / variance.sum("channel", min_count=1)
    return mean.transpose("pair", "y", "x")


def separated_pairs(dataset: xr.Dataset) -> np.ndarray:
    """Say for each pair (pair,) whether the interval of the layer's S2 leaves out 0."""
    _, low, high = estimate(dataset, "S2_layer")
    return np.asarray((low > 0) | (high < 0))
