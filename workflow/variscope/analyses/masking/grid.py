"""Which conditions there are: inputs, masks, controls and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from variscope.analyses.masking.outcomes import (
    ABLATION,
    ORIGINAL,
    PUBLISHED,
    REFERENCE,
    TOGETHER,
    Condition,
    Setting,
    unmasked,
)


@dataclass(frozen=True)
class Target:
    """What is masked at once.

    Attributes:
        name: of the layer, or `TOGETHER`.
        layers: names of the layers.
        channels: whether channels can be permuted: all layers are of maps or tokens.
    """

    name: str
    layers: tuple[str, ...]
    channels: bool


@dataclass(frozen=True)
class Grid:
    """How much of all conditions is run.

    Attributes:
        kinds: of maps, the main one first.
        controls: of "other", "random", "matched" and "channels".
        seeds: shufflings of the random and matched controls.
        whole: all kinds at all settings for every input and mask; else the main kind at all
            settings where all layers are masked at once, under input of its own variable and
            original input, and the rest at the reference setting. Masks of other variables than
            the input's are held against one drawing of matched units in any case.
    """

    kinds: tuple[str, ...]
    controls: tuple[str, ...]
    seeds: int
    whole: bool

    def conditions(
        self, inputs: Sequence[str], masks: Mapping[str, Sequence[str]], targets: Sequence[Target]
    ) -> list[Condition]:
        """Return all conditions, those without a mask first.

        Args:
            inputs: augmentations that are applied alone, beside original input.
            masks: variables that have maps of each kind.
            targets: what is masked.
        """
        made = [unmasked(given) for given in (ORIGINAL, *inputs)]
        for target in targets:
            for kind in self.kinds:
                for given in (ORIGINAL, *inputs):
                    for mask in masks[kind]:
                        for setting in (*PUBLISHED, ABLATION):
                            made += [
                                Condition(given, mask, control, kind, target.name, *setting, seed)
                                for control, seed in self._controls(
                                    target, kind, given, mask, setting, mask in inputs
                                )
                            ]
        return made

    def _controls(
        self, target: Target, kind: str, given: str, mask: str, setting: Setting, applied: bool
    ) -> Iterator[tuple[str, int]]:
        """Yield the controls of an input and a mask at a setting, each with its seed."""
        own = given in (ORIGINAL, mask)
        main, reference = kind == self.kinds[0], setting == REFERENCE
        if not (self.whole or reference or (own and main and target.name == TOGETHER)):
            return
        if own:
            yield "own", 0
        elif "other" in self.controls:
            yield "other", 0
        else:
            return
        all_of_them = own and (self.whole or (main and reference))
        if "matched" in self.controls and (own or applied or self.whole):
            yield from (("matched", seed) for seed in range(self.seeds if all_of_them else 1))
        if all_of_them and "random" in self.controls:
            yield from (("random", seed) for seed in range(self.seeds))
        if all_of_them and "channels" in self.controls and target.channels:
            yield "channels", 0
