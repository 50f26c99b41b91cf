"""Made-up outcomes of masks, in the form in which masking leaves them: no network is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from variscope.analyses.masking.outcomes import (
    ORIGINAL,
    PUBLISHED,
    REFERENCE,
    TOGETHER,
    Condition,
    Setting,
    outcomes_dataset,
    top_count,
    unmasked,
    write_outcomes,
)


def grid(
    inputs: Sequence[str],
    masks: Sequence[str],
    *,
    kinds: Sequence[str] = ("shapley",),
    layers: Sequence[str] = (TOGETHER,),
    seeds: int = 1,
    settings: Sequence[Setting] = PUBLISHED,
) -> list[Condition]:
    """Own and matched masks at all settings; those of other variables at the reference."""
    made = [unmasked(given) for given in (ORIGINAL, *inputs)]
    for layer in layers:
        for kind in kinds:
            for given in (ORIGINAL, *inputs):
                for mask in masks:
                    own = given in (ORIGINAL, mask)
                    for setting in settings if own else (REFERENCE,):
                        of = "own" if own else "other"
                        made.append(Condition(given, mask, of, kind, layer, *setting, 0))
                        made += [
                            Condition(given, mask, "matched", kind, layer, *setting, seed)
                            for seed in range(seeds)
                        ]
    return made


def outcomes(
    conditions: Sequence[Condition],
    margins: np.ndarray | None = None,
    *,
    classes: int = 10,
    images: int = 60,
    clusters: int = 30,
    seed: int = 0,
    predicted: np.ndarray | None = None,
    notes: Sequence[str] = (),
) -> xr.Dataset:
    """Outcomes with given margins ``(condition,)`` plus noise, and predictions that go with them.

    An image is right where its margin is above 0; else another class is drawn, or `predicted`
    ``(condition, image)`` says all of them.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(images) % classes
    mean = np.full(len(conditions), 0.3) if margins is None else np.asarray(margins)
    noise = rng.normal(0, 0.2, (1, images)) + rng.normal(0, 0.05, (len(conditions), images))
    margin = np.clip(mean[:, None] + noise, -1, 1)
    k = top_count(classes)
    if predicted is None:
        others = (label + 1 + rng.integers(classes - 1, size=margin.shape)) % classes
        predicted = np.where(margin > 0, label, others)
    first = np.broadcast_to(predicted, margin.shape)
    # The other classes follow in a drawn order.
    order = rng.permuted(np.tile(np.arange(classes), (*margin.shape, 1)), axis=2)
    rest = np.argsort(order == first[..., None], axis=2, kind="stable")
    top = np.concatenate([first[..., None], np.take_along_axis(order, rest, 2)[..., : k - 1]], 2)
    plain = {c.input: row for row, c in enumerate(conditions) if c.control == "none"}
    same = np.array([plain[c.input] for c in conditions])
    arrays = {
        "correct": first == label,
        "margin": margin.astype(np.float32),
        "agree": first == first[same],
        "predicted": first.astype(np.int32),
        "top": top.astype(np.int32),
        "shared": np.array([0.3 if c.control == "matched" else np.nan for c in conditions]),
    }
    if classes >= 100:
        arrays["correct5"] = (top == label[:, None]).any(axis=2)
    return outcomes_dataset(
        conditions,
        arrays,
        image=np.arange(images) + 100,
        label=label,
        cluster=np.arange(images) % clusters,
        classes=classes,
        notes=notes,
    )


def shards(folder: Path, made: xr.Dataset, count: int = 2) -> dict[str, Path]:
    """The outcomes as so many shards leave them."""
    found = {}
    for part in range(count):
        found[f"part_{part}"] = folder / f"part_{part}"
        found[f"part_{part}"].mkdir(parents=True)
        write_outcomes(found[f"part_{part}"], made.isel(image=slice(part, None, count)))
    return found
