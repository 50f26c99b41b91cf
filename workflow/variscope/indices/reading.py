"""Read layers, indices and intervals out of a study as `variscope.decompose` returns it.

A study is an `xarray.DataTree` with one child per layer, in the order of depth. Every index `I`
comes with `I_low` and `I_high`, its confidence bounds.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr


class Estimate(NamedTuple):
    """An index with its confidence bounds: three arrays of the same dimensions."""

    value: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray


def layers(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the layers of a study, in its order: name -> results of the layer.

    Raises:
        ValueError: the tree has no layers, or they are not of one study.
    """
    found = {}
    for name, node in tree.children.items():
        if node.has_data:  # a node's own name holds no slash
            data = node.to_dataset()
            found[str(data.attrs.get("layer", name)) if "%2F" in name else name] = data
    nested = [name for name, node in tree.children.items() if not node.has_data and node.children]
    if nested:
        raise ValueError(
            f"expected one study, and found a tree of {len(nested)} ({', '.join(nested)}); give "
            f"one of them, tree[{nested[0]!r}]"
        )
    if not found:
        raise ValueError("the study holds no layers: expected one child node with data per layer")
    first, *others = ((name, variables(data)) for name, data in found.items())
    for name, other in others:
        if other != first[1]:
            raise ValueError(
                f"expected the layers of one study: {first[0]!r} has the variables "
                f"{', '.join(first[1])}, and {name!r} has {', '.join(other)}"
            )
    return found


def estimate(dataset: xr.Dataset, name: str) -> Estimate:
    """Return an index and its bounds by name, such as "shapley" or "S1_layer".

    Raises:
        ValueError: the dataset has no such index; those that it has are named.
    """
    if name not in dataset:
        present = [str(key) for key in dataset.data_vars if f"{key}_low" in dataset]
        raise ValueError(
            f"no index {name!r} in layer {dataset.attrs.get('layer', '?')!r}; "
            f"it holds {', '.join(present) or 'none'}"
        )
    return Estimate(dataset[name], dataset[f"{name}_low"], dataset[f"{name}_high"])


def has_index(tree: xr.DataTree, index: str) -> bool:
    """Say whether every layer of a study holds the layer aggregate of an index."""
    return all(f"{index}_layer" in data for data in layers(tree).values())


def main_index(tree: xr.DataTree) -> str:
    """Name the index whose values are disjoint shares: Shapley, or S1 where the design has none."""
    return "shapley" if has_index(tree, "shapley") else "S1"


def unit_dims(dataset: xr.Dataset) -> tuple[str, ...]:
    """Name a unit's dimensions, as ("channel", "y", "x"), ("token", "feature") or ("neuron",)."""
    return tuple(str(dim) for dim in dataset["variance"].dims)


def is_map(dataset: xr.Dataset) -> bool:
    """Say whether the layer is of maps of more than one pixel, or of patches with their grid."""
    if unit_dims(dataset) == ("token", "feature"):
        return int(np.prod(dataset.attrs.get("patch_grid", 1))) > 1
    if unit_dims(dataset) != ("channel", "y", "x"):
        return False
    return dataset.sizes["y"] * dataset.sizes["x"] > 1


def judged_dim(dataset: xr.Dataset) -> str:
    """Name the dimension by whose aggregates units are judged: channel, feature; else empty."""
    dims = unit_dims(dataset)
    if len(dims) < 2:
        return ""
    return {"channel": "channel", "token": "feature"}.get(dims[0], "")


def unit_name(dataset: xr.Dataset) -> str:
    """Name what the table and the pictures single out: channel, feature, neuron or unit."""
    dims = unit_dims(dataset)
    return judged_dim(dataset) or (dims[0] if len(dims) == 1 else "unit")


def unit_labels(dataset: xr.Dataset) -> list[str]:
    """Name the units of a layer of vectors: their classes where these are known, else numbers.

    The names are those of the coordinate ``unit_name``, which `with_unit_names` gives.
    """
    if "unit_name" in dataset.coords:
        return [str(name) for name in dataset["unit_name"].values]
    return [str(unit) for unit in range(dataset["variance"].size)]


def with_unit_names(tree: xr.DataTree, names: Mapping[str, Sequence[str]]) -> xr.DataTree:
    """Name the units of layers of scores by their classes, as the coordinate ``unit_name``.

    Args:
        tree: a study.
        names: of the classes, by the layer; other layers, and those of another size, stay as they
            are.
    """
    for node in tree.children.values():
        known = names.get(str(node.attrs.get("layer", node.name)), ())
        if len(known) == node.sizes.get("neuron"):
            node.coords["unit_name"] = ("neuron", list(known))
    return tree


def variables(dataset: xr.Dataset) -> list[str]:
    """Name the variables of the layer, in the study's order."""
    return [str(name) for name in dataset["variable"].values]


def unit_counts(dataset: xr.Dataset) -> dict[str, int]:
    """Count the units of a layer by status: {"fine": ., "constant": ., "not_finite": .}.

    Taken from the attribute of that name, or counted from `status` where there is none.
    """
    if "unit_counts" in dataset.attrs:
        stored = json.loads(dataset.attrs["unit_counts"])
        return {key: int(stored.get(key, 0)) for key in ("fine", "constant", "not_finite")}
    status = np.asarray(dataset["status"])
    return {
        key: int((status == code).sum())
        for code, key in enumerate(("fine", "constant", "not_finite"))
    }


def confidence_percent(dataset: xr.Dataset) -> str:
    """Return the confidence level for a reader.

    Example:
        >>> confidence_percent(xr.Dataset(attrs={"confidence_level": 0.95}))
        '95 %'
    """
    return f"{100 * float(dataset.attrs.get('confidence_level', 0.95)):g} %"
