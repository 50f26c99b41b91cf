"""Drawn units: exact counts whatever the ties, and controls that match the units' sizes."""

from __future__ import annotations

import numpy as np
import pytest
from variscope.estimators.resampling import generator
from variscope.estimators.sampling import (
    count_of,
    matching_cells,
    ranks,
    shuffled,
    tenths,
    top_share,
)


@pytest.mark.parametrize("units", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5, 1.0])
def test_a_share_is_an_exact_count_where_all_values_are_equal(units: int, share: float) -> None:
    marked = top_share(np.full(units, 0.3), share, generator(1, "ties"))
    assert marked.sum() == count_of(share, units)
    # The naive version, a threshold at the quantile, marks the whole layer.
    assert (np.full(units, 0.3) >= np.quantile(np.full(units, 0.3), 1 - share)).sum() == units


def test_small_layers_lose_one_unit_at_least_and_never_more_than_there_are() -> None:
    assert [count_of(share, 3) for share in (0.0, 0.01, 0.5, 1.0)] == [0, 1, 2, 3]
    assert count_of(0.5, 0) == 0


def test_the_top_share_holds_the_largest_and_breaks_ties_evenly() -> None:
    values = np.array([[5.0, 0.0, 0.0, 0.0], [0.0, np.nan, 4.0, 0.0]])
    hit = np.mean([top_share(values, 0.5, generator(seed, "ties")) for seed in range(2000)], axis=0)
    assert hit[0, 0] == hit[1, 2] == 1
    assert hit[1, 1] == 0  # undefined comes last
    np.testing.assert_allclose(hit[values == 0], 2 / 5, atol=0.05)


def test_minus_infinity_ranks_before_undefined() -> None:
    assert ranks([np.nan, -np.inf, 0.0], generator(1)).tolist() == [2, 1, 0]


def test_tenths_are_of_like_size_and_equal_moments_share_one() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount(tenths(rng.permutation(1000).astype(float)))
    assert counts.tolist() == [100] * 10
    assert np.unique(tenths(np.zeros(1000))).tolist() == [0]
    dead = np.concatenate([np.zeros(500), np.arange(1, 501)])
    assert np.bincount(tenths(dead)).tolist() == [500, 0, 0, 0, 0, 100, 100, 100, 100, 100]


def test_few_units_make_few_parts() -> None:
    assert np.bincount(tenths(np.arange(10.0))).tolist() == [5, 5]
    assert tenths(np.arange(3.0)).tolist() == [0, 0, 0]


def test_matched_units_are_as_many_of_each_channel_and_each_tenth() -> None:
    rng = np.random.default_rng(3)
    moments = rng.gamma(1.0, size=(6, 12, 12)) * np.arange(1, 7)[:, None, None]
    cells = matching_cells(moments)
    marked = top_share(moments + rng.normal(size=moments.shape), 0.2, generator(1))
    part = tenths(moments)
    for seed in range(5):
        drawn = marked.ravel()[shuffled(cells, generator(seed, "matched"))]
        assert not np.array_equal(drawn, marked)
        assert drawn.sum(axis=(1, 2)).tolist() == marked.sum(axis=(1, 2)).tolist()
        assert np.bincount(part[drawn], minlength=10).tolist() == (
            np.bincount(part[marked], minlength=10).tolist()
        )
    # The plain random control hits as many units, and much smaller ones.
    plain = marked.ravel()[shuffled(np.zeros_like(cells), generator(1, "random"))]
    assert plain.sum() == marked.sum()
    assert moments[plain].mean() < 0.6 * moments[marked].mean()


def test_every_unit_of_a_cell_is_drawn_as_often() -> None:
    cells = np.array([0, 0, 0, 0, 1, 1, 2])
    marked = np.array([True, False, False, False, True, False, True])
    often = np.mean([marked[shuffled(cells, generator(s, "cells"))] for s in range(4000)], axis=0)
    np.testing.assert_allclose(often, [0.25] * 4 + [0.5] * 2 + [1.0], atol=0.03)


def test_vectors_and_maps_of_one_pixel_are_matched_by_their_moments_alone() -> None:
    moments = np.arange(20.0)
    assert matching_cells(moments).tolist() == tenths(moments).tolist()
    assert matching_cells(moments.reshape(20, 1, 1)).ravel().tolist() == tenths(moments).tolist()
    assert len(np.unique(matching_cells(np.ones((4, 3, 3)), channels=False))) == 1
