"""The difference of two aggregates of studies that share their replicates, with its interval."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from variscope.errors import UserError
from variscope.estimators.differences import Array, deviations, paired_difference
from variscope.estimators.intervals import Estimate

Number = float | Array

# What two studies must share for replicate r of one to belong to replicate r of the other.
_SHARED = ("design", "seed", "replicates", "blocks", "images", "confidence_level")

# What names the entry of an index's first dimension.
_DIMENSIONS = {"shapley_group": "group", "S2": "pair"}


class Difference(NamedTuple):
    """A difference of two shares with its paired interval: numbers, or arrays of one entry each.

    Attributes:
        value: first - second.
        low, high: of the interval.
        confidence_level: of the interval.
    """

    value: Number
    low: Number
    high: Number
    confidence_level: float


class Aggregate(NamedTuple):
    """A share, or a difference of shares, with what it can be compared with others by.

    Attributes:
        estimate: with its interval, ``(*any)``.
        deviations: of each replicate, ``(replicate, *any)``.
    """

    estimate: Estimate
    deviations: Array


def difference(
    first: xr.Dataset | xr.DataTree,
    name: str,
    second: xr.Dataset | xr.DataTree,
    second_name: str,
    *,
    index: str | None = None,
    second_index: str | None = None,
    of: str = "layer",
) -> Difference:
    """Return how much one aggregate exceeds another, with an interval over pairs of replicates.

    The two may be of two variables of a layer, of two layers, models or variable sets, or of two
    runs, so long as design, seed, replicates, blocks and images are the same. Replicate r of both
    then comes from one stream, and the interval is over the pairs (`paired_difference` has its
    formula): narrower than two intervals side by side where the two vary together. Layers and
    models of one set are evaluated on the same rows. Two sets are not, where their variables
    differ; the pairs of replicates are independent of each other all the same, which is all that
    the interval needs, and little may be gained.

    Args:
        first, second: two layers' results: a node of a study as `decompose` or
            `variscope.stores.results.read_study` returns it, or what `xarray.open_zarr` opens.
        name, second_name: what of each: a variable, a group (whose Shapley effects are summed), or
            a pair such as "hue:class" (its S2).
        index: "shapley", "S1" or "ST" of a variable; by default Shapley effects, or S1 where a
            layer has none. A group has "shapley", a pair "S2".
        second_index: of the second where it is another: ST - S1 of one variable is what it does
            jointly with others.
        of: "layer", or a dimension whose aggregates both hold, such as "channel": the difference is
            then taken entry by entry. Select entries of each beforehand to compare others:
            ``difference(a.isel(channel=3), "hue", a.isel(channel=5), "hue", of="channel")``.

    Raises:
        UserError: what is not paired, by its name; an unknown name or index; entries that do not
            fit each other.

    Example:
        Of one layer of four replicates, whose S1 are 0.5 and 0.2 of the variance:

        >>> sums = np.array([8.0, 9.0, 7.5, 8.5])
        >>> shares = np.array([[0.48, 0.21], [0.52, 0.19], [0.51, 0.22], [0.49, 0.18]])
        >>> paired = {"design": "cycle", "seed": 1, "replicates": 4, "blocks": 128, "images": "x"}
        >>> layer = xr.Dataset(
        ...     {
        ...         "S1_layer": ("variable", [0.5, 0.2]),
        ...         "S1_layer_low": ("variable", [0.4, 0.1]),
        ...         "S1_layer_high": ("variable", [0.6, 0.3]),
        ...         "numerator_S1_layer": (("replicate", "variable"), sums[:, None] * shares),
        ...         "variance_layer": ("replicate", sums),
        ...         "blocks_by_replicate": ("replicate", [32, 32, 32, 32]),
        ...     },
        ...     coords={"variable": ["hue", "image"]},
        ...     attrs={"confidence_level": 0.95, **paired},
        ... )
        >>> found = difference(layer, "hue", layer, "image")
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (0.3, 0.16, 0.44)
    """
    one, other = _layer(first), _layer(second)
    _check_paired(one, other)
    main = "shapley" if all("shapley_layer" in data for data in (one, other)) else "S1"
    a = aggregate(one, name, index or _default(one, name, main), of)
    b = aggregate(
        other, second_name, second_index or index or _default(other, second_name, main), of
    )
    dims, other_dims = a.estimate.value.ndim, b.estimate.value.ndim
    if dims == other_dims and a.estimate.value.shape != b.estimate.value.shape:
        raise UserError(
            f"difference: found {a.estimate.value.size} and {b.estimate.value.size} entries of "
            f"{of}; allowed: as many in both, or one selected by .isel({of}=...)"
        )
    if dims < other_dims:
        a = a._replace(deviations=a.deviations[..., None])
    elif other_dims < dims:
        b = b._replace(deviations=b.deviations[..., None])
    level = float(one.attrs["confidence_level"])
    found = subtract(a, b, level).estimate
    value, low, high = (float(x) if np.ndim(x) == 0 else x for x in found)
    return Difference(value, low, high, level)


def aggregate(data: xr.Dataset, name: str, index: str, of: str = "layer") -> Aggregate:
    """Read a variable's, a group's or a pair's aggregate with what it is compared by.

    Raises:
        UserError: the data do not hold it; what they hold is named.
    """
    index = _index_of(data, name, index)
    stored = f"{index}_{of}"
    if f"numerator_{stored}" not in data:
        start, end = "numerator_", f"_{of}"
        known = [str(key) for key in data.data_vars if str(key).startswith(start)]
        held = [key.removeprefix(start).removesuffix(end) for key in known if key.endswith(end)]
        raise UserError(
            f"difference: {_place(data)} holds no {index} of {of}; allowed: "
            + (", ".join(held) or ", ".join(key.removeprefix(start) for key in known))
        )
    at = {_DIMENSIONS.get(index, "variable"): name}
    value, low, high = (
        np.asarray(data[stored + end].sel(at), float) for end in ("", "_low", "_high")
    )
    numerator = data[f"numerator_{stored}"].sel(at).transpose("replicate", ...).values
    counts = None
    if index == "S2":
        counts = data["pair_counts_by_replicate"].sel(at).values[:, None]
    each = deviations(
        numerator[:, None],
        data[f"variance_{of}"].transpose("replicate", ...).values,
        data["blocks_by_replicate"].values,
        counts,
    )
    return Aggregate(Estimate(value, low, high), each[:, 0])


def subtract(first: Aggregate, second: Aggregate, confidence_level: float) -> Aggregate:
    """Return first - second of paired replicates: it can be compared with others in turn."""
    estimate = paired_difference(
        first.estimate, second.estimate, first.deviations, second.deviations, confidence_level
    )
    return Aggregate(estimate, first.deviations - second.deviations)


def _check_paired(first: xr.Dataset, second: xr.Dataset) -> None:
    """Raise a UserError that names the first thing in which two results are not paired."""
    for data in (first, second):
        if "blocks_by_replicate" not in data:
            raise UserError(
                f"difference: {_place(data)} holds no sums of its replicates "
                "(blocks_by_replicate); run it again with this version"
            )
    for key in _SHARED:
        one, other = (data.attrs.get(key) for data in (first, second))
        if one is None or other is None:
            lacks = _place(first if one is None else second)
            raise UserError(f"difference: not known to be paired: {lacks} does not say its {key}")
        if one != other:
            _refuse(key, first, one, second, other)
    for key in ("replicate", "blocks_by_replicate"):
        one, other = (data[key].values.tolist() for data in (first, second))
        if one != other:
            _refuse(key, first, one, second, other)


def _refuse(key: str, first: xr.Dataset, one: Any, second: xr.Dataset, other: Any) -> None:
    raise UserError(
        f"difference: not paired: {key} is {one} of {_place(first)} and {other} of "
        f"{_place(second)}; allowed: the same {', '.join(_SHARED)}"
    )


def _place(data: xr.Dataset) -> str:
    """Say which results these are, as far as they say it."""
    keys = ("experiment", "model", "variable_set", "design", "layer")
    return "/".join(str(data.attrs[key]) for key in keys if data.attrs.get(key)) or "a layer"


def _default(data: xr.Dataset, name: str, main: str) -> str:
    """Return the index that is meant where none is named."""
    return "S2" if "pair" in data.coords and name in data["pair"].values else main


def _index_of(data: xr.Dataset, name: str, index: str) -> str:
    """Say what the index of a name is stored as.

    Raises:
        UserError: there is no such name, or it has no such index.
    """
    known = {key: list(data[key].values) for key in ("variable", "group", "pair") if key in data}
    if name in known["variable"] and index != "S2":
        return index
    if name in known.get("pair", ()) and index == "S2":
        return "S2"
    if name in known.get("group", ()) and index == "shapley":
        return "shapley_group"
    for kind, allowed in (("variable", "S1, ST, shapley"), ("pair", "S2"), ("group", "shapley")):
        if name in known.get(kind, ()):
            raise UserError(f"difference: found {index} of the {kind} {name!r}; allowed: {allowed}")
    every = [str(one) for names in known.values() for one in names]
    raise UserError(f"difference: {_place(data)} has no {name!r}; allowed: {', '.join(every)}")


def _layer(given: object) -> xr.Dataset:
    """Return a layer's results; a UserError where these are something else."""
    if isinstance(given, xr.DataTree):
        if given.children:
            known = ", ".join(map(str, given.children))
            raise UserError(f"difference: found a study; allowed: one of its layers: {known}")
        given = given.to_dataset()
    if not isinstance(given, xr.Dataset):
        raise UserError(
            f"difference: found {type(given).__name__}; allowed: a layer's results, a node of a "
            "study or a Dataset"
        )
    return given
