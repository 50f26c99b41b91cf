"""Which channels a picture shows, and a layer's map over all of its channels."""

import numpy as np
import xarray as xr

from variscope.analyses.reading import estimate


def channel_variance_share(dataset: xr.Dataset) -> xr.DataArray:
    """Return each channel's share (channel,) of the summed variance of a layer of maps.

    Units that are not finite are left out of the sum. NaN where the whole layer is constant.
    """
    variance = dataset["variance"].where(dataset["status"] != 2, 0.0)
    total = float(variance.sum())
    share = variance.sum(("y", "x"))
    return share / total if total > 0 else share * np.nan


def leading_channels(dataset: xr.Dataset, count: int) -> list[int]:
    """Return the `count` channels that carry most of the layer's variance, the largest first.

    Ties go to the lower channel number. Channels without variance come last.
    """
    share = channel_variance_share(dataset).fillna(0.0).values
    return [int(k) for k in np.argsort(-share, kind="stable")[:count]]


def map_over_channels(dataset: xr.Dataset, index: str) -> xr.DataArray:
    """Return the variance-weighted mean (variable, y, x) of an index over the channels.

    At every pixel, the ratio of the summed numerators to the summed variances (Gamboa et al.
    2014) over the channels where the index is defined; NaN where none is. It comes without an
    interval, as units of one pixel are dependent and the replicates are summed already.
    """
    value = estimate(dataset, index).value
    variance = dataset["variance"].where(value.notnull())
    numerator = (value * variance).sum("channel", min_count=1)
    mean = numerator / variance.sum("channel", min_count=1)
    return mean.transpose("variable", "y", "x")
