"""Which images of a folder come from one source: the file ``clusters.csv`` in its root.

Crops of one photograph, frames of one film or slices of one patient are no independent sample. The
file has the header ``path,cluster`` and one line for each image: its path below the folder, and
the name of its source.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variscope.errors import UserError
from variscope.inputs.scanning import printable

FILE, HEADER = "clusters.csv", ["path", "cluster"]


def read_clusters(folder: Path, sources: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Read the cluster of each image, numbered by the clusters' names in alphabetical order.

    Args:
        folder: of the images.
        sources: paths of its images below it, which all need a line. Other files of the folder,
            such as images that are left out, may have one.

    Returns:
        ``(n,)``; None where the folder has no such file.

    Raises:
        UserError: the file has another header, a line that is not two texts, a path twice, a path
            where there is no file, or none for an image; the file is named.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    named = _lines(path)
    missing = [source for source in sources if source not in named]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(sources)} images have no line, the first is "
            f"{printable(missing[0])}; every image needs one"
        )
    known = set(sources)
    unknown = [name for name in named if name not in known and not (folder / name).is_file()]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UserError(
            f"{path}: there is no file {printable(unknown[0])}{more}; paths are relative to "
            f"{folder}, with /"
        )
    clusters = [named[source] for source in sources]
    return np.unique(np.array(clusters, dtype=object), return_inverse=True)[1].astype(np.int64)


def state_of(folder: Path) -> list[str]:
    """Return a line that changes when the folder's file of clusters does; none where it has none.

    It is text for a digest: size and time of modification.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    state = os.stat(path)
    return [f"{FILE} {state.st_size} {state.st_mtime_ns}"]


def _lines(path: Path) -> dict[str, str]:
    """Return the cluster's name by the image's path."""
    named: dict[str, str] = {}
    try:
        # A table program may have written a mark of the byte order first.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if header != HEADER:
                raise UserError(
                    f"{path}: the first line is {printable(','.join(header))!r}; "
                    f"{','.join(HEADER)!r} is needed"
                )
            for row in rows:
                if not row:
                    continue
                if len(row) != 2 or not all(row):
                    raise UserError(
                        f"{path}: line {rows.line_num} is {printable(','.join(row))!r}; a path and "
                        "a cluster are needed"
                    )
                if row[0] in named:
                    raise UserError(f"{path}: {printable(row[0])} stands there twice")
                named[row[0]] = row[1]
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    return named
