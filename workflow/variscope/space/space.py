"""The space of a study: its variables, their factors, and what a point decodes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.space.augmentations import Augmentation
from variscope.space.images import ImageIndex, level
from variscope.space.order import decode_order
from variscope.space.repeats import repeated
from variscope.vocabulary import AUXILIARY, PARTS

APPLY = ("always", "switched")


@dataclass(frozen=True)
class Variable:
    """One input of the analysis (a player), with the factors that it owns.

    Attributes:
        name: as in the results.
        kind: ``"augmentation"`` or an auxiliary variable's name.
        factors: names of its coordinates, each in [0, 1).
    """

    name: str
    kind: str
    factors: tuple[str, ...]


@dataclass(frozen=True)
class Recipes:
    """What points decode to: which image, and what is done to it in which order.

    Equal recipes give equal images: what is not applied leaves no trace in them, whatever its
    parameters or its place in the order would have been.

    Attributes:
        image: image ids, ``(n,)``.
        operation: number of the augmentation applied at each position, then -1, ``(n, position)``.
        parameters: its parameters, then 0, float32, ``(n, position, parameter)``.
    """

    image: NDArray[np.int64]
    operation: NDArray[np.int8]
    parameters: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: NDArray[np.integer[Any]] | slice) -> Recipes:
        """Return some of the recipes."""
        return Recipes(self.image[rows], self.operation[rows], self.parameters[rows])

    def repeats(self, blocks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find rows that repeat an earlier row of their block: they need no evaluation.

        Args:
            blocks: the recipes are those of this many blocks, row by row.

        Returns:
            The rows to evaluate, ``(evaluation,)``, in order, and for each row the evaluation that
            holds its output, ``(n,)``.

        Example:
            >>> image = np.array([4, 4, 7])
            >>> recipes = Recipes(image, np.full((3, 1), -1, np.int8), np.zeros((3, 1, 0), "f4"))
            >>> recipes.repeats(blocks=1)
            (array([0, 2]), array([0, 0, 1]))
        """
        n = len(self)
        key = np.concatenate(
            [
                np.ascontiguousarray(self.image)[:, None].view(np.uint8),
                np.ascontiguousarray(self.operation).view(np.uint8),
                np.ascontiguousarray(self.parameters).reshape(n, -1).view(np.uint8),
            ],
            axis=1,
        )
        return repeated(key, blocks)


@dataclass(frozen=True)
class Space:
    """Variables, their distribution and the images that they act on.

    Attributes:
        augmentations: with their bounds, in the order in which they are listed.
        auxiliary: which of order, class, image, part are variables.
        apply: ``"always"``: those with parameters are always applied, those without with
            ``apply_probability``; ``"switched"``: each with ``apply_probability``.
        apply_probability: of a switch.
        index: the images by part and class.
        size: (height, width) of the images: bounds of pixels scale with it.
        part: the part that images come from where it is not a variable.
        channels: of the images, 1 or 3.
        hold: the part that all images come from although it may be a variable: what a variable
            would alter is then the same in all rows, so that it is not varied.
    """

    augmentations: tuple[Augmentation, ...]
    auxiliary: tuple[str, ...]
    index: ImageIndex
    size: tuple[int, int]
    apply: str = "always"
    apply_probability: float = 0.5
    part: str = "valid"
    channels: int = 3
    hold: str = ""

    def __post_init__(self) -> None:
        _check_names([a.name for a in self.augmentations], self.auxiliary)
        if self.apply not in APPLY:
            raise UserError(f"apply: found {self.apply!r}; allowed: {', '.join(APPLY)}")
        if not 0 < self.apply_probability < 1:
            raise UserError(
                f"apply_probability: found {self.apply_probability}; allowed: between 0 and 1"
            )
        for augmentation in self.augmentations:
            if self.channels == 1 and augmentation.of_color:
                raise UserError(
                    f"variables: {augmentation.name} changes colors, and images of one channel "
                    "have none; leave it out, or take three channels (dataset.channels: 3)"
                )
        self._check_images()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Augmentations as listed, then order, class, image, part."""
        players = [
            Variable(
                a.name,
                "augmentation",
                (("switch",) if self._switched(a) else ())
                + tuple(parameter.name for parameter in a.parameters),
            )
            for a in self.augmentations
        ]
        digits = tuple(f"digit_{k}" for k in range(len(self.augmentations) - 1))
        players += [
            Variable(name, name, digits if name == "order" else (name,))
            for name in AUXILIARY
            if name in self.auxiliary
        ]
        return tuple(players)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Columns of a point that belong to each variable."""
        groups, start = [], 0
        for variable in self.variables:
            groups.append(tuple(range(start, start + len(variable.factors))))
            start += len(variable.factors)
        return tuple(groups)

    def bounds(self, augmentation: Augmentation) -> list[tuple[float, float]]:
        """Return the bounds of an augmentation's parameters at the study's image size."""
        return [parameter.bounds(*self.size) for parameter in augmentation.parameters]

    def decode(self, points: NDArray[np.float64]) -> Recipes:
        """Decode points ``(n, factor)`` in [0, 1) into recipes: a pure function of the points."""
        n, positions = len(points), len(self.augmentations)
        columns = {
            v.name: points[:, list(g)] for v, g in zip(self.variables, self.groups, strict=True)
        }

        applied = np.ones((n, positions), dtype=bool)
        most = max((len(a.parameters) for a in self.augmentations), default=0)
        parameters = np.zeros((n, positions, most), dtype=np.float32)
        for a, augmentation in enumerate(self.augmentations):
            u = columns[augmentation.name]
            if self._switched(augmentation):
                applied[:, a], u = u[:, 0] < self.apply_probability, u[:, 1:]
            for p, parameter in enumerate(augmentation.parameters):
                parameters[:, a, p] = parameter.decode(u[:, p], *self.size)

        order = np.tile(np.arange(positions), (n, 1))
        if "order" in self.auxiliary and positions > 0:
            order = decode_order(columns["order"], positions)
        # Those applied come first, in their order; the others are blanked out.
        rows = np.arange(n)[:, None]
        order = order[rows, np.argsort(~applied[rows, order], axis=1, kind="stable")]
        kept = applied[rows, order]
        return Recipes(
            image=self._images(columns, n),
            operation=np.where(kept, order, -1).astype(np.int8),
            parameters=np.where(kept[..., None], parameters[rows, order], np.float32(0)),
        )

    def _switched(self, augmentation: Augmentation) -> bool:
        return self.apply == "switched" or not augmentation.parameters

    def _images(self, columns: dict[str, NDArray[np.float64]], n: int) -> NDArray[np.int64]:
        zero = np.zeros(n)
        u = {name: columns[name][:, 0] if name in columns else zero for name in AUXILIARY[1:]}
        if "part" in self.auxiliary and not self.hold:
            part = level(u["part"], len(PARTS))
        else:
            part = np.full(n, PARTS.index(self.hold or self.part))
        if "class" in self.auxiliary:
            return self.index.of_class(part, level(u["class"], self.index.classes), u["image"])
        return self.index.of_part(part, u["image"])

    def _check_images(self) -> None:
        varied = "part" in self.auxiliary and not self.hold
        parts = range(len(PARTS)) if varied else [PARTS.index(self.hold or self.part)]
        for part in parts:
            counts = self.index.count[part]
            if counts.sum() == 0:
                why = "part is a variable" if varied else f"part is {self.hold or self.part}"
                raise UserError(
                    f"auxiliary: {why}, but no image is of part {PARTS[part]}; "
                    "give images of that part, or leave it out"
                )
            if "class" in self.auxiliary and (counts == 0).any():
                raise UserError(
                    f"auxiliary: class is a variable, but class number {int(counts.argmin())} has "
                    f"no image of part {PARTS[part]}"
                )
            most = counts.max() if "class" in self.auxiliary else counts.sum()
            if "image" not in self.auxiliary and most > 1:
                raise UserError(
                    f"auxiliary: found {list(self.auxiliary)} without image, but {most} images "
                    "could be drawn; add image, or give one image"
                    + (" per class" if "class" in self.auxiliary else "")
                )


def _check_names(augmentations: Sequence[str], auxiliary: Sequence[str]) -> None:
    for name in auxiliary:
        if name not in AUXILIARY:
            raise UserError(f"auxiliary: found {name!r}; allowed: {', '.join(AUXILIARY)}")
    names = [*augmentations, *auxiliary]
    if not names:
        raise UserError(
            "variables: found none; name at least one augmentation or auxiliary variable"
        )
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"variables: {name!r} is named twice; a variable stands once")
