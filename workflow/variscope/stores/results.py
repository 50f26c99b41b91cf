"""Results as users open them: one Zarr group per layer, and the tree of a study's layers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

import xarray as xr
import zarr

from variscope.errors import UserError
from variscope.stores import chunked


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a dataset as Zarr that ``xarray.open_zarr`` reads, with checksummed chunks."""
    encoding = {
        name: {"compressors": chunked.ROUNDED_CODECS, **chunked.WRITE_ALL}
        for name in dataset.variables
    }
    with warnings.catch_warnings():
        # Consolidated metadata is one read instead of a hundred; xarray looks for it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        dataset.to_zarr(path, mode="w", encoding=encoding, zarr_format=3, consolidated=True)


def read_dataset(path: Path, keep: Callable[[Hashable], bool] | None = None) -> xr.Dataset:
    """Read a dataset, each chunk checked.

    Args:
        path: of the group.
        keep: says of an array's name whether it is read; by default all are.

    Raises:
        UserError: a chunk is missing or damaged; its file is named.
    """
    group = chunked.open_group(path)
    for _, array in group.arrays():
        chunked.check_complete(array)
    try:
        with xr.open_zarr(path) as dataset:
            left = [name for name in dataset.data_vars if keep is not None and not keep(name)]
            return dataset.drop_vars(left).load()  # coordinates stay, whatever has them
    except Exception as error:
        for _, array in zarr.open_group(str(path), mode="r").arrays():
            chunked.name_damage(array, error)
        raise UserError(f"{path}: cannot be read ({error})") from error


def read_study(
    indices: Path | str | Sequence[Path | str], keep: Callable[[Hashable], bool] | None = None
) -> xr.DataTree:
    """Read the layers of a study into a tree: one node per layer.

    Args:
        indices: the layers' groups, in the order of the tree; or their directory ``indices``, of
            which all layers are read, in the order of the network.
        keep: says of an array's name whether it is read; by default all are.

    Raises:
        UserError: a chunk is missing or damaged; its file is named.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for number, layer in enumerate(("features.0", "classifier")):
        ...         attributes = {"layer": layer, "layer_number": number}
        ...         data = xr.Dataset({"S1": ("neuron", [0.25, 0.5])}, attrs=attributes)
        ...         write_dataset(Path(folder, f"{layer}.zarr"), data)
        ...     study = read_study(folder)
        >>> list(study.children)
        ['features.0', 'classifier']
        >>> study["classifier"]["S1"].values
        array([0.25, 0.5 ])
    """
    if isinstance(indices, (str, os.PathLike)):
        read = [read_dataset(path, keep) for path in sorted(Path(indices).glob("*.zarr"))]
        read.sort(key=lambda dataset: int(dataset.attrs["layer_number"]))
    else:
        read = [read_dataset(Path(path), keep) for path in indices]
    return study_tree({str(dataset.attrs["layer"]): dataset for dataset in read})


def study_tree(layers: Mapping[str, xr.Dataset]) -> xr.DataTree:
    """Join the datasets of layers into a tree, in their order.

    A slash in a layer's name would be a node below a node: it is percent-encoded in the node's.
    """
    return xr.DataTree.from_dict(
        {name.replace("/", "%2F"): layers[name] for name in layers}, name="study"
    )
