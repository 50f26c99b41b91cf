"""Made-up studies which obey the dataset contract of the results, for tests of figures and reports.

Shares look spatial (erasing strong at the centre, rolling at the borders), some S1 estimates are
negative, and some units are constant: NaN with status 1. Nothing here is estimated.
"""

import itertools
import json
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy import stats
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source, Study
from variscope.space.grouping import variable_groups

SPATIAL = ("erasing", "sharpness", "rolling", "grayscale", "gaussian_blur")
COLOR = (
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "hflip",
    "rotation",
    "elliptic_local_blur",
)
AUXILIARY = ("order", "class", "image", "part")
LONG_NAMES = {
    "S1": "first-order Sobol' index",
    "ST": "total-order Sobol' index",
    "S2": "second-order Sobol' index",
    "shapley": "Shapley effect",
}


def replicate_sums(
    value: np.ndarray, half: np.ndarray | float, replicates: int, shared: float
) -> np.ndarray:
    """Sums of replicates (replicate, *shape) whose variance's sums are 1 each.

    Their pooled ratio is `value`, its t interval `half` to each side, and any two of the errors
    have the correlation `shared`.
    """
    rng = np.random.default_rng(5)
    value, half = np.broadcast_arrays(np.nan_to_num(value), np.nan_to_num(half))
    raw = rng.normal(size=(replicates, value.size + 1))
    raw -= raw.mean(axis=0)
    # Orthonormal as far as the replicates go.
    for first in range(0, raw.shape[1], replicates - 1):
        part = slice(first, first + replicates - 1)
        raw[:, part] = np.linalg.qr(raw[:, part])[0]
    each = np.sqrt(shared) * raw[:, :1] + np.sqrt(1 - shared) * raw[:, 1:]
    quantile = stats.t.ppf(0.975, replicates - 1)
    error = half.ravel() / quantile * np.sqrt((replicates - 1) / replicates)
    return value + replicates * (each * error).reshape(replicates, *value.shape)


def _patterns(variables: Sequence[str], height: int, width: int) -> np.ndarray:
    """Positive weights (variable, y, x) with the geometry that the augmentations are known for."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    radius = np.hypot(x, y)
    shapes = {
        "erasing": 0.6 * np.exp(-2 * radius**2),
        "rolling": 0.35 * radius**2,
        "rotation": 0.3 * radius**2,
        "hflip": 0.4 * np.abs(x),
        "elliptic_local_blur": 0.3 * np.exp(-4 * radius**2),
        "image": 0.4 + 0.05 * y,
        "class": 0.3 + 0.05 * x,
        "part": 1e-4 + 0 * x,
    }
    return np.stack([shapes.get(name, 0.05 + 0.02 * (x + 1)) for name in variables])


def dataset(
    layer: str = "conv1",
    *,
    dims: str = "maps",
    variables: Sequence[str] = SPATIAL + AUXILIARY,
    size: tuple[int, ...] = (8, 9, 11),
    replicates: int = 8,
    constant: bool = True,
    star: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """One layer's results; `dims` is "maps" (channels, height, width), "vector" or "other"."""
    rng = np.random.default_rng(seed)
    count = len(variables)
    if dims == "maps":
        unit_dims: tuple[str, ...] = ("channel", "y", "x")
        pattern = _patterns(variables, size[1], size[2])[:, None]
    elif dims == "vector":
        size, unit_dims = size[:1], ("neuron",)
        pattern = _patterns(variables, 1, 1)[:, 0]
    else:
        size = size[:2]
        unit_dims = ("unit_0", "unit_1")
        pattern = _patterns(variables, 1, 1)
    taste = rng.gamma(2.0, size=(count, size[0]) + (1,) * (len(size) - 1))
    share = pattern * taste * np.ones((count, *size))
    share = share / share.sum(axis=0)
    variance = rng.gamma(2.0, size=size) * 0.3
    mean = rng.normal(0.5, 0.4, size=size)
    status = np.zeros(size, dtype=np.int8)
    if constant:
        status[(1,) + (slice(0, 2),) * (len(size) - 1)] = 1
        if size[0] > 4:
            status[3] = 1
    variance = np.where(status == 1, 0.0, variance)
    values = {
        "S1": 0.8 * share + rng.normal(0, 0.01, share.shape) - 0.005,
        "ST": 1.2 * share + np.abs(rng.normal(0, 0.01, share.shape)),
        "shapley": share,
    }
    if star:
        del values["shapley"]
    half = {"S1": 0.04, "ST": 0.03, "shapley": 0.02}
    half_errors = np.random.default_rng([seed, 1])
    pairs = list(itertools.combinations(range(count), 2))
    pair_names = [f"{variables[i]}:{variables[j]}" for i, j in pairs]
    second = np.stack([0.3 * share[i] * share[j] for i, j in pairs]) if pairs else None

    arrays: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}

    def add(name: str, where: tuple[str, ...], value: np.ndarray, width: float) -> None:
        arrays[name] = (where, value)
        arrays[f"{name}_low"] = (where, value - width)
        arrays[f"{name}_high"] = (where, value + width)

    weights = variance / variance.sum()
    axes = tuple(range(1, share.ndim))
    steps = np.arange(2, replicates + 1)
    for name, value in values.items():
        add(name, ("variable", *unit_dims), np.where(status, np.nan, value), half[name])
        error = half_errors.normal(0, 0.2, (2, *value.shape)) * value
        arrays[f"{name}_halves"] = (
            ("half", "variable", *unit_dims),
            np.where(status, np.nan, value + error - error.mean(axis=0)),
        )
        layer_value = (value * weights).sum(axis=axes)
        add(f"{name}_layer", ("variable",), layer_value, half[name] / 2)
        arrays[f"numerator_{name}_layer"] = (
            ("replicate", "variable"),
            replicate_sums(layer_value, half[name] / 2, replicates, 0.3),
        )
        if dims == "maps":
            total = variance.sum(axis=(1, 2))
            with np.errstate(invalid="ignore"):
                channel = (value * variance).sum(axis=(2, 3)) / np.where(total > 0, total, np.nan)
            add(f"{name}_channel", ("variable", "channel"), channel, half[name] / 2)
            arrays[f"numerator_{name}_channel"] = (
                ("replicate", "variable", "channel"),
                replicate_sums(channel, half[name] / 2, replicates, 0.3),
            )
        by = np.tile(layer_value, (len(steps), 1))
        spread = np.linspace(0.3, 1.0, count) * rng.uniform(0.9, 1.1, (len(steps), count))
        student = 1 + 6 / steps**2
        width = half[name] / 2 * (student * np.sqrt(replicates / steps))[:, None] * spread
        by_name = f"{name}_layer_by_replicates"
        arrays[by_name] = (("replicates", "variable"), by)
        arrays[f"{by_name}_low"] = (("replicates", "variable"), by - width)
        arrays[f"{by_name}_high"] = (("replicates", "variable"), by + width)
    if second is not None:
        add("S2", ("pair", *unit_dims), np.where(status, np.nan, second), 0.01)
        add("S2_layer", ("pair",), (second * weights).sum(axis=axes), 0.01)
    arrays["variance_layer"] = (("replicate",), np.ones(replicates))
    if dims == "maps":
        arrays["variance_channel"] = (("replicate", "channel"), np.ones((replicates, size[0])))
    arrays["blocks_by_replicate"] = (("replicate",), np.full(replicates, 512 // replicates))
    arrays["mean"] = (unit_dims, mean)
    arrays["variance"] = (unit_dims, variance)
    arrays["status"] = (unit_dims, status)
    coords: dict[str, object] = {"variable": list(variables), "replicates": steps}
    coords["replicate"] = np.arange(replicates)
    coords["half"] = ["A", "B"]
    if second is not None:
        coords["pair"] = pair_names
    result = _with_groups(xr.Dataset(arrays, coords=coords))
    for array in result.data_vars.values():
        base = str(array.name).split("_")[0]
        array.attrs = {"units": "1", "long_name": LONG_NAMES.get(base, base)}
    result.attrs = {
        "experiment": "photographs",
        "model": "convnet",
        "variable_set": "spatial",
        "design": "star" if star else "cycle",
        "layer": layer,
        "confidence_level": 0.95,
        "replicates": replicates,
        "blocks": 512,
        "evaluations": 512 * 2 * count,
        "seed": 1,
        "images": "ten photographs",
        "apply": "always",
        "provenance": json.dumps({"variscope": "0.1.0", "seed": 1}),
        "unit_counts": json.dumps(
            {
                "fine": int((status == 0).sum()),
                "constant": int((status == 1).sum()),
                "not_finite": 0,
            }
        ),
    }
    return result


def tree(
    *, variables: Sequence[str] = SPATIAL + AUXILIARY, star: bool = False, replicates: int = 8
) -> xr.DataTree:
    """A study of five layers: four of maps and the vector of ten class scores."""
    sizes = {"conv1": (8, 16, 16), "conv2": (12, 8, 8), "conv3": (16, 4, 4), "pool": (16, 1, 1)}
    layers = {
        name: dataset(
            name,
            variables=variables,
            size=size,
            star=star,
            replicates=replicates,
            seed=k,
        )
        for k, (name, size) in enumerate(sizes.items())
    }
    layers["scores"] = dataset(
        "scores",
        dims="vector",
        variables=variables,
        size=(10,),
        star=star,
        replicates=replicates,
        constant=False,
        seed=9,
    )
    return study(layers)


def study(layers: dict[str, xr.Dataset]) -> xr.DataTree:
    """A DataTree with one child node per layer."""
    return xr.DataTree(children={name: xr.DataTree(data) for name, data in layers.items()})


def _with_groups(data: xr.Dataset) -> xr.Dataset:
    """Add the sums over the built-in groups to a layer that has Shapley effects."""
    if "shapley_layer" not in data:
        return data
    variables = [str(name) for name in data["variable"].values]
    augmentations = [name for name in variables if name not in AUXILIARY]
    groups = variable_groups(augmentations, [v for v in variables if v in AUXILIARY], {})
    numerators, values = (
        np.stack(
            [
                data[name].sel(variable=members).sum("variable").values
                for members in groups.values()
            ],
            axis=-1,
        )
        for name in ("numerator_shapley_layer", "shapley_layer")
    )
    values = np.where(np.isnan(data["shapley_layer"]).all(), np.nan, values)
    replicates = len(numerators)
    quantile = stats.t.ppf(0.975, replicates - 1)
    half = quantile * numerators.std(axis=0, ddof=1) / np.sqrt(replicates)
    data = data.assign_coords(group=list(groups))
    for end, bound in (("", values), ("_low", values - half), ("_high", values + half)):
        data[f"shapley_group_layer{end}"] = (("group",), bound)
    data["numerator_shapley_group_layer"] = (("replicate", "group"), numerators)
    return data


def layer_study(
    estimates: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]],
    variables: Sequence[str],
    *,
    counts: dict[str, dict[str, int]] | None = None,
    shared: float = 0.0,
    moved: Sequence[int] | None = None,
) -> xr.DataTree:
    """A study of hand-made layer aggregates.

    `estimates` maps layer -> index ("shapley", "S1", "ST") -> one (estimate, low, high) for each
    variable.
    The errors of any two have the correlation `shared`: those of two variables, indices or layers.
    `moved` counts, of each variable, the steps that changed an image.
    """
    layers = {}
    triples = [
        np.asarray(given, dtype=float).reshape(len(variables), 3)
        for indices in estimates.values()
        for given in indices.values()
    ]
    table = np.concatenate(triples)
    sums = iter(
        np.split(
            replicate_sums(table[:, 0], (table[:, 2] - table[:, 1]) / 2, 16, shared),
            len(triples),
            1,
        )
    )
    for layer, indices in estimates.items():
        data: dict[str, object] = {}
        for index, given in indices.items():
            table = np.asarray(given, dtype=float).reshape(len(variables), 3)
            for column, suffix in enumerate(("", "_low", "_high")):
                data[f"{index}_layer{suffix}"] = (("variable",), table[:, column])
            data[f"numerator_{index}_layer"] = (("replicate", "variable"), next(sums))
        data["variance_layer"] = (("replicate",), np.ones(16))
        data["blocks_by_replicate"] = (("replicate",), np.full(16, 32))
        if moved is not None:
            data["moved"] = (("variable",), np.asarray(moved))
        node = _with_groups(
            xr.Dataset(data, {"variable": list(variables), "replicate": np.arange(16)})
        )
        unit_counts = (counts or {}).get(layer, {"fine": 4, "constant": 0, "not_finite": 0})
        node.attrs = {
            "layer": layer,
            "model": "net",
            "variable_set": "spatial",
            "design": "cycle",
            "seed": 1,
            "replicates": 16,
            "blocks": 512,
            "images": "ten photographs",
            "confidence_level": 0.95,
            "unit_counts": json.dumps(unit_counts),
        }
        layers[layer] = node
    return study(layers)


def source(tree: xr.DataTree, **settings: object) -> Source:
    """What an analysis of one study is made from."""
    return Source(studies=[Study.of(tree)], settings=settings)


def said(tree: xr.DataTree) -> list[str]:
    """What the analyses of a study's layers say of it, sentence by sentence."""
    words = [
        built_in()[name].words(source(tree), {}) for name in ("summary", "depth", "comparison")
    ]
    found = [sentence for one in words for sentence in (one.answer, *one.more)]
    found += [text for one in words for text in (one.control, one.note)]
    return [sentence for sentence in found if sentence]
