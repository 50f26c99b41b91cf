"""How many units each augmentation moves, and whether train and valid images agree on which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.contrast import ANALYSIS, BEYOND, LEVEL
from variscope.analyses.source import Source
from variscope.estimators.resampling import MIN_CLUSTERS, cluster_bootstrap, generator
from variscope.indices.maps import by_channel
from variscope.stores.results import read_dataset

Array = NDArray[np.float64]

_RESAMPLES = 1000  # of channels

# Columns that `_shares` fills.
_COUNTED = ("units", "beyond", "share", "low", "high", "raised", "twin", "difference",
            "difference_low", "difference_high")  # fmt: skip


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``layers`` and ``agreement``."""
    of_layers: list[dict[str, Any]] = []
    agreement: list[dict[str, Any]] = []
    for name, path in source.layer_datasets.items():
        data = read_dataset(path)
        if "rank_biserial" in data:
            of_layers += layer_rows(data, name, source.seed)
            agreement += agreement_rows(data, name, source.seed)
    return {
        "layers": pd.DataFrame(of_layers, columns=ANALYSIS.columns("layers")),
        "agreement": pd.DataFrame(agreement, columns=ANALYSIS.columns("agreement")),
    }


def layer_rows(data: xr.Dataset, layer: str, seed: int) -> list[dict[str, Any]]:
    """Count the units that each augmentation moves in a layer, by part."""
    rows = []
    for p, part in enumerate(data["part"].values.tolist()):
        of_part = data.isel(part=p)
        own = _shares(of_part, layer, seed, with_twin=data.attrs.get("twin_part") == part)
        few = data.attrs["clusters"][p] < MIN_CLUSTERS
        for v, variable in enumerate(data["variable"].values.tolist()):
            row: dict[str, Any] = {"part": part, "layer": layer, "variable": variable}
            row |= {key: own[key][v] for key in _COUNTED} | {"n": own["channels"]}
            for key, column in (("p_adjusted", "significant"), ("p_adjusted_bh", "significant_bh")):
                p_values = of_part[key].values[v]
                row[column] = pd.NA if few else int((p_values <= 1 - LEVEL).sum())
            values = of_part["rank_biserial"].values[v]
            row["mean"] = float(values[np.isfinite(values)].mean()) if own["units"][v] else np.nan
            row["shuffled"] = float(of_part["shuffled"].values[v])
            row |= {"images": data.attrs["images"][p], "clusters": data.attrs["clusters"][p]}
            row["inference"] = (
                f"units by {100 * LEVEL:g} % intervals over {row['clusters']} clusters of images, "
                f"their share by one over {own['channels']} {own['name']}"
            )
            rows.append(row)
    return rows


def agreement_rows(data: xr.Dataset, layer: str, seed: int) -> list[dict[str, Any]]:
    """Hold the units' effects in train against those in valid; none where a part is missing."""
    if data.sizes["part"] < 2:
        return []
    train, valid = (_by_channel(data["rank_biserial"].isel(part=p)) for p in range(2))
    low, high = ([_by_channel(data[key].isel(part=p)) for p in range(2)] for key in ("low", "high"))
    sides = [
        np.sign((lo > BEYOND) * 1.0 - (hi < -BEYOND)) for lo, hi in zip(low, high, strict=True)
    ]
    rows = []
    names = data["variable"].values.tolist()
    for v, variable in enumerate(names):
        value, bounds = _correlation(train[v], valid[v], layer, variable, seed)
        others = [_correlation(train[v], valid[w])[0] for w in range(len(names)) if w != v]
        defined = [other for other in others if np.isfinite(other)]
        moved = (sides[0][v] != 0) & np.isfinite(valid[v])
        rows.append(
            {
                "layer": layer,
                "variable": variable,
                "units": int((np.isfinite(train[v]) & np.isfinite(valid[v])).sum()),
                "correlation": value,
                "low": bounds[0],
                "high": bounds[1],
                "others": float(np.mean(defined)) if defined else np.nan,
                "same_side": float((sides[1][v] == sides[0][v])[moved].mean())
                if moved.any()
                else np.nan,
                "n": train.shape[1],
                "inference": f"{100 * LEVEL:g} % interval over {train.shape[1]} {_noun(data)}",
            }
        )
    return rows


def _shares(data: xr.Dataset, layer: str, seed: int, *, with_twin: bool) -> dict[str, Any]:
    """Count the units of a part that each augmentation moves, ``(variable,)`` by column.

    Bounds are over channels. Those of the trained network and of its twin have nothing in common
    but the architecture, so that both are resampled, independently.
    """
    tested, above, below = _counts(data, "")
    beyond = above + below
    channels = tested.shape[1]
    twin_tested, twin_above, twin_below = (
        _counts(data, "twin_") if with_twin else np.full((3, *tested.shape), np.nan)
    )
    twin_beyond = twin_above + twin_below

    def shares(weights: Array) -> Array:
        """Return the share, and the share less the twin's, ``(resample, variable, 2)``."""
        other = np.roll(weights, 1, axis=0)  # those of the next resample are independent
        share = _ratio(weights @ beyond.T, weights @ tested.T)
        twin = _ratio(other @ twin_beyond.T, other @ twin_tested.T)
        return np.stack([share, share - twin], axis=2)

    low, high = cluster_bootstrap(
        shares,
        np.arange(channels),
        rng=generator(seed, "contrast channels", layer),
        resamples=_RESAMPLES,
        level=LEVEL,
    )
    share, difference = shares(np.ones((1, channels)))[0].T
    units = tested.sum(axis=1)
    return {
        "units": units.astype(int),
        "beyond": beyond.sum(axis=1).astype(int),
        "share": share,
        "low": low[:, 0],
        "high": high[:, 0],
        "raised": _ratio(above.sum(axis=1), units),
        "twin": share - difference,
        "difference": difference,
        "difference_low": low[:, 1],
        "difference_high": high[:, 1],
        "channels": channels,
        "name": _noun(data),
    }


def _by_channel(data: xr.DataArray) -> Array:
    """Lay units out by what is resampled, ``(variable, channel, unit of it)``."""
    return by_channel(data).swapaxes(1, 2)


def _counts(data: xr.Dataset, prefix: str) -> Array:
    """Count tested units, and those above and below the limit, ``(3, variable, channel)``."""
    low, high = (_by_channel(data[f"{prefix}{key}"]) for key in ("low", "high"))
    return np.stack(
        [
            (np.isfinite(low) & np.isfinite(high)).sum(axis=2),
            (low > BEYOND).sum(axis=2),
            (high < -BEYOND).sum(axis=2),
        ]
    ).astype(float)


def _correlation(
    first: Array, second: Array, layer: str = "", variable: str = "", seed: int | None = None
) -> tuple[float, tuple[float, float]]:
    """Correlate two effects of a layer's units over units, ``(channel, unit of it)`` each.

    Returns:
        Pearson's correlation over the units that both have, and with a seed its bounds by
        resampling channels.
    """
    both = np.isfinite(first) & np.isfinite(second)
    x, y = (np.where(both, values, 0) for values in (first, second))
    terms = np.stack([part.sum(axis=1) for part in (both * 1.0, x, y, x * x, y * y, x * y)], axis=1)

    def correlation(weights: Array) -> Array:
        n, sx, sy, sxx, syy, sxy = (weights @ terms).T
        with np.errstate(invalid="ignore", divide="ignore"):
            vx, vy = sxx / n - (sx / n) ** 2, syy / n - (sy / n) ** 2
            # What rounding leaves of the variance of equal numbers is none.
            defined = (vx > 1e-12) & (vy > 1e-12)
            return np.where(defined, (sxy / n - sx * sy / n**2) / np.sqrt(vx * vy), np.nan)

    value = float(correlation(np.ones((1, len(terms))))[0])
    if seed is None or not np.isfinite(value):
        return value, (np.nan, np.nan)
    low, high = cluster_bootstrap(
        correlation,
        np.arange(len(terms)),
        rng=generator(seed, "contrast agreement", layer, variable),
        resamples=_RESAMPLES,
        level=LEVEL,
    )
    return value, (float(low), float(high))


def _ratio(part: Array, whole: Array) -> Array:
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _noun(data: xr.Dataset) -> str:
    if "channel" in data.dims:
        return "channels"
    return "features" if "feature" in data.dims else "units"
