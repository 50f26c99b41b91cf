"""Maps of a layer: of channels, of patches; which are shown, and the map over all of them."""

import numpy as np
import xarray as xr

from variscope.indices.reading import estimate, unit_dims

UNIT_DIMS = ("channel", "z", "y", "x", "token", "feature", "neuron")


def as_maps(dataset: xr.Dataset) -> xr.Dataset:
    """Return a layer of maps as it is, and one of tokens as the maps that its patches make.

    The features take the place of the channels, and class and register tokens are left out: values
    ``(..., token, feature)`` become ``(..., channel, y, x)``, row by row. Aggregates of features
    are those of channels, and counts of units those of the patches.
    """
    if unit_dims(dataset) != ("token", "feature"):
        return dataset
    rows, columns = (int(size) for size in dataset.attrs["patch_grid"])
    patches = dataset.isel(token=slice(dataset.sizes["token"] - rows * columns, None))
    arrays: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name, values in patches.data_vars.items():
        if {"token", "feature"} <= set(values.dims):
            moved = values.transpose(..., "feature", "token")
            shape = (*moved.shape[:-1], rows, columns)
            dims = (*map(str, moved.dims[:-2]), "channel", "y", "x")
            arrays[str(name)] = (dims, moved.values.reshape(shape))
        elif "feature" in values.dims:
            dims = tuple("channel" if dim == "feature" else str(dim) for dim in values.dims)
            arrays[str(name).replace("_feature", "_channel")] = (dims, values.values)
        elif "token" not in values.dims:
            arrays[str(name)] = (tuple(map(str, values.dims)), values.values)
    kept = {key: dataset[key].values for key in ("variable", "pair", "group") if key in dataset}
    attributes = {key: value for key, value in dataset.attrs.items() if key != "unit_counts"}
    return xr.Dataset(arrays, coords=kept, attrs=attributes)


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

    Example:
        >>> variance = xr.DataArray(np.array([1.0, 5.0, 0.0, 3.0]).reshape(4, 1, 1),
        ...                         dims=("channel", "y", "x"))
        >>> leading_channels(xr.Dataset({"variance": variance, "status": 0 * variance}), 3)
        [1, 3, 0]
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


def by_channel(values: xr.DataArray) -> np.ndarray:
    """Arrange values ``(..., *unit)`` of a layer as ``(..., pixel, channel)``.

    The pixels of a channel stand row by row. Of tokens, features are channels and tokens pixels
    (`as_maps` before it leaves the patches alone); of vectors the neurons are channels at one
    pixel, and so are all units of a layer whose axes are not known.
    """
    units = [str(dim) for dim in values.dims if dim in UNIT_DIMS or str(dim).startswith("unit")]
    channel = next((dim for dim in ("channel", "feature") if dim in units), None)
    if channel is None:
        leading = values.transpose(..., *units).values
        leading = leading.reshape(*leading.shape[: leading.ndim - len(units)], 1, -1)
        return np.asarray(leading, dtype=float)
    arranged = values.transpose(..., *(dim for dim in units if dim != channel), channel).values
    shape = arranged.shape[: arranged.ndim - len(units)]
    return np.asarray(arranged.reshape(*shape, -1, values.sizes[channel]), dtype=float)
