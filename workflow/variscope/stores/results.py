"""Results as users open them: one Zarr group per layer, and the tree of a study's layers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
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


def read_dataset(path: Path) -> xr.Dataset:
    """Read a dataset whole, each chunk checked.

    Raises:
        UserError: a chunk is missing or damaged; its file is named.
    """
    group = chunked.open_group(path)
    for _, array in group.arrays():
        chunked.check_complete(array)
    try:
        with xr.open_zarr(path) as dataset:
            return dataset.load()
    except Exception as error:
        for _, array in zarr.open_group(str(path), mode="r").arrays():
            chunked.name_damage(array, error)
        raise UserError(f"{path}: cannot be read ({error})") from error


def read_study(indices: Path | str) -> xr.DataTree:
    """Read the layers of a study, a directory ``indices``, into a tree: one node per layer.

    The order of the layers is that of the network: it stands in each layer's attributes.

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
    read = map(read_dataset, sorted(Path(indices).glob("*.zarr")))
    return study_tree({str(dataset.attrs["layer"]): dataset for dataset in read})


def study_tree(layers: Mapping[str, xr.Dataset]) -> xr.DataTree:
    """Join the datasets of layers into a tree in the order of the network.

    A slash in a layer's name would be a node below a node: it is percent-encoded in the node's.
    """
    ordered = sorted(layers, key=lambda name: int(layers[name].attrs["layer_number"]))
    return xr.DataTree.from_dict(
        {name.replace("/", "%2F"): layers[name] for name in ordered}, name="study"
    )
