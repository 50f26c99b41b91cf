"""What is shown to whom responses are measured of: every row of a design, in a random order.

Each row is a presentation of its own, also where its stimulus is that of another row: a step of the
design that changes nothing is then a real repeat, whose difference is the noise. A share of the
rows is presented once more. Both say how large the noise is (`variscope.estimators.noise`). The
order is random, so that what drifts in a session is noise as well, and no variable's effect.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs import Design
from variscope.space.space import Recipes, Space

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Presentations:
    """All presentations, in their order in time.

    Attributes:
        replicate, block, row: the row of the design that each is of, ``(presentation,)``.
        repeat: 0 of a row's own presentation, 1 where it is presented once more,
            ``(presentation,)``.
        stimulus: number of what is shown, ``(presentation,)``.
        recipes: of the stimuli, ``(stimulus,)`` of them.
        digest: of all this: it tells one order, or one design, from another.
    """

    replicate: Numbers
    block: Numbers
    row: Numbers
    repeat: Numbers
    stimulus: Numbers
    recipes: Recipes
    digest: str

    def __len__(self) -> int:
        return len(self.stimulus)


def presentations(design: Design, space: Space, repeats: float = 0.0) -> Presentations:
    """Lay out the presentations of a design: a pure function of the design, its seed among it.

    Args:
        design: whose rows are shown.
        space: decodes its points.
        repeats: share of each replicate's rows that are presented once more, in [0, 1].
    """
    decoded: list[Recipes] = []
    rows: list[Numbers] = []
    again: list[Numbers] = []
    rng, before = _generator(design.seed, "repeats"), 0
    for replicate, blocks in enumerate(design.sizes):
        points = design.replicate(replicate).points
        decoded.append(space.decode(points.reshape(-1, points.shape[-1])))
        n = blocks * design.rows
        block, row = np.divmod(np.arange(n), design.rows)
        rows.append(np.stack([np.full(n, replicate), block, row, np.zeros_like(row)]))
        again.append(before + np.sort(rng.choice(n, size=round(repeats * n), replace=False)))
        before += n
    of_rows = Recipes(
        *(
            np.concatenate([getattr(part, name) for part in decoded])
            for name in ("image", "operation", "parameters")
        )
    )
    first, stimulus = of_rows.repeats(blocks=1)
    own, extra = np.concatenate(rows, axis=1), np.concatenate(again)
    repeated = own[:, extra].copy()
    repeated[3] = 1
    table = np.concatenate([own, repeated], axis=1)
    shown = np.concatenate([stimulus, stimulus[extra]])
    order = _generator(design.seed, "presentation order").permutation(len(shown))
    table, shown, stimuli = table[:, order], shown[order], of_rows.take(first)
    replicate, block, row, repeat = table
    digest = _digest(design, table, shown, stimuli)
    return Presentations(replicate, block, row, repeat, shown, stimuli, digest)


def _generator(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def _digest(design: Design, table: Numbers, shown: Numbers, stimuli: Recipes) -> str:
    """Digest the order and what is shown, the same on every machine."""
    digest = hashlib.sha256(f"{design.kind} {design.groups}".encode())
    arrays: tuple[NDArray[Any], ...] = (
        table,
        shown,
        stimuli.image,
        stimuli.operation,
        stimuli.parameters,
    )
    for array, kind in zip(arrays, ("<i8", "<i8", "<i8", "<i1", "<f4"), strict=True):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return digest.hexdigest()[:16]
