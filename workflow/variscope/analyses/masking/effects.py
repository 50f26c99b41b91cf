"""Effects of masks, image by image, from the outcomes of conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from variscope.analyses.masking.outcomes import (
    ORIGINAL,
    REFERENCE,
    Condition,
    Setting,
    unmasked,
)

# What is measured of an answer, by the name in the tables.
MEASURES = {"margin": "margin", "top1": "correct"}


@dataclass(frozen=True)
class Effects:
    """Effects of masks on each image, as paired differences.

    A loss is what a mask takes from an outcome, ``m(x) - m(x, mask)``. The interaction of an input
    and a mask is the loss on altered input less that on original input.

    Attributes:
        outcomes: as `variscope.analyses.masking.outcomes.read_outcomes` gives them.
        measure: of `MEASURES`.
    """

    outcomes: xr.Dataset
    measure: str

    @cached_property
    def conditions(self) -> list[Condition]:
        """All conditions, in the order of the outcomes."""
        columns = (self.outcomes[name].values.tolist() for name in Condition._fields)
        return [Condition(*row) for row in zip(*columns, strict=True)]

    @cached_property
    def _rows(self) -> dict[Condition, int]:
        return {condition: row for row, condition in enumerate(self.conditions)}

    @cached_property
    def _values(self) -> np.ndarray:
        return np.asarray(self.outcomes[MEASURES[self.measure]].values, dtype=np.float32)

    @cached_property
    def inputs(self) -> list[str]:
        """The augmentations that images are altered by, in order."""
        found = [c.input for c in self.conditions if c.control == "none"]
        return [name for name in found if name != ORIGINAL]

    def masks(self, layer: str, kind: str) -> list[str]:
        """Return the variables that have masks of a layer and kind, in order."""
        return list(dict.fromkeys(
            c.mask for c in self.conditions if (c.layer, c.kind, c.input) == (layer, kind, ORIGINAL)
        ))  # fmt: skip

    @property
    def targets(self) -> list[tuple[str, str]]:
        """Each layer and kind that has masks, in order."""
        return list(dict.fromkeys((c.layer, c.kind) for c in self.conditions if c.layer))

    def mean(self, conditions: Iterable[Condition]) -> np.ndarray | None:
        """Return the outcome of each image, averaged over those conditions that there are.

        None where there is none of them.
        """
        rows = [self._rows[one] for one in conditions if one in self._rows]
        return self._values[rows].mean(axis=0, dtype=np.float64) if rows else None

    def shuffles(self, condition: Condition, control: str) -> list[Condition]:
        """Return the conditions of a control that a mask is held against, of all seeds."""
        seeds = range(1 + int(self.outcomes["seed"].max()))
        return [condition._replace(control=control, seed=seed) for seed in seeds]

    def plain(self, given: str) -> np.ndarray:
        """Return the outcome of an input without a mask, ``(image,)``."""
        return np.asarray(self._values[self._rows[unmasked(given)]], dtype=np.float64)

    def loss(self, given: str, masks: Iterable[Condition]) -> np.ndarray | None:
        """Return what masks take from an input's outcome, averaged over the masks, ``(image,)``."""
        masked = self.mean(masks)
        return None if masked is None else self.plain(given) - masked

    def mask(
        self, layer: str, kind: str, given: str, mask: str, setting: Setting = REFERENCE
    ) -> Condition:
        """Return the condition of an input and a mask, which are of one variable or not."""
        control = "own" if given in (ORIGINAL, mask) else "other"
        return Condition(given, mask, control, kind, layer, *setting, 0)

    def interaction(
        self, layer: str, kind: str, given: str, mask: str, control: str = "", seeds: int = 0
    ) -> np.ndarray | None:
        """Return an input's loss under a mask less that of original input, ``(image,)``.

        Args:
            layer, kind: of the mask.
            given: the input.
            mask: the variable whose mask it is.
            control: the same of this control's units in place of the mask's; empty: the mask's.
            seeds: of the control that are averaged; 0: all.
        """
        losses = []
        for one in (given, ORIGINAL):
            condition = self.mask(layer, kind, one, mask)
            masks = self.shuffles(condition, control) if control else [condition]
            losses.append(self.loss(one, masks[: seeds or None]))
        altered, plain = losses
        return None if altered is None or plain is None else altered - plain

    def net_interaction(
        self, layer: str, kind: str, given: str, mask: str, seeds: int = 0
    ) -> np.ndarray | None:
        """Return an interaction less that of matched random units, ``(image,)``.

        Where no matched units were run it is the interaction as it is.
        """
        raw = self.interaction(layer, kind, given, mask)
        matched = self.interaction(layer, kind, given, mask, "matched", seeds)
        return raw if raw is None or matched is None else raw - matched

    def matrix(self, layer: str, kind: str) -> np.ndarray | None:
        """Return net interactions of all inputs and their masks, ``(input, mask, image)``.

        One matched shuffling is taken off each: off the diagonal there are no more. None where a
        cell was not run.
        """
        names = [name for name in self.masks(layer, kind) if name in self.inputs]
        cells = [
            [self.net_interaction(layer, kind, given, mask, 1) for mask in names] for given in names
        ]
        if not names or any(cell is None for row in cells for cell in row):
            return None
        return np.array(cells, dtype=float)

    def own_loss(self, layer: str, kind: str, control: str, names: Sequence[str]) -> (
        np.ndarray | None
    ):  # fmt: skip
        """Return the loss under masks, averaged over variables and original and own input.

        Args:
            layer, kind: of the masks.
            control: "own", or a control in its place.
            names: of the variables.
        """
        found = []
        for mask in names:
            for given in (ORIGINAL, mask):
                condition = self.mask(layer, kind, given, mask)
                masks = [condition] if control == "own" else self.shuffles(condition, control)
                found.append(self.loss(given, masks))
        held = [one for one in found if one is not None]
        return np.mean(held, axis=0) if held and len(held) == len(found) else None

    def shared(self, layer: str, kind: str, mask: str) -> float:
        """Return the share of a mask's units that its matched units are, too."""
        condition = self.mask(layer, kind, ORIGINAL, mask)
        rows = [self._rows[c] for c in self.shuffles(condition, "matched") if c in self._rows]
        return float(self.outcomes["shared"].values[rows].mean()) if rows else float("nan")
