"""The sums of measured responses: those of the design's whole blocks, and those of the repeats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs import Design, kinds
from variscope.errors import UserError
from variscope.estimators import Layout, Moments
from variscope.estimators.noise import Noise, repeat_sums
from variscope.responses.measured.presentations import Presentations

TENTHS = 10


@dataclass(frozen=True)
class Measured:
    """What was summed of a region.

    Attributes:
        moments: of the blocks that are whole, as measured.
        noise: of the presentations of one stimulus.
        dropped: blocks that are left out, since rows of them are missing.
        drift: the units' mean responses in each tenth of the session, less the mean of all and over
            the standard deviation, ``(tenth, unit)``.
        drift_share: share of the responses' variance that lies between the tenths, without what
            chance puts there (omega squared; Hays 1963, Statistics for Psychologists), ``(unit,)``.
    """

    moments: Moments
    noise: Noise
    dropped: int
    drift: NDArray[np.float64]
    drift_share: NDArray[np.float64]


def measured_sums(
    responses: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    shown: Presentations,
    design: Design,
) -> Measured:
    """Sum the responses of a region.

    Args:
        responses: in the order of presentation, ``(presentation, unit)``.
        present: which of them are there, ``(presentation,)``.
        shown: what was presented.
        design: whose rows these are.

    Raises:
        UserError: fewer than two replicates have a whole block.
    """
    layout = Layout(design.kind, len(design.groups))
    unit, numbers = responses.shape[1:], range(design.replicates)
    moments = Moments.zeros(layout, numbers, unit)
    squares = np.zeros((design.replicates, *unit))
    degrees = np.zeros(design.replicates, dtype=np.int64)
    moved = np.zeros_like(moments.moved)
    dropped = 0
    for replicate, blocks in enumerate(design.sizes):
        of_replicate = (shown.replicate == replicate) & present
        squares[replicate], degrees[replicate] = repeat_sums(
            responses[of_replicate], shown.stimulus[of_replicate]
        )
        # Presentations of the rows themselves, laid out as the design has them.
        (own,) = np.nonzero(of_replicate & (shown.repeat == 0))
        at = np.full((blocks, design.rows), -1)
        at[shown.block[own], shown.row[own]] = own
        whole = (at >= 0).all(axis=1)
        dropped += int((~whole).sum())
        order = design.replicate(replicate).order[whole]
        if not whole.any():
            continue
        moments.update(replicate, responses[at[whole]], order)
        # Each row is an output of its own, and yet a step between equal stimuli moved nothing.
        stimuli = shown.stimulus[at[whole]]
        moved[replicate] = kinds.get(design.kind).moved(stimuli, order)
    kept = moments.blocks > 0
    if kept.sum() < 2:
        raise UserError(
            f"responses: {dropped} of {sum(design.sizes)} blocks have missing rows, and "
            f"{kept.sum()} of {design.replicates} replicates a whole block; allowed: at least 2"
        )
    moments = replace(
        moments,
        replicates=moments.replicates[kept],
        first=moments.first[kept],
        blocks=moments.blocks[kept],
        sums=moments.sums[kept],
        pair_counts=moments.pair_counts[kept],
        moved=moved[kept],
    )
    drift, share = drift_of(responses, present)
    return Measured(moments, Noise(squares[kept], degrees[kept]), dropped, drift, share)


def drift_of(
    responses: NDArray[np.floating[Any]], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the responses' course over a session, and its share of their variance.

    Args:
        responses: in the order of presentation, which is random, ``(presentation, unit)``.
        present: which of them are there, ``(presentation,)``.

    Returns:
        ``(tenth, unit)`` and ``(unit,)``, as of `Measured`; NaN of constant units, and of tenths in
        which nothing is there.
    """
    tenth = (np.arange(len(responses)) * TENTHS // len(responses))[present]
    y = responses[present].astype(np.float64)
    y -= y.mean(axis=0)
    count = np.bincount(tenth, minlength=TENTHS)[:, None]
    sums = np.zeros((TENTHS, y.shape[1]))
    np.add.at(sums, tenth, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / count
        total = (y**2).sum(axis=0)
        between = np.nansum(count * means**2, axis=0)
        groups = int((count > 0).sum())
        within = (total - between) / max(1, len(y) - groups)
        share = (between - (groups - 1) * within) / (total + within)
        return means / np.sqrt(total / len(y)), share
