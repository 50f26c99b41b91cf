"""Hand a stored star to SALib: its problem, and the network's outputs in the order of its rows.

The rows of the star stand in Saltelli's order, so that SALib analyses what the workflow stored:

    from SALib.analyze import sobol
    from variscope.salib import read_star

    problem, Y = read_star("results/photographs/convnet/spatial/star", "logits")
    indices = sobol.analyze(problem, Y[:, 3], calc_second_order=True)

SALib itself is not needed here. `variscope.estimators.star.salib_indices` gives the numbers of its
estimators for all units at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs.kinds.star import KIND
from variscope.errors import UserError
from variscope.stores import chunked
from variscope.stores.activations import ActivationsReader


class StarTable:
    """The outputs of one layer, ``(row, *unit)``, read from the disk as they are asked for.

    Indexing is numpy's with integers and slices, and gives float64 in memory: ``Y[:, 3]`` is a
    neuron, ``Y[:, 5, 2, 7]`` one pixel of channel 5, ``Y[:, 5]`` all of that channel at once, and
    ``Y[:]`` the whole table. Each reading goes through the stored chunks once and checks them;
    chunks hold many units, so that a slice of units costs little more than one.

    Attributes:
        shape: ``(row, *unit)``; rows are those of all blocks of all replicates in order, each
            block's in Saltelli's order A, AB_1..AB_D, BA_1..BA_D, B.
        dims: names of the dimensions, ``("row", "channel", "y", "x")`` or ``("row", "neuron")``.
        dtype: float64. What is stored is float32: SALib would sum as it is given.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, shards: Sequence[Path]) -> None:
        """Open the stores of a layer, ordered by replicate and block.

        Args:
            shards: its groups in ``activations/<layers>/<shard>/``.

        Raises:
            UserError: a store is of a cycle, is damaged, is of another study than the others, or
                holds a block that another holds as well.
        """
        if not shards:
            raise ValueError("a table needs one shard at least, found none")
        readers = {path: _open_star(path) for path in shards}
        ordered = sorted(readers, key=lambda path: _first(readers[path]))
        first = readers[ordered[0]]
        for one, other in pairwise(ordered):
            if readers[other].attributes != first.attributes or readers[other].unit != first.unit:
                raise UserError(
                    f"{other}: these outputs are of another study or layer than those of {one}; "
                    "delete the one that is left over"
                )
        holder: dict[tuple[int, int], Path] = {}
        for path in ordered:
            for block in _blocks(readers[path]):
                if block in holder:
                    raise UserError(
                        f"{path}: holds block {block[1]} of replicate {block[0]}, which "
                        f"{holder[block]} holds as well; delete the one that is left over from an "
                        "earlier run"
                    )
                holder[block] = path
        place = {block: row for row, block in enumerate(sorted(holder))}
        # Of each shard's blocks the places in the table.
        self._shards = {
            path: np.array([place[block] for block in _blocks(readers[path])]) for path in ordered
        }
        self.variables = int(str(first.attributes["number_of_variables"]))
        self.replicates = sorted({replicate for replicate, _ in holder})
        self.blocks = len(holder)
        self.shape = (self.blocks * KIND.rows(self.variables), *first.unit)
        self.dims = ("row", *first.dims)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim}: {n}" for dim, n in zip(self.dims, self.shape, strict=True))
        return f"<StarTable ({sizes}) of {len(self.replicates)} replicates>"

    def __getitem__(self, key: Any) -> NDArray[np.float64]:
        """Read some units: ``(row, *unit)``, less the dimensions that integers take away.

        Raises:
            IndexError: there is no such unit, or the key is not of integers and slices.
            UserError: a chunk is missing or damaged; its file is named.
        """
        rows, *units = _basic(key, self.ndim)
        # A view without memory: its shape, and numpy's own words for what is out of bounds.
        unit = np.broadcast_to(np.float64(0), self.shape[1:])[tuple(units)].shape
        table = np.empty((self.blocks, self.shape[0] // self.blocks, *unit))
        for path, places in self._shards.items():
            for outputs in _chunks(path, tuple(units)):
                table[places[: len(outputs)]] = outputs
                places = places[len(outputs) :]
        return table.reshape(self.shape[0], *unit)[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the whole table, as ``numpy.asarray`` asks."""
        if copy is False:
            raise ValueError("the table is on the disk: reading it always makes a copy")
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)


def read_star(study: str | Path, layer: str) -> tuple[dict[str, Any], StarTable]:
    """Return SALib's problem and table of a layer of a star that the workflow stored.

    Args:
        study: the folder ``results/<experiment>/<model>/<set>/star``.
        layer: name of the layer.

    Returns:
        The problem, with one entry per variable of the study (``num_vars``, ``names``, ``bounds``):
        an augmentation with all of its factors is one player, and its coordinates lie in [0, 1];
        and the table of outputs, ``(row, *unit)``. For each unit,
        ``SALib.analyze.sobol.analyze(problem, Y[:, unit], calc_second_order=True)``.

    Raises:
        UserError: the study is a cycle, kept no outputs, lacks the layer or a replicate, or is
            damaged.
    """
    study = Path(study)
    names, attributes = _described(study, layer)
    # An earlier run, of fewer blocks or other layers, may have left shards of its own.
    shards = [
        path
        for shard in attributes["shards"]
        if (path := study / "activations" / shard / f"{layer}.zarr").is_dir()
    ]
    if not shards:
        raise UserError(
            f"{study / 'activations'}: no outputs of layer {layer} are stored; SALib needs them, "
            "so run the study with storage: activations"
        )
    table = StarTable(shards)
    expected = attributes["replicates"], attributes["blocks"], len(names)
    held = len(table.replicates), table.blocks, table.variables
    if held != expected or table.replicates != list(range(expected[0])):
        raise UserError(
            f"{study / 'activations'}: found {_sizes(held)}, but the indices are of "
            f"{_sizes(expected)}; delete this directory and run the study again"
        )
    return problem(names), table


def problem(variables: Sequence[str]) -> dict[str, Any]:
    """Return SALib's problem of these variables: each one player with the bounds [0, 1].

    Example:
        >>> problem(["hue", "image"])
        {'num_vars': 2, 'names': ['hue', 'image'], 'bounds': [[0.0, 1.0], [0.0, 1.0]]}
    """
    names = list(map(str, variables))
    return {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0] for _ in names]}


def _described(study: Path, layer: str) -> tuple[list[str], dict[str, Any]]:
    """Read the names of the variables, and what the study was, from the indices of a layer."""
    path = study / "indices" / f"{layer}.zarr"
    if not path.is_dir():
        known = sorted(p.name.removesuffix(".zarr") for p in path.parent.glob("*.zarr"))
        raise UserError(
            f"{path}: no such layer in this study; it holds {', '.join(known) or 'none'}"
        )
    group = chunked.open_group(path)
    attributes = dict(group.attrs)
    _check_star(study, attributes)
    names = chunked.read(chunked.open_array(group, "variable"))
    return [str(name) for name in names], attributes


def _blocks(reader: ActivationsReader) -> Iterator[tuple[int, int]]:
    """Yield replicate and number of each block that a store holds."""
    return zip(reader.replicate.tolist(), reader.number.tolist(), strict=True)


def _first(reader: ActivationsReader) -> tuple[int, int]:
    return next(_blocks(reader))


def _open_star(path: Path) -> ActivationsReader:
    """Open the stored outputs of a star."""
    reader = ActivationsReader(path)
    _check_star(path, reader.attributes)
    return reader


def _check_star(path: Path, attributes: Mapping[str, object]) -> None:
    """Raise a UserError where a study's rows are not those that SALib reads."""
    design = attributes.get("design")
    if design != KIND.name:
        raise UserError(
            f"{path}: these rows are of the design {design}, but only the star's rows are SALib's; "
            "run the study with star under designs"
        )


def _sizes(counts: tuple[int, int, int]) -> str:
    return "{} replicates, {} blocks and {} variables".format(*counts)


def _basic(key: Any, ndim: int) -> list[int | slice]:
    """Return a key as one integer or slice per dimension.

    Raises:
        IndexError: it has too many entries, or one of another kind.
    """
    entries = list(key) if isinstance(key, tuple) else [key]
    if (at := next((k for k, e in enumerate(entries) if e is Ellipsis), None)) is not None:
        entries[at : at + 1] = [slice(None)] * (ndim - len(entries) + 1)
    entries += [slice(None)] * (ndim - len(entries))
    if len(entries) != ndim:
        raise IndexError(f"{len(entries)} indices for the {ndim} dimensions of the table")
    return [_integer_or_slice(entry) for entry in entries]


def _integer_or_slice(entry: Any) -> int | slice:
    if isinstance(entry, slice) and (entry.step is None or entry.step > 0):
        return entry
    try:
        return index(entry)
    except TypeError:
        raise IndexError(
            f"found {entry!r}; allowed: integers, and slices that go forward"
        ) from None


def _chunks(path: Path, units: tuple[int | slice, ...]) -> Iterator[NDArray[np.float32]]:
    """Yield a store's outputs of some units, ``(block, row, *unit)``, each chunk checked."""
    array = chunked.open_array(chunked.open_group(path), "activations")
    chunked.check_complete(array)
    size = array.chunks[0]
    for start in range(0, array.shape[0], size):
        try:
            outputs = np.asarray(array[(slice(start, start + size), slice(None), *units)])
        except Exception as error:
            chunked.name_damage(array, error)
            raise
        yield outputs
