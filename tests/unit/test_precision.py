"""Whether intervals are as narrow as asked, on datasets written by hand and on estimated ones."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr
from variscope.errors import UserError
from variscope.estimators import Layout, Moments
from variscope.indices.layer import layer_dataset
from variscope.indices.precision import Course, Precision, Stuck, Target, index_of, precision

NAN = float("nan")
VARIABLES = ("order", "image")


def target(
    half_width: float = 0.05, index: str = "shapley", of: str = "layers", most_blocks: int = 256
) -> Target:
    return Target(half_width=half_width, index=index, of=of, most_blocks=most_blocks)


def written(
    bounds: Sequence[Sequence[tuple[float, float]]],
    name: str = "shapley_layer",
    dims: Sequence[str] = ("channel", "y", "x"),
    moved: Sequence[int] = (5, 5),
    blocks: int = 64,
) -> xr.Dataset:
    """A layer whose bounds are given for each variable and, but for the layer's, each channel."""
    low, high = np.moveaxis(np.array(bounds, dtype=float), -1, 0)
    kept = () if name.endswith("_layer") else (name.partition("_")[2] or dims[0],)
    if not kept:
        low, high = low[:, 0], high[:, 0]
    return xr.Dataset(
        {
            f"{name}_low": (("variable", *kept), low),
            f"{name}_high": (("variable", *kept), high),
            "moved": ("variable", list(moved)),
            "variance": (
                tuple(dims),
                np.ones([low.shape[-1] if dim in kept else 1 for dim in dims]),
            ),
        },
        {"variable": list(VARIABLES)},
        {"blocks": blocks},
    )


def test_the_widest_interval_of_all_layers_is_named():
    found = precision(
        [
            ("conv", written([[(0.1, 0.2)], [(0.3, 0.36)]])),
            ("fc", written([[(0.1, 0.14)], [(0.2, 0.34)]])),
        ],
        target(),
    )
    assert (found.blocks, found.intervals, found.narrow, found.undefined) == (64, 4, 3, 0)
    assert found.widest is not None
    assert (found.widest.layer, found.widest.variable, found.widest.channel) == (
        "fc",
        "image",
        None,
    )
    assert found.widest.half_width == pytest.approx(0.07)
    assert not found.reached and found.stuck == ()


def test_an_interval_as_wide_as_asked_is_narrow():
    assert precision([("a", written([[(0, 0.125)], [(0, 0.0625)]]))], target(0.0625)).reached


def test_of_channels_counts_every_channel():
    bounds = [[(0, 0.02), (0, 0.3), (0, 0.01)], [(0, 0.02), (0, 0.02), (0, 0.02)]]
    found = precision([("conv", written(bounds, "S1_channel"))], target(index="S1", of="channels"))
    assert (found.intervals, found.narrow) == (6, 5)
    assert found.widest is not None
    assert (found.widest.channel, found.widest.variable) == (1, "order")


@pytest.mark.parametrize(
    ("name", "dims"), [("S1_feature", ("token", "feature")), ("S1", ("neuron",))]
)
def test_features_and_neurons_count_as_channels(name: str, dims: tuple[str, ...]):
    data = written([[(0, 0.02), (0, 0.3)], [(0, 0.02), (0, 0.02)]], name, dims)
    found = precision([("block", data)], target(index="S1", of="channels"))
    assert (found.intervals, found.narrow) == (4, 3)


def test_a_layer_without_channels_is_asked_as_a_whole():
    data = written([[(0, 0.02)], [(0, 0.3)]], "S1_layer", ("row", "column"))
    found = precision([("odd", data)], target(index="S1", of="channels"))
    assert (found.intervals, found.narrow) == (2, 1)
    assert found.widest is not None and found.widest.channel is None


def test_what_cannot_narrow_is_named_and_only_the_unbounded_holds_up():
    bounds = [[(NAN, NAN), (0, 0.02), (0, 0.02)], [(NAN, NAN), (0, 1), (0, 0.02)]]
    found = precision([("conv", written(bounds, "S1_channel"))], target(index="S1", of="channels"))
    assert (found.intervals, found.undefined, found.narrow) == (6, 2, 3)
    assert found.stuck == (
        Stuck("conv", "constant", (), (0,)),
        Stuck("conv", "unbounded", ("image",), (1,)),
    )
    assert not found.reached


def test_variables_that_are_unbounded_alike_are_named_together():
    found = precision([("fc", written([[(0, 1)], [(-0.1, 1)]]))], target())
    assert found.stuck == (Stuck("fc", "unbounded", VARIABLES, ()),)
    bounds: list[list[tuple[float, float]]] = [[(0, 1), (0, 1)], [(0, 0.1), (0, 1)]]
    found = precision([("conv", written(bounds, "S1_channel"))], target(index="S1", of="channels"))
    assert set(found.stuck) == {
        Stuck("conv", "unbounded", ("order",), ()),
        Stuck("conv", "unbounded", ("image",), (1,)),
    }


def test_a_variable_that_never_moved_is_named_and_does_not_hold_up():
    data = written([[(NAN, NAN)], [(0.9, 0.95)]], moved=(0, 5))
    found = precision([("conv", data)], target())
    assert found.stuck == (Stuck("conv", "not_varied", ("order",), ()),)
    assert (found.undefined, found.narrow, found.reached) == (1, 1, True)


def test_where_all_is_constant_nothing_is_waited_for():
    data = written([[(NAN, NAN)], [(NAN, NAN)]])
    found = precision([("conv", data)], target())
    assert found.stuck == (Stuck("conv", "constant", (), ()),)
    assert (found.undefined, found.narrow, found.widest, found.reached) == (2, 0, None, True)
    never = precision([("conv", written([[(NAN, NAN)], [(NAN, NAN)]], moved=(0, 0)))], target())
    assert never.stuck == (Stuck("conv", "not_varied", VARIABLES, ()),)


def test_the_intervals_are_those_of_an_estimated_layer():
    rng = np.random.default_rng(3)
    layout = Layout("cycle", 2)
    moments = Moments.zeros(layout, range(4), (3, 2))
    for replicate in range(4):
        outputs = rng.normal(size=(8, layout.rows, 3, 2))
        outputs[:, :, 1] = 1  # a constant token
        moments.update(replicate, outputs, rng.permuted(np.tile(np.arange(2), (8, 1)), axis=1))
    data = layer_dataset([moments], VARIABLES, ("token", "feature"), 0.95, {})
    found = precision([("block", data)], target(index="ST", of="channels"))
    half = (data["ST_feature_high"] - data["ST_feature_low"]) / 2
    assert found.widest is not None and found.widest.half_width == half.max()
    assert (found.blocks, found.intervals) == (32, 4)


def reached(blocks: int, narrow: int) -> Precision:
    return Precision(blocks, 3, 1, narrow, None, ())


def test_a_course_ends_when_two_rounds_in_a_row_are_narrow():
    course = Course(target(most_blocks=1000))
    assert not course.finished and not course.reached
    for blocks, narrow, finished in ((32, 2, False), (64, 1, False), (128, 2, False)):
        course = course.then(reached(blocks, narrow))
        assert course.finished is finished
    course = course.then(reached(256, 2))
    assert course.finished and course.reached


def test_a_course_ends_where_the_next_round_would_exceed_the_most_blocks():
    for most, finished in ((255, True), (256, False)):
        course = Course(target(most_blocks=most), (reached(128, 1),))
        assert course.finished is finished and not course.reached
    assert Course(target(most_blocks=128), (reached(128, 2),)).reached


def test_rounds_double_up_to_the_most_blocks():
    assert target(most_blocks=256).sizes(32) == (32, 64, 128, 256)
    assert target(most_blocks=255).sizes(32) == (32, 64, 128)
    assert target(most_blocks=32).sizes(32) == (32,)
    assert target(most_blocks=4096).sizes(48) == (48, 96, 192, 384, 768, 1536, 3072)


def test_a_course_goes_to_json_and_back():
    bounds = [[(NAN, NAN), (0, 0.02), (0, 0.02)], [(NAN, NAN), (0, 1), (0, 0.02)]]
    asked = target(index="S1", of="channels")
    first = precision([("conv", written(bounds, "S1_channel"))], asked)
    course = Course(asked).then(first).then(reached(128, 2))
    text = json.dumps(course.to_json(), allow_nan=False)
    assert Course.from_json(json.loads(text)) == course
    assert json.loads(text)["reached"] is True


def test_a_design_is_judged_by_an_index_that_it_has():
    assert index_of("cycle", "auto") == "shapley" and index_of("star", "auto") == "S1"
    assert index_of("star", "ST") == "ST"
    with pytest.raises(
        UserError, match=r"index: found 'shapley'; allowed with the star: auto, S1, ST"
    ):
        index_of("star", "shapley")
