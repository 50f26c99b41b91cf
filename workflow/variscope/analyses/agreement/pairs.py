"""The agreement of two methods on the images that both have maps of, and its baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.analyses.agreement.gathered import CENTRE, EDGES, Gathered, Maps, Method, centre
from variscope.analyses.conditions import inference
from variscope.analyses.source import Source
from variscope.estimators.agreement import (
    Array,
    Size,
    coarser,
    levels,
    rank_correlations,
    top_overlaps,
)
from variscope.estimators.own_images import Interval, mean_interval, of_own_images
from variscope.estimators.resampling import Labels, cluster_numbers, generator, sign_flip_p

RESAMPLES = 2000

# What takes the place of the second map; beside these `CENTRE` and `EDGES`.
NONE, SHUFFLED, SAME_CLASS, OTHER_CLASS = "none", "shuffled", "same_class", "other_class"
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Pair:
    """Two methods on the images that both have a map of.

    Attributes:
        first, second: the methods.
        place: of the images among those that are looked at, ascending, ``(n,)``.
        grid: that both are brought to.
        shares: of the cells that are the top.
        seed: of the study.
        level: of confidence.
    """

    first: Method
    second: Method
    place: NDArray[np.int64]
    grid: Size
    shares: Sequence[float]
    seed: int
    level: float

    def of_images(self, key: str) -> NDArray[np.int64]:
        """Return ids, target or cluster of the images, ``(n,)``."""
        maps = self.first.trained
        return np.asarray(getattr(maps, key))[np.searchsorted(maps.place, self.place)]

    def levels(self, maps: Maps) -> Array:
        """Return the levels of maps of the images, ``(n, cell)``, NaN where there is none."""
        at = np.clip(np.searchsorted(maps.place, self.place), 0, len(maps.place) - 1)
        found = maps.levels(self.grid, at)
        return np.where((maps.place[at] == self.place)[:, None], found, np.nan)

    @cached_property
    def both(self) -> tuple[Array, Array]:
        """The levels of both methods' maps, ``(n, cell)`` each."""
        return self.levels(self.first.trained), self.levels(self.second.trained)

    @cached_property
    def own(self) -> Array:
        """The scores of each image's two maps, ``(n, statistic)``."""
        return self.scores(*self.both, each=True)

    def scores(self, first: Array, second: Array, *, each: bool = False) -> Array:
        """Return rank correlations and overlaps of the tops, in the last dimension.

        Args:
            first, second: levels, ``(n, cell)`` each.
            each: of maps at the same place alone, ``(n, statistic)``; else of all pairs, ``(n, n,
                statistic)``.
        """
        found = [rank_correlations(first, second, each=each)]
        found += [top_overlaps(first, second, share, each=each) for share in self.shares]
        return np.stack(found, axis=-1)

    def rng(self) -> np.random.Generator:
        """Return what draws for all that is held against this pair: the same resamples."""
        return generator(self.seed, "agreement", self.first.name, self.second.name)


def paired(first: Method, second: Method, source: Source) -> Pair | None:
    """Return two methods on common images; None where there are none."""
    common = np.intersect1d(first.trained.place, second.trained.place)
    if not len(common):
        return None
    grid = coarser(first.trained.grid, second.trained.grid)
    shares, level = source.settings["shares"], source.confidence_level
    return Pair(first, second, common, grid, shares, source.seed, level)


def pair_rows(pair: Pair, gathered: Gathered) -> Iterator[dict[str, Any]]:
    """Yield a pair's rows: its own images, other images, and what else takes the second's place."""
    yield from _own_and_other_images(pair)
    cells = pair.grid[0] * pair.grid[1]
    middle = np.broadcast_to(levels(centre(pair.grid)[None]), (len(pair.place), cells))
    yield from _replaced(pair, CENTRE, middle, fixed=pair.first.trained.of_all)
    if gathered.edges is not None:
        yield from _replaced(pair, EDGES, pair.levels(gathered.edges))
    twin = pair.second.untrained
    if twin is not None:
        fixed = pair.first.trained.of_all and twin.of_all
        yield from _replaced(pair, UNTRAINED, pair.levels(twin), fixed=fixed)


def _own_and_other_images(pair: Pair) -> Iterator[dict[str, Any]]:
    defined = _finite(pair.own)
    cluster = pair.of_images("cluster")[defined]
    fixed = pair.first.trained.of_all and pair.second.trained.of_all
    if pair.first.name != pair.second.name:
        own = mean_interval(
            pair.own[defined], cluster, rng=pair.rng(), level=pair.level, resamples=RESAMPLES
        )
        yield from _rows(pair, NONE, own, defined, fixed=fixed)
    every = pair.scores(*(found[defined] for found in pair.both))
    target = pair.of_images("target")[defined]
    same = target[:, None] == target
    for baseline, among in ((SHUFFLED, None), (SAME_CLASS, same), (OTHER_CLASS, ~same)):
        if not _has_pairs(cluster, among):
            continue
        found = of_own_images(
            every,
            cluster,
            rng=pair.rng(),
            level=pair.level,
            among=among,
            resamples=RESAMPLES,
        )
        yield from _rows(
            pair, baseline, found.others, defined, found.difference, found.p, fixed=fixed
        )


def _has_pairs(cluster: Labels, among: NDArray[np.bool_] | None) -> bool:
    apart = cluster[:, None] != cluster
    return bool((apart if among is None else apart & among).any())


def _replaced(
    pair: Pair, baseline: str, maps: Array, *, fixed: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a baseline that is a map of each image, by its levels ``(n, cell)``."""
    found = pair.scores(pair.both[0], maps, each=True)
    defined = _finite(found) & _finite(pair.own)
    cluster = pair.of_images("cluster")[defined]
    value, difference = (
        mean_interval(
            values[defined], cluster, rng=pair.rng(), level=pair.level, resamples=RESAMPLES
        )
        for values in (found, pair.own - found)
    )
    p = sign_flip_p((pair.own - found)[defined], cluster, rng=pair.rng())
    yield from _rows(pair, baseline, value, defined, difference, p, fixed=fixed)


def _rows(
    pair: Pair,
    baseline: str,
    value: Interval,
    defined: NDArray[np.bool_],
    difference: Interval | None = None,
    p: Array | None = None,
    *,
    fixed: bool = False,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each share of the cells.

    Args:
        pair: the methods.
        baseline: what takes the place of the second map.
        value, difference, p: of each statistic.
        defined: which images have scores, ``(n,)``.
        fixed: neither map is of an image: there is nothing to resample.
    """
    images = int(defined.sum())
    clusters = cluster_numbers(pair.of_images("cluster")[defined])[1]
    if fixed:
        value, difference = _bare(value), None if difference is None else _bare(difference)
    if difference is None:
        nothing = np.full_like(value.value, np.nan)
        difference = Interval(nothing, nothing, nothing)
    for k, share in enumerate(pair.shares, start=1):
        yield {
            "first": pair.first.name,
            "second": pair.second.name,
            "baseline": baseline,
            "share": share,
            **_columns("spearman", value, 0, bounds=""),
            **_columns("iou", value, k),
            **_columns("difference", difference, 0),
            **_columns("iou_difference", difference, k),
            "p": np.nan if p is None or fixed else p[0],
            "rows": pair.grid[0],
            "columns": pair.grid[1],
            "images": images,
            "undefined": len(defined) - images,
            "n": 0 if fixed else clusters,
            "inference": "one map for all images"
            if fixed
            else inference(clusters, images, RESAMPLES),
        }


def _finite(scores: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(scores).all(axis=1), dtype=np.bool_)


def _bare(found: Interval) -> Interval:
    nothing = np.full_like(found.value, np.nan)
    return Interval(found.value, nothing, nothing)


def _columns(name: str, found: Interval, k: int, bounds: str | None = None) -> dict[str, float]:
    of = f"{name}_" if bounds is None else bounds
    return {name: found.value[k], f"{of}low": found.low[k], f"{of}high": found.high[k]}


def image_rows(pair: Pair, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the agreement on each image."""
    if pair.first.name == pair.second.name:
        return
    ids, target, cluster = (pair.of_images(key) for key in ("ids", "target", "cluster"))
    for i, scores in enumerate(pair.own):
        for share, iou in zip(pair.shares, scores[1:], strict=True):
            yield {
                "image": ids[i],
                "name": names[ids[i]],
                "target": target[i],
                "cluster": cluster[i],
                "first": pair.first.name,
                "second": pair.second.name,
                "share": share,
                "spearman": scores[0],
                "iou": iou,
            }
