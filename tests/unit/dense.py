"""Layers as large as those of networks that are in use."""

import numpy as np
import synthetic
import xarray as xr


def maps() -> xr.Dataset:
    """512 channels of 28 x 28 pixels."""
    return synthetic.dataset("large", size=(512, 28, 28))


def tokens() -> xr.Dataset:
    """A class token and 196 patches, of 768 features each, as a vision transformer has them."""
    data = synthetic.dataset("large", size=(768, 14, 14))
    arrays: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name, array in data.data_vars.items():
        dims, values = tuple(map(str, array.dims)), array.values
        if dims[-3:] == ("channel", "y", "x"):
            patches = np.moveaxis(values.reshape(*values.shape[:-2], -1), -1, -2)
            values = np.concatenate([patches[..., :1, :], patches], axis=-2)
            dims = (*dims[:-3], "token", "feature")
        elif dims[-1] == "channel":
            dims = (*dims[:-1], "feature")
        arrays[str(name).replace("_channel", "_feature")] = (dims, values)
    for index in ("S1", "ST", "shapley"):
        for end in ("", "_low", "_high"):
            each = np.nanmean(arrays[f"{index}{end}"][1], axis=-1)
            arrays[f"{index}_token{end}"] = (("variable", "token"), each)
    kinds = ("token", ["class", *["patch"] * 196])
    coords = {str(key): data[key] for key in data.coords} | {"token_kind": kinds}
    return xr.Dataset(arrays, coords=coords, attrs={**data.attrs, "patch_grid": [14, 14]})
