"""From a layer's sums to its dataset: one xarray Dataset (contract 4.3 of the design)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from variscope.estimators import (
    Estimate,
    Moments,
    UnitIndices,
    aggregate_indices,
    group_indices,
    group_numerators,
    half_indices,
    join,
    join_units,
    summed_over,
    unit_indices,
)
from variscope.estimators.moments import with_float32_bits
from variscope.vocabulary import FINE, FIRST, HALVES, LONG_NAMES, STATUSES


def layer_dataset(
    slabs: Iterable[Moments],
    variables: Sequence[str],
    dims: Sequence[str],
    confidence_level: float,
    attributes: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]] | None = None,
    tokens: Sequence[str] = (),
    grid: tuple[int, int] | None = None,
    among: np.ndarray | None = None,
) -> xr.Dataset:
    """Estimate everything that is reported of one layer.

    Args:
        slabs: the sums of all replicates, of slabs of the leading unit dimension in order, or of
            all units at once; one slab at a time is held.
        variables: their names, in the layout's order.
        dims: names of the units' dimensions.
        confidence_level: of every interval.
        attributes: of the dataset: what the study was, and its provenance.
        groups: names of the variables of each group, by its name; the star, which has no Shapley
            effects, takes none.
        tokens: what each token is, "class", "register", "patch" or "token"; of tokens.
        grid: rows and columns of the patches among them, which stand last.
        among: the units that aggregates are over, ``(*unit)``, where these are not those that are
            fine; all units are one slab then.

    Returns:
        The dataset of contract 4.3: per unit ``S1``, ``ST``, ``shapley``, ``S2``, ``mean``,
        ``variance``, ``status``, ``effective_blocks``; ``S1_halves`` ... from the even and the odd
        replicates, which share no rows; ``S1_sparse`` ... where a guard widened the
        interval (`variscope.estimators.guards`); ``moved``; the layer's aggregates ``S1_layer``
        ...; those of channels ``S1_channel`` ..., of tokens ``S1_token`` ... and of features
        ``S1_feature`` ..., the last over the patches alone where there are some; the sums of all
        these, replicate by
        replicate, ``numerator_S1_layer`` ..., ``variance_layer`` ..., from which
        `variscope.difference` makes paired intervals; sums over groups, ``shapley_group`` ...; and
        the layer's aggregates from the first k replicates, ``S1_layer_by_replicates`` ....
    """
    found, grouped, summed, halved = [], [], [], []
    names = dict(groups or {})
    members = [[list(variables).index(name) for name in group] for group in names.values()]
    feature, at = None, 0
    counted = np.array([kind in ("patch", "token") for kind in tokens], dtype=bool)
    if not counted.any():
        counted[:] = True
    for slab in slabs:
        if "shapley" not in slab.layout.indices:
            members = []
        found.append(unit_indices(slab, confidence_level))
        fine = found[-1].status == FINE if among is None else among
        summed.append(summed_over(slab, fine))
        halved.append(half_indices(slab, fine))
        if tuple(dims) == ("token", "feature"):
            # One token after another, so that the sums are the same whatever the slabs are.
            weighted = summed_over(slab, fine, keep=2).sums
            for token in range(slab.unit[0]):
                if not len(counted) or counted[at + token]:
                    one = weighted[:, :, token]
                    feature = one.copy() if feature is None else np.add(feature, one, out=feature)
            at += slab.unit[0]
        if members:
            grouped.append(group_indices(slab, members, found[-1].status, confidence_level))
    units, leading = _with_float32_bits(join_units(found)), join(summed)
    layout, shape = leading.layout, units.status.shape
    pairs = [f"{variables[i]}:{variables[j]}" for i, j in layout.pairs]
    data: dict[str, xr.Variable] = {}
    for name, estimate in units.estimates.items():
        _add(data, name, LONG_NAMES[name], (FIRST[name], *dims), estimate)
        _add_guard(data, name, (FIRST[name], *dims), units.guards[name])
    for name in layout.indices:
        data[f"{name}_halves"] = _variable(
            ("half", FIRST[name], *dims),
            with_float32_bits(np.concatenate([half[name] for half in halved], axis=2))
            if len(halved) > 1
            else with_float32_bits(halved[0][name]),
            f"{LONG_NAMES[name]} from half of the replicates: A the even, B the odd ones",
            "1",
        )
    data["mean"] = _variable(dims, units.mean, "mean of the unit", "output")
    data["variance"] = _variable(dims, units.variance, "variance of the unit", "output^2")
    data["status"] = _variable(
        dims, units.status, "0 fine, 1 constant (indices NaN), 2 not finite (indices NaN)", "1"
    )
    data["effective_blocks"] = _variable(
        dims, units.effective_blocks, "blocks that the unit's variance is known to", "1"
    )
    moved = leading.moved.sum(axis=0)
    data["moved"] = _variable(
        ("variable",),
        moved,
        "steps in which the variable changed the stimulus; 0: not varied in this sample",
        "1",
    )

    if members:
        by_unit = Estimate(
            *(
                with_float32_bits(np.concatenate(part, axis=1) if len(part) > 1 else part[0])
                for part in zip(*grouped, strict=True)
            )
        )
        _add(data, "shapley_group", LONG_NAMES["shapley_group"], ("group", *dims), by_unit)
    whole = replace(leading, sums=leading.sums.sum(axis=2))  # one unit, the layer
    aggregates: list[tuple[str, Moments, tuple[str, ...]]] = [("layer", whole, ())]
    if dims[0] == "channel" and len(dims) > 1:
        aggregates.append(("channel", leading, ("channel",)))
    if feature is not None:
        aggregates.append(("token", leading, ("token",)))
        aggregates.append(("feature", replace(leading, sums=feature), ("feature",)))
    for of, sums, kept in aggregates:
        status = np.zeros(sums.unit, np.int8)  # units that are not fine are left out of the sums
        found_of = aggregate_indices(sums, status, confidence_level, keep=len(kept))
        estimates = found_of.estimates
        numerators = {name: sums.numerator(name) for name in estimates}
        if members:
            estimates["shapley_group"] = group_indices(sums, members, status, confidence_level)
            numerators["shapley_group"] = group_numerators(sums, members)
        for name, estimate in estimates.items():
            if name == "S2" and kept:
                continue
            long_name = f"{LONG_NAMES[name]}, variance-weighted mean of the {of}"
            _add(data, f"{name}_{of}", long_name, (FIRST[name], *kept), estimate)
            if name in found_of.guards:
                _add_guard(data, f"{name}_{of}", (FIRST[name], *kept), found_of.guards[name])
            data[f"numerator_{name}_{of}"] = _variable(
                ("replicate", FIRST[name], *kept),
                numerators[name],
                f"{LONG_NAMES[name]}, sum of its terms over the blocks of a replicate and the "
                f"fine units of the {of}",
                "output^2",
            )
        data[f"variance_{of}"] = _variable(
            ("replicate", *kept),
            sums.variance,
            f"sum of the variance's terms over the blocks of a replicate and the fine units of "
            f"the {of}",
            "output^2",
        )
    data["blocks_by_replicate"] = _variable(
        ("replicate",), leading.blocks, "base points of a replicate: terms of a sum", "1"
    )
    if pairs:
        data["pair_counts_by_replicate"] = _variable(
            ("replicate", "pair"), leading.pair_counts, "terms of a replicate's sums of S2", "1"
        )
    used, by_replicates = _by_replicates(leading, confidence_level)
    for name, estimate in by_replicates.items():
        long_name = f"{LONG_NAMES[name]} of the layer from the first replicates"
        _add(data, f"{name}_layer_by_replicates", long_name, ("replicates", "variable"), estimate)

    coordinates: dict[str, Any] = {
        "variable": ("variable", np.array(variables, dtype=object)),
        "pair": ("pair", np.array(pairs, dtype=object)),
        "replicate": ("replicate", leading.replicates),
        "replicates": ("replicates", used),
        "half": ("half", np.array(list(HALVES), dtype=object)),
    }
    coordinates |= {dim: (dim, np.arange(n)) for dim, n in zip(dims, shape, strict=True)}
    if tokens:
        coordinates["token_kind"] = (
            "token",
            np.array(list(tokens), dtype=object),
            {"long_name": "what the token is"},
        )
    if members:
        coordinates["group"] = ("group", np.array(list(names), dtype=object))
    if not pairs:
        del coordinates["pair"]
    blocks = int(leading.blocks.sum())
    counts = {word: int((units.status == code).sum()) for word, code in STATUSES.items()}
    return xr.Dataset(
        data,
        coords=coordinates,
        attrs={
            **attributes,
            "design": layout.design,
            "confidence_level": confidence_level,
            "blocks": blocks,
            "rows": blocks * layout.rows,
            "replicates": len(leading.replicates),
            "unit_counts": json.dumps(counts),
            **({"patch_grid": [int(size) for size in grid]} if grid else {}),
            **({"groups": json.dumps({n: list(g) for n, g in names.items()})} if members else {}),
        },
    )


def _with_float32_bits(units: UnitIndices) -> UnitIndices:
    """Keep as many bits of the units' indices as the sums have that they are made of."""
    return replace(
        units,
        estimates={
            name: Estimate(*map(with_float32_bits, estimate))
            for name, estimate in units.estimates.items()
        },
        effective_blocks=with_float32_bits(units.effective_blocks),
        mean=with_float32_bits(units.mean),
        variance=with_float32_bits(units.variance),
    )


def _by_replicates(
    leading: Moments, confidence_level: float
) -> tuple[np.ndarray, dict[str, Estimate]]:
    used = np.arange(2, len(leading.replicates) + 1)
    whole = replace(leading, sums=leading.sums.sum(axis=2))
    weight = whole.raw("variance").sum(axis=0)
    steps = []
    for k in used:
        first = replace(
            whole,
            replicates=whole.replicates[:k],
            blocks=whole.blocks[:k],
            sums=whole.sums[:k],
            pair_counts=whole.pair_counts[:k],
            moved=whole.moved,  # a variable that moves later is the same as one that moved
        )
        status = np.zeros((), np.int8)
        steps.append(aggregate_indices(first, status, confidence_level, weight=weight).estimates)
    return used, {
        name: Estimate(
            *(np.stack(bounds) for bounds in zip(*(s[name] for s in steps), strict=True))
        )
        for name in leading.layout.indices
    }


def _variable(dims: Sequence[str], values: np.ndarray, long_name: str, units: str) -> xr.Variable:
    return xr.Variable(tuple(dims), values, {"long_name": long_name, "units": units})


def _add_guard(
    data: dict[str, xr.Variable], name: str, dims: tuple[str, ...], spoke: np.ndarray
) -> None:
    """Say where a guard widened the interval of an index."""
    data[f"{name}_sparse"] = _variable(
        dims,
        spoke.astype(np.int8),
        f"1 where too few terms are not zero: a guard widened the interval of {name}",
        "1",
    )


def _add(
    data: dict[str, xr.Variable],
    name: str,
    long_name: str,
    dims: tuple[str, ...],
    estimate: Estimate,
) -> None:
    data[name] = _variable(dims, estimate.value, long_name, "1")
    data[f"{name}_low"] = _variable(dims, estimate.low, f"{long_name}, lower bound", "1")
    data[f"{name}_high"] = _variable(dims, estimate.high, f"{long_name}, upper bound", "1")
