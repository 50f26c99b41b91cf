"""Whether a study's intervals are as narrow as was asked, and which of them cannot be judged.

A study with a target grows in rounds, each of twice the blocks of the one before. It ends when
every interval that was asked for is narrow in two consecutive rounds, or when the next round would
exceed the most blocks.

*Why two.* An interval that is looked at again and again is stopped at when it happens to be narrow,
which is when its spread is underrated: it then covers less than its level. A unit that reacts in
few blocks is the worst, since before it is met its intervals are narrow and wrong. The round that
confirms is, for one half, of blocks that had no part in the first one's being narrow, and meets
what that one missed. ``benchmarks/results/stopping.md`` holds the coverage under both rules against
that at fixed sizes; a stricter half-width instead of a second look does not mend it.

What cannot narrow does not hold a study up where more blocks are no remedy that can be counted on:
the index of a channel that never changed, or of a variable that never moved, has no interval. An
unbounded interval, [0, 1], is bounded by more blocks as a rule; it counts as wide. Both are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from variscope.designs import kinds
from variscope.errors import UserError

if TYPE_CHECKING:
    import xarray as xr  # a costly import, which planning does without

INDICES = ("shapley", "S1", "ST")
OF = ("layers", "channels")

# Why an interval cannot narrow, or has not so far.
CONSTANT, NOT_VARIED, UNBOUNDED = "constant", "not_varied", "unbounded"

# Rounds in a row that have to be narrow.
_IN_A_ROW = 2


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is asked of the intervals of a study.

    Attributes:
        half_width: that none of them exceeds, a share of variance.
        index: ``"shapley"``, ``"S1"`` or ``"ST"``.
        of: whose intervals: ``"layers"``, or ``"channels"``: of maps their channels, of tokens
            their features, of vectors their neurons; of other layers the layer.
        most_blocks: base points over all replicates that no round exceeds.
    """

    half_width: float
    index: str
    of: str
    most_blocks: int

    def sizes(self, blocks: int) -> tuple[int, ...]:
        """Return the blocks of each round, the first of ``blocks``."""
        doublings = max(0, (self.most_blocks // blocks).bit_length() - 1)
        return tuple(blocks * 2**doubling for doubling in range(doublings + 1))


@dataclass(frozen=True)
class Widest:
    """An interval: the layer, the channel (None: the layer's), the variable, half its width."""

    layer: str
    channel: int | None
    variable: str
    half_width: float


@dataclass(frozen=True)
class Stuck:
    """Intervals of a layer that cannot narrow, or that more blocks have to bound first.

    Attributes:
        layer: its name.
        why: ``"constant"``, there is no variance, or no finite output; ``"not_varied"``, the
            variable never changed a stimulus; ``"unbounded"``, the interval is [0, 1].
        variables: whose intervals; none where it is all of them.
        channels: whose intervals; none where it is all of them, or the layer's.
    """

    layer: str
    why: str
    variables: tuple[str, ...]
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Precision:
    """How narrow the intervals are that a target asks for.

    Attributes:
        blocks: base points over all replicates that they are of.
        intervals: how many are asked for.
        undefined: how many of them there are not: ``"constant"`` and ``"not_varied"``.
        narrow: how many are narrow enough.
        widest: the widest of those that there are.
        stuck: those that cannot narrow or are unbounded.
    """

    blocks: int
    intervals: int
    undefined: int
    narrow: int
    widest: Widest | None
    stuck: tuple[Stuck, ...]

    @property
    def reached(self) -> bool:
        """Whether every interval that there is is narrow enough."""
        return self.narrow + self.undefined == self.intervals


@dataclass(frozen=True)
class Course:
    """The rounds of a study with a target, as far as they went.

    Attributes:
        target: what is asked.
        rounds: what each round reached, the first one first.
    """

    target: Target
    rounds: tuple[Precision, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the intervals of the last round are as narrow as asked."""
        return bool(self.rounds) and self.rounds[-1].reached

    @property
    def finished(self) -> bool:
        """Whether no further round is wanted: narrow twice in a row, or at the most blocks."""
        last = self.rounds[-_IN_A_ROW:]
        if len(last) == _IN_A_ROW and all(one.reached for one in last):
            return True
        return bool(last) and 2 * last[-1].blocks > self.target.most_blocks

    def text(self) -> str:
        """Say what the last round reached: "1,024 blocks: 12 of 18 intervals narrow, ..."."""
        last = self.rounds[-1]
        wide = "" if last.widest is None else f", the widest ±{last.widest.half_width:.2g}"
        asked = f"{last.narrow} of {last.intervals - last.undefined} intervals"
        return f"{last.blocks:,} blocks: {asked} within ±{self.target.half_width:g}{wide}"

    def then(self, found: Precision) -> Course:
        """Return the course with one more round."""
        return Course(self.target, (*self.rounds, found))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it, with what follows from it for who only reads."""
        return {
            "asked": asdict(self.target),
            "reached": self.reached,
            "finished": self.finished,
            "rounds": [{**asdict(one), "reached": one.reached} for one in self.rounds],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Course:
        """Read what `to_json` gave, also as it came back from a file."""
        return cls(Target(**content["asked"]), tuple(map(_round, content["rounds"])))


def _round(content: Mapping[str, Any]) -> Precision:
    widest = content["widest"]
    return Precision(
        content["blocks"],
        content["intervals"],
        content["undefined"],
        content["narrow"],
        None if widest is None else Widest(**widest),
        tuple(
            Stuck(one["layer"], one["why"], tuple(one["variables"]), tuple(one["channels"]))
            for one in content["stuck"]
        ),
    )


def index_of(design: str, asked: str) -> str:
    """Return the index by which a design is judged: what is asked; of ``"auto"`` disjoint shares.

    Raises:
        UserError: the design does not estimate the index.
    """
    sums = kinds.sums_of(design)
    if asked == "auto":
        return sums.main_index
    if asked not in sums.indices:
        raise UserError(
            f"index: found {asked!r}; allowed with the {design}: auto, {', '.join(sums.indices)}"
        )
    return asked


def precision(layers: Iterable[tuple[str, xr.Dataset]], target: Target) -> Precision:
    """Say how narrow a study's intervals are.

    Args:
        layers: names and datasets of all layers (contract 4.3 of the design), one at a time.
        target: what is asked.
    """
    intervals = undefined = narrow = blocks = 0
    widest: Widest | None = None
    stuck: list[Stuck] = []
    for layer, dataset in layers:
        blocks = int(dataset.attrs["blocks"])
        low, high = _bounds(dataset, target)
        half = (high - low) / 2
        there = np.isfinite(half)
        intervals += half.size
        undefined += int((~there).sum())
        narrow += int((half[there] <= target.half_width).sum())
        stuck += _stuck(layer, dataset, low, high)
        if not there.any():
            continue
        variable, channel = np.unravel_index(np.nanargmax(half), half.shape)
        if widest is None or half[variable, channel] > widest.half_width:
            widest = Widest(
                layer,
                int(channel) if _of(dataset, target) else None,
                str(dataset["variable"].values[variable]),
                float(half[variable, channel]),
            )
    return Precision(blocks, intervals, undefined, narrow, widest, tuple(stuck))


def _of(dataset: xr.Dataset, target: Target) -> str:
    """Name the dimension whose entries have the intervals; empty where it is the layer."""
    from variscope.indices.reading import judged_dim

    if target.of == "layers":
        return ""
    dims = dataset["variance"].dims
    return str(dims[0]) if len(dims) == 1 else judged_dim(dataset)


def _bounds(dataset: xr.Dataset, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds that are asked for, each ``(variable, channel)``, one for a layer."""
    of = _of(dataset, target)
    # A neuron is a unit: its index is no aggregate.
    name = target.index if dataset["variance"].dims == (of,) else f"{target.index}_{of or 'layer'}"
    count = dataset.sizes["variable"]
    low, high = (
        np.asarray(dataset[f"{name}_{bound}"], dtype=np.float64).reshape(count, -1)
        for bound in ("low", "high")
    )
    return low, high


def _stuck(layer: str, dataset: xr.Dataset, low: np.ndarray, high: np.ndarray) -> Iterator[Stuck]:
    """Yield what cannot narrow or is unbounded, of bounds ``(variable, channel)``."""
    names = np.array([str(name) for name in dataset["variable"].values])
    moved = np.asarray(dataset["moved"]) > 0
    channels = low.shape[1]

    def numbers(chosen: np.ndarray) -> tuple[int, ...]:
        return () if channels == 1 or chosen.all() else tuple(map(int, np.flatnonzero(chosen)))

    if not moved.all():
        yield Stuck(layer, NOT_VARIED, tuple(names[~moved].tolist()), ())
    constant = np.isnan(low[moved]).all(axis=0) & moved.any()
    if constant.any():
        yield Stuck(layer, CONSTANT, (), numbers(constant))
    unbounded = (low <= 0) & (high >= 1)
    for chosen in np.unique(unbounded[unbounded.any(axis=1)], axis=0):
        same = (unbounded == chosen).all(axis=1)
        yield Stuck(layer, UNBOUNDED, tuple(names[same].tolist()), numbers(chosen))
