"""Writes a design for a laboratory: stimuli, the order of presentation, and what comes back."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.inputs.images import ImageTable
from variscope.responses.measured.presentations import Presentations
from variscope.space.altering import alter
from variscope.space.space import Space

FORMATS = ("png", "npz")
COLUMNS = ("position", "stimulus", "replicate", "block", "row", "repeat")

# Stimuli of one .npz file, and those that are made at once.
_AT_ONCE = 256

README = """# Stimuli of a variance decomposition: what to show, and what comes back

- `order.csv`: one line per presentation, in the order of presentation: its position from 0, the
  number of its stimulus, and the row of the design that it is (replicate, block, row; `repeat` is 1
  where a row is shown once more). {presentations:,} presentations of {stimuli:,} stimuli.
- `stimuli/`: {form}
- `digest.txt`: `{digest}`, which names this order and these stimuli.

Show all presentations in this order, those of the same stimulus too: the order is random, so that
drift is no variable's effect, and repeats are how the noise is known. Shared breaks are no matter.

## What comes back

One file, `.npz` or a Zarr group, with

- an array for each region or recording, under a name of your choice, of shape
  (presentations, units): one number per presentation and unit, such as the mean dF/F of a window
  after the onset or a spike count, each presentation on its own, **not averaged over repeats**;
- `digest`: the text of `digest.txt` (an array of the .npz, an attribute of the Zarr group);
- `position`, integers, where rows are in another order or some are missing: the position in
  `order.csv` that each row is. Without it row k is position k, and all {presentations:,} are there.

A presentation that was lost is left out, or is NaN in all units. Its block of {rows} rows is left
out of the indices, and counted. A number that is not finite elsewhere is refused.

```python
import numpy as np

np.savez_compressed("responses.npz", V1=v1, digest=open("digest.txt").read().strip())
```

Then name the file as a model of the same configuration:

```yaml
models:
  mouse: {{responses: path/to/responses.npz}}
```
"""

_PNG = "`000000.png` and so on, 8 bits a channel, by the number of the stimulus."
_NPZ = (
    "`000000.npz` and so on, by the number of the first stimulus in it, each with `images` "
    "(stimuli, channels, height, width), float32 in [0, 1]."
)


def export(
    folder: Path,
    shown: Presentations,
    space: Space,
    images: ImageTable,
    *,
    form: str = "png",
    on_stimuli: Callable[[int], object] | None = None,
) -> None:
    """Write stimuli, order, digest and what is expected into a new folder.

    Args:
        folder: exists, and is empty.
        shown: what is presented.
        space: whose augmentations the recipes count.
        images: where the recipes' images come from.
        form: of the stimuli, one of `FORMATS`: pictures of 8 bits a channel, or float32 arrays.
        on_stimuli: called with the number of stimuli done.
    """
    if form not in FORMATS:
        raise ValueError(f"form is {form!r}; allowed: {', '.join(FORMATS)}")
    stimuli = folder / "stimuli"
    stimuli.mkdir()
    for start, batch in altered(shown, space, images):
        if form == "npz":
            np.savez_compressed(stimuli / f"{start:06}.npz", images=batch)
        else:
            _write_pictures(stimuli, start, batch)
        if on_stimuli is not None:
            on_stimuli(len(batch))
    with (folder / "order.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        columns = (getattr(shown, name).tolist() for name in COLUMNS[1:])
        table.writerows(zip(range(len(shown)), *columns, strict=True))
    (folder / "digest.txt").write_text(f"{shown.digest}\n")
    text = README.format(
        presentations=len(shown),
        stimuli=len(shown.recipes),
        form=_PNG if form == "png" else _NPZ,
        digest=shown.digest,
        rows=int(shown.row.max()) + 1,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def altered(
    shown: Presentations, space: Space, images: ImageTable
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the stimuli in batches: number of the first, and ``(n, C, H, W)`` in [0, 1]."""
    for start in range(0, len(shown.recipes), _AT_ONCE):
        recipes = shown.recipes.take(slice(start, start + _AT_ONCE))
        base = torch.from_numpy(images.load(recipes.image))
        if base.dtype == torch.uint8:
            base = base.to(torch.float32) / 255
        yield start, alter(base, recipes, space.augmentations).numpy()


def _write_pictures(folder: Path, start: int, batch: NDArray[np.float32]) -> None:
    from PIL import Image

    pixels = np.rint(batch.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    for number, picture in enumerate(pixels, start):
        gray = picture.shape[-1] == 1
        Image.fromarray(picture[..., 0] if gray else picture).save(folder / f"{number:06}.png")
