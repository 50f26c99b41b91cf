"""The kinds of designs: one file per kind, which holds its object.

A new kind is a module in this package, named as the kind is, with

    KIND = DesignKind(name="my_kind", ...)

What estimates from its rows stands in tables by its name, one for each place that sums: the CPU's
kernels (`variscope.estimators.kernels.ADD`), torch's terms and, if there is one, the kernel of a
GPU (`variscope.responses.network.sums`, `fused`). Nothing else asks which design it is.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
Order: TypeAlias = NDArray[np.integer[Any]]
Evaluations: TypeAlias = NDArray[np.integer[Any]]
Groups: TypeAlias = tuple[tuple[int, ...], ...]

# The design of a study that names none.
DEFAULT = "cycle"


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What is summed of a design's rows, where its indices are ratios of sums over blocks.

    The sums of the products of each pair of variables, ``S2``, of the ``variance``, the outputs'
    ``total`` and the counts of ``nonzero`` products are kept for every such design
    (`variscope.estimators.layout.Layout`).

    Attributes:
        indices: names of the indices per variable, in the order of their sums; S1 and ST at least.
        main_index: the one of them whose values are disjoint shares of the variance.
        scale: from the number of variables D, the constant factors of the formulas, which are left
            out of the sums: of each index, of ``S2`` and of ``variance``.
        pair_counts: from the blocks' evaluations ``(block, row)``, their order ``(block, D)`` and
            `Layout.pair_table` ``(D, D)``, how many products S2 sums for each pair, ``(pair,)``.
    """

    indices: tuple[str, ...]
    main_index: str
    scale: Callable[[int], Mapping[str, float]]
    pair_counts: Callable[[Evaluations, Order, NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class DesignKind:
    """A kind of design: the rows of its blocks, and what is summed of them.

    Attributes:
        name: in the configuration, in paths and of the module.
        title: what it estimates and from how many rows, a sentence.
        rows: rows of one block, from the number of variables D.
        permuted: whether each block has a permutation of the variables of its own.
        points: from the base points x and y ``(block, factor)``, the blocks' order ``(block, D)``,
            ``(block, 0)`` where there are no permutations, and the factors of each variable, the
            points of the rows, ``(block, row, factor)``.
        moved: from the evaluation that each row is ``(block, row)`` and the order, the number of
            steps in which each variable changed the stimulus, int64 ``(D,)``. A step leads from one
            row to another; where both are the same evaluation, it moved nothing.
        sums: what is summed; None where the estimates are no ratios of sums, such as those from
            ranks of pairs of rows. A design without sums has rows and points like any other. It
            has no `Layout` and no moments: its outputs are kept, and an analysis estimates from
            them.
    """

    name: str
    title: str
    rows: Callable[[int], int]
    permuted: bool
    points: Callable[[Points, Points, Order, Groups], Points]
    moved: Callable[[Evaluations, Order], NDArray[np.int64]]
    sums: Sums | None


@cache
def built_in() -> dict[str, DesignKind]:
    """Return the kinds by name, in alphabetical order."""
    found = {}
    for module in pkgutil.iter_modules(__path__):  # only when asked: they import this module
        kind = importlib.import_module(f"{__name__}.{module.name}").KIND
        if kind.name != module.name:
            raise ValueError(f"designs/kinds/{module.name}.py holds the design {kind.name}")
        found[kind.name] = kind
    return dict(sorted(found.items()))


def names() -> tuple[str, ...]:
    """Name the known kinds, in alphabetical order."""
    return tuple(built_in())


def get(name: str) -> DesignKind:
    """Return the kind of that name.

    Raises:
        ValueError: there is none; the known kinds are listed.
    """
    if name not in built_in():
        raise ValueError(f"design is {name!r}; allowed: {', '.join(names())}")
    return built_in()[name]


def summed_names() -> tuple[str, ...]:
    """Name the kinds whose indices are ratios of sums, in alphabetical order."""
    return tuple(name for name, kind in built_in().items() if kind.sums is not None)


def sums_of(name: str) -> Sums:
    """Return what is summed of a kind's rows.

    Raises:
        ValueError: there is no such kind, or nothing of its rows is summed; allowed ones are
            listed.
    """
    kind = built_in().get(name)
    if kind is None or kind.sums is None:
        raise ValueError(f"design is {name!r}; allowed: {', '.join(summed_names())}")
    return kind.sums
