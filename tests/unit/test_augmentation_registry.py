"""Parameters, options, overrides and the registry of augmentations."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from variscope.errors import UserError
from variscope.space import augmentations
from variscope.space.augmentations import Augmentation, Parameter, augmentation, get, registry


@pytest.fixture(autouse=True)
def untouched_registry(monkeypatch):
    """Give each test a registry of its own."""
    monkeypatch.setattr(registry, "_augmentations", dict(registry._augmentations))
    monkeypatch.setattr(registry, "_files", dict(registry._files))


USER_FILE = """
import torch
from variscope.space.augmentations import Parameter, augmentation

@augmentation("solarize", parameters=[Parameter(name="threshold", low=0.2, high=0.9)])
def solarize(images, parameters, *, inverted: bool = False):
    above = images >= parameters[:, :, None, None]
    return torch.where(above != inverted, 1 - images, images)
"""


# Bounds.


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("none", (0.25, 0.5)),
        ("height", (10.0, 20.0)),
        ("width", (20.0, 40.0)),
        ("size", (10.0, 20.0)),
    ],
)
def test_bounds_are_fractions_of_the_image(scale, expected):
    assert Parameter(name="shift", low=0.25, high=0.5, scale=scale).bounds(40, 80) == expected


@pytest.mark.parametrize(
    ("name", "parameter", "at_224"),
    [
        ("erasing", "row", (44.8, 179.2)),
        ("erasing", "column", (44.8, 179.2)),
        ("erasing", "area", (0.02, 0.33)),
        ("erasing", "log_aspect", (math.log(0.3), math.log(3.3))),
        ("rolling", "rows", (-44, 44)),
        ("rolling", "columns", (-44, 44)),
        ("gaussian_blur", "sigma", (0.1, 2.0)),
        ("brightness", "factor", (0.1, 2.5)),
        ("contrast", "factor", (0.01, 3.5)),
        ("saturation", "factor", (0.01, 3.5)),
        ("hue", "factor", (-0.5, 0.5)),
        ("rotation", "angle", (-10.0, 10.0)),
        ("elliptic_local_blur", "semi_axis_rows", (10.0, 32.0)),
        ("elliptic_local_blur", "semi_axis_columns", (10.0, 32.0)),
        ("elliptic_local_blur", "shift_rows", (-32.0, 32.0)),
        ("elliptic_local_blur", "shift_columns", (-32.0, 32.0)),
        ("elliptic_local_blur", "angle", (-15.0, 15.0)),
    ],
)
def test_published_bounds_hold_at_224_pixels(name, parameter, at_224):
    (found,) = [p for p in get(name).parameters if p.name == parameter]
    assert found.bounds(224, 224) == pytest.approx(at_224)
    ratio = 64 / 224 if found.unit == "pixels" else 1.0
    if not found.integer:
        assert found.bounds(64, 64) == pytest.approx([ratio * bound for bound in at_224])


@pytest.mark.parametrize(("size", "expected"), [(64, 12), (15, 3), (10, 2), (5, 1), (4, 0), (1, 0)])
def test_integer_bounds_are_the_outermost_whole_shifts(size, expected):
    assert get("rolling").parameters[0].bounds(size, 1) == (-expected, expected)


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (0, 1), (3, 3), (-1.5, 2.9), (0, 254)])
def test_whole_levels_are_equally_likely_and_the_last_is_never_exceeded(low, high):
    parameter = Parameter(name="level", low=low, high=high, integer=True)
    levels = np.arange(math.ceil(low), math.floor(high) + 1)
    u = (np.arange(40 * len(levels)) + 0.5) / (40 * len(levels))
    values, counts = np.unique(parameter.decode(u, 8, 8), return_counts=True)
    np.testing.assert_array_equal(values, levels)
    np.testing.assert_array_equal(counts, 40)
    ends = parameter.decode(np.array([0.0, np.nextafter(1.0, 0.0)]), 8, 8).astype(np.float32)
    np.testing.assert_array_equal(ends, levels[[0, -1]])


def test_integer_bounds_without_a_whole_number_take_the_nearest():
    parameter = Parameter(name="level", low=0.11, high=0.19, scale="height", integer=True)
    assert parameter.bounds(5, 5) == (1, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 2, "high": 1}, r"parameter factor is \[2, 1\]; allowed: two finite numbers"),
        ({"low": 0, "high": math.inf}, r"parameter factor is \[0, inf\]; allowed: two finite"),
        ({"low": -1, "high": 1, "minimum": 0}, r"is \[-1, 1\]; allowed: .*, at least 0$"),
        ({"low": 0, "high": 2, "maximum": 1}, r"is \[0, 2\]; allowed: .*, at most 1$"),
        ({"low": 0, "high": 1, "scale": "depth"}, "scale is 'depth'; allowed: none, height"),
        ({"low": 0, "high": 1, "name": "my factor"}, "named 'my factor'; allowed: a Python"),
        ({"low": 0.2, "high": 0.8, "integer": True}, "allowed: bounds with a whole number within"),
    ],
)
def test_impossible_parameters_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Parameter(**{"name": "factor", **settings})


# Overrides.


def test_overridden_bounds_are_those_of_the_study_and_do_not_scale():
    blur = get("gaussian_blur").with_overrides({"sigma": [1, 1.5]})
    assert blur.parameters[0].bounds(10, 10) == blur.parameters[0].bounds(500, 500) == (1.0, 1.5)
    assert get("gaussian_blur").parameters[0].bounds(224, 224) == pytest.approx((0.1, 2.0))


def test_overridden_bounds_leave_the_other_parameters():
    roll = get("rolling")
    changed = roll.with_overrides({"columns": (-3, 5)})
    assert changed.parameters[0] == roll.parameters[0]
    assert changed.parameters[1].bounds(64, 64) == (-3, 5)


def test_equal_bounds_fix_a_parameter():
    rotate = get("rotation").with_overrides({"angle": [10, 10]})
    assert rotate.parameters[0].bounds(64, 64) == (10.0, 10.0)


def test_no_overrides_give_an_equal_augmentation():
    assert get("erasing").with_overrides({}) == get("erasing")


def test_an_overridden_option_is_used_and_the_registered_one_kept():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    keep = get("sharpness").with_overrides({"factor": 1})
    assert keep.options == {"factor": 1.0}
    assert get("sharpness").options == {"factor": 1.5}
    assert torch.equal(keep(images, torch.empty(2, 0)), images)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("brightness", {"fator": [0, 1]}, "brightness: unknown key 'fator'; known: factor$"),
        ("erasing", {1: 2}, "unknown key 1; known: row, column, area, log_aspect, colour$"),
        ("hflip", {"factor": 1}, "hflip: unknown key 'factor'; known: none$"),
        ("brightness", {"factor": [1.5, 0.5]}, r"brightness: factor is \[1.5, 0.5\]; allowed: two"),
        ("brightness", {"factor": [-0.5, 1]}, r"factor is \[-0.5, 1\]; allowed: .*, at least 0$"),
        ("contrast", {"factor": [1]}, r"contrast: factor is \[1\]; allowed: two finite numbers"),
        ("contrast", {"factor": 1}, "contrast: factor is 1; allowed: two finite numbers"),
        ("contrast", {"factor": "01"}, "contrast: factor is '01'; allowed: two finite numbers"),
        ("contrast", {"factor": None}, "contrast: factor is None; allowed: two finite numbers"),
        ("saturation", {"factor": [0, math.nan]}, r"is \[0, nan\]; allowed: two finite numbers"),
        ("saturation", {"factor": [0, 10**400]}, "allowed: two finite numbers"),
        ("saturation", {"factor": ["0", "1"]}, r"is \['0', '1'\]; allowed: two finite numbers"),
        ("saturation", {"factor": [False, True]}, "allowed: two finite numbers"),
        ("hue", {"factor": [-0.6, 0.5]}, r"hue: factor is .*; allowed: .* within \[-0.5, 0.5\]"),
        ("erasing", {"area": [0.1, 1.2]}, r"erasing: area is .*; allowed: .* within \[0, 1\]"),
        ("gaussian_blur", {"sigma": [-1, 1]}, "gaussian_blur: sigma is .* at least 0$"),
        ("rolling", {"rows": [0.3, 0.6]}, "rolling: rows .* with a whole number within"),
        ("elliptic_local_blur", {"semi_axis_rows": [-1, 1]}, "semi_axis_rows is .* at least 0$"),
        ("elliptic_local_blur", {"sigma": -1}, "sigma is -1; allowed: null, or a finite number"),
        ("elliptic_local_blur", {"sigma": [1, 2]}, r"sigma is \[1, 2\]; allowed: null, or a"),
        ("erasing", {"colour": "red"}, "erasing: colour is 'red'; allowed: three numbers within"),
        ("erasing", {"colour": [0, 0]}, r"colour is \[0, 0\]; allowed: three numbers within"),
        ("erasing", {"colour": [0, 0, 128]}, r"colour is \[0, 0, 128\]; allowed: three numbers"),
        ("sharpness", {"factor": -1}, "sharpness: factor is -1; allowed: a finite number, at le"),
        ("sharpness", {"factor": True}, "sharpness: factor is True; allowed: a finite number"),
    ],
)
def test_overrides_that_are_not_allowed_are_refused(name, overrides, message):
    with pytest.raises(UserError, match=message):
        get(name).with_overrides(overrides)


def test_options_without_a_check_take_values_of_the_kind_of_their_default():
    @augmentation("patch")
    def patch(images, parameters, *, soft=False, weight=1, mode="mean", other=None):
        return images

    changed = patch.with_overrides({"soft": True, "weight": 0.5, "mode": "max", "other": [1]})
    assert changed.options == {"soft": True, "weight": 0.5, "mode": "max", "other": [1]}
    for key, value, allowed in (
        ("soft", 1, "true or false"),
        ("weight", "1", "a finite number"),
        ("mode", 3, "a value of type str"),
    ):
        with pytest.raises(UserError, match=f"patch: {key} is .*; allowed: {allowed}"):
            patch.with_overrides({key: value})


# Calls.


def test_arrays_of_the_wrong_kind_are_refused():
    brightness, images, parameters = get("brightness"), torch.rand(2, 3, 4, 5), torch.ones(2, 1)
    with pytest.raises(TypeError, match=r"images are torch.uint8; allowed: floating point"):
        brightness(images.to(torch.uint8), parameters)
    with pytest.raises(ValueError, match=r"shape \(3, 4, 5\); allowed: \(n, C, H, W\)"):
        brightness(images[0], parameters)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 4, 5\); allowed: \(n, 3, H, W\)"):
        get("saturation")(images[:, :1], parameters)
    with pytest.raises(ValueError, match=r"of brightness have shape \(2, 2\); allowed: \(2, 1\)"):
        brightness(images, torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"have shape \(1, 1\); allowed: \(2, 1\)"):
        brightness(images, parameters[:1])


def test_an_operation_that_changes_the_shape_or_the_dtype_is_refused():
    images, none = torch.rand(2, 3, 4, 5), torch.empty(2, 0)
    crop = Augmentation("crop", lambda images, parameters: images[..., 1:])
    half = Augmentation("half", lambda images, parameters: images.half())
    with pytest.raises(ValueError, match=r"crop made torch.float32 \(2, 3, 4, 4\) of"):
        crop(images, none)
    with pytest.raises(ValueError, match=r"half made torch.float16 .* it must keep both"):
        half(images, none)


def test_an_operation_that_returns_its_input_gives_new_memory_in_range():
    images = torch.rand(2, 3, 4, 5)
    same = Augmentation("same", lambda images, parameters: images)
    output = same(images, torch.empty(2, 0))
    assert torch.equal(output, images)
    assert output.data_ptr() != images.data_ptr()
    double = Augmentation("double", lambda images, parameters: 4 * images - 1)
    assert torch.equal(double(images, torch.empty(2, 0)), (4 * images - 1).clamp(0, 1))


def test_an_augmentation_can_be_hashed_and_copied():
    erase = get("erasing")
    assert hash(erase) == hash(get("erasing"))
    assert copy.deepcopy(erase) == erase


# The registry.


def test_a_registered_augmentation_is_found_and_called_by_its_function():
    @augmentation("invert", description="Negative.")
    def invert(images, parameters):
        return 1 - images

    images = torch.rand(2, 3, 4, 5)
    assert get("invert") is invert
    assert "invert" in augmentations.names()
    assert torch.equal(invert(images, torch.empty(2, 0)), 1 - images)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="unknown augmentation 'blur'; known: brightness, contr"):
        get("blur")
    with pytest.raises(UserError, match=r"unknown augmentation \[1\]; known: brightness"):
        get([1])  # type: ignore[arg-type]


def test_names_that_are_taken_are_refused():
    before = get("hue")
    with pytest.raises(UserError, match=r"'hue' is already registered, by .*color.py; allowed: a"):
        augmentation("hue")(lambda images, parameters: images)
    assert get("hue") is before


def test_a_cell_of_a_notebook_can_be_run_again():
    def define():
        def invert(images, parameters):
            return 1 - images

        invert.__module__ = "__main__"
        return augmentation("invert")(invert)

    define()
    again = define()
    assert get("invert") is again


@pytest.mark.parametrize(
    "operation",
    [
        lambda images: images,
        lambda images, parameters, factor: images,
        lambda images, parameters, *, factor: images,
        lambda images, parameters, **options: images,
        lambda *arrays: arrays[0],
    ],
)
def test_operations_with_another_signature_are_refused(operation):
    with pytest.raises(UserError, match=r"mine: the signature is .*; allowed: \(images, parameter"):
        augmentation("mine")(operation)


def test_parameters_and_options_must_have_distinct_names():
    def mine(images, parameters, *, factor=1.0):
        return images

    with pytest.raises(UserError, match="mine: parameters and options are factor, factor; allowed"):
        augmentation("mine", parameters=[Parameter(name="factor", low=0, high=1)])(mine)


# Files of users.


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_registers_its_augmentations_once(tmp_path, monkeypatch):
    file = write(tmp_path, USER_FILE)
    assert augmentations.load_file(file) == ("solarize",)
    first = get("solarize")
    monkeypatch.chdir(tmp_path)
    assert augmentations.load_file("mine.py") == ("solarize",)
    assert get("solarize") is first
    images = torch.rand(2, 3, 4, 5)
    expected = torch.where(images >= 0.5, 1 - images, images)
    assert torch.equal(first(images, torch.full((2, 1), 0.5)), expected)
    assert os.listdir(tmp_path) == ["mine.py"]  # no __pycache__ beside it


def test_the_example_of_the_documentation_works(tmp_path):
    lines = augmentations.__doc__.split("    import torch\n")[1].split("\n\nThe images are")[0]
    text = "import torch\n" + "\n".join(line[4:] for line in lines.splitlines())
    assert augmentations.load_file(write(tmp_path, text)) == ("posterize",)
    changed = get("posterize").with_overrides({"levels": [3, 5], "offset": 0.25})
    assert changed.parameters[0].bounds(64, 64) == (3, 5)
    ramp = torch.linspace(0, 1, 30).view(1, 1, 5, 6).expand(2, 3, 5, 6)
    output = get("posterize")(ramp, torch.tensor([[2.0], [5.2]]))
    assert output[0].unique().tolist() == [0.0, 1.0]
    assert output[1].unique().tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "mine.py': it registers nothing; allowed: at least one @augmentation"),
        ("def f(:\n", "mine.py' cannot be run: SyntaxError"),
        ("import no_such_module\n", "mine.py' cannot be run: ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)\n", "mine.py' cannot be run: SystemExit: 3"),
        (USER_FILE + "1 / 0\n", "mine.py' cannot be run: ZeroDivisionError: division by zero"),
        (
            USER_FILE.replace("solarize", "hue"),
            "mine.py': augmentation 'hue' is already registered",
        ),
        (
            USER_FILE.replace("0.9", "0.1"),
            r"mine.py': parameter threshold is \[0.2, 0.1\]; allowed",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named_and_leave_nothing_behind(tmp_path, text, message):
    before = augmentations.names()
    file = write(tmp_path, text)
    with pytest.raises(UserError, match=message):
        augmentations.load_file(file)
    assert augmentations.names() == before
    file.write_text(USER_FILE)  # mended, it loads
    assert augmentations.load_file(file) == ("solarize",)


@pytest.mark.parametrize("name", ["missing.py", "."])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=r"augmentation file '.*': no such file; allowed: a Python"):
        augmentations.load_file(tmp_path / name)
