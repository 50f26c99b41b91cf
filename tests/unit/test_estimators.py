"""Estimators against closed forms, exact identities, and the formulas as they stand."""

from itertools import permutations, product

import numpy as np
import pytest
from closed_forms import (
    Case,
    all_cases,
    bit_cases,
    enumerate_exact,
    g_function,
    ishigami,
    product_case,
    run,
    scalars,
    sums_of,
    switch,
)
from numpy.testing import assert_allclose, assert_array_equal
from variscope.designs import cycle_rows, star_rows
from variscope.estimators import (
    Layout,
    Moments,
    aggregate_indices,
    cycle_terms,
    merge,
    proportion,
    star_terms,
    unit_indices,
)
from variscope.estimators.layout import GROUP
from variscope.vocabulary import CONSTANT, FINE, NOT_FINITE


def random_block(design="cycle", blocks=7, variables=5, units=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    layout = Layout(design, variables)
    outputs = rng.standard_normal((blocks, layout.rows, units)).astype(dtype)
    order = rng.permuted(np.tile(np.arange(variables), (blocks, 1)), axis=1)
    return layout, outputs, order


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
@pytest.mark.parametrize("design", ["cycle", "star"])
def test_estimates_agree_with_the_closed_form(case: Case, design: str):
    got = run(case, design, blocks=8192, replicates=16, confidence_level=0.9999)
    assert got.variance[0] == pytest.approx(case.variance, rel=0.03)
    for name in ("S1", "ST", "shapley"):
        if name not in got.estimates:
            continue
        estimate, truth = got.estimates[name], np.asarray(getattr(case, name))
        assert_allclose(estimate.value[:, 0], truth, atol=0.02, err_msg=name)
        inside = (estimate.low[:, 0] - 1e-9 <= truth) & (truth <= estimate.high[:, 0] + 1e-9)
        assert inside.all(), (name, estimate, truth)
    pairs = Layout(design, len(case.groups)).pairs
    for pair, share in case.S2.items():
        assert got.estimates["S2"].value[pairs.index(pair), 0] == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("case", [*bit_cases(), switch(False)], ids=lambda case: case.name)
def test_closed_forms_agree_with_enumeration(case: Case):
    """The closed forms themselves, held against the obvious reference (bits by their levels)."""
    if case.name == "switch":
        levels = (np.arange(2000) + 0.5) / 2000
        grid = np.stack(np.meshgrid([0.25, 0.75], levels, indexing="ij"), axis=-1)
        probabilities = [[0.5, 0.5], [1 / 2000] * 2000]
    else:
        grid = np.stack(np.meshgrid(*[[0.25, 0.75]] * 3, indexing="ij"), axis=-1)
        probabilities = [[0.5, 0.5]] * 3
    values = case.function(grid.reshape(-1, grid.shape[-1])).reshape(grid.shape[:-1])
    exact = enumerate_exact(values, probabilities)
    assert exact["variance"] == pytest.approx(case.variance, rel=1e-5)
    for name in ("S1", "ST", "shapley"):
        assert_allclose(exact[name], getattr(case, name), atol=1e-5)


@pytest.mark.parametrize("case", bit_cases(), ids=lambda case: case.name)
def test_the_cycle_is_exact_over_all_points_and_permutations(case: Case):
    """All 8 x 8 pairs of points and all 6 permutations: no Monte Carlo error is left."""
    points = np.array(list(product([0.25, 0.75], repeat=3)))
    blocks = [(x, y, pi) for x in points for y in points for pi in permutations(range(3))]
    x, y, order = (np.array(part) for part in zip(*blocks, strict=True))
    rows = cycle_rows(x, y, order, scalars(3))
    outputs = case.function(rows.reshape(-1, 3)).reshape(-1, 6)
    terms = cycle_terms(outputs, order)
    variance = terms["variance"].mean()
    assert variance == pytest.approx(case.variance, abs=1e-14)
    for name in ("S1", "ST", "shapley"):
        assert_allclose(terms[name].mean(axis=0) / variance, getattr(case, name), atol=1e-13)
    exact = enumerate_exact(case.function(points).reshape(2, 2, 2), [[0.5, 0.5]] * 3)
    s2 = terms["S2"].sum(axis=0) / terms["S2_count"].sum(axis=0) / variance
    assert_allclose(s2, exact["S2"], atol=1e-13)


@pytest.mark.parametrize("case", bit_cases(), ids=lambda case: case.name)
def test_the_star_is_exact_over_all_points(case: Case):
    points = np.array(list(product([0.25, 0.75], repeat=3)))
    x, y = (np.array(part) for part in zip(*product(points, points), strict=True))
    rows = star_rows(x, y, np.zeros((len(x), 0), dtype=np.int64), scalars(3))
    terms = star_terms(case.function(rows.reshape(-1, 3)).reshape(-1, 8))
    variance = terms["variance"].mean()
    assert variance == pytest.approx(case.variance, abs=1e-14)
    exact = enumerate_exact(case.function(points).reshape(2, 2, 2), [[0.5, 0.5]] * 3)
    for name in ("S1", "ST", "S2"):
        assert_allclose(terms[name].mean(axis=0) / variance, exact[name], atol=1e-13)


@pytest.mark.parametrize("variables", [1, 2, 3, 6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_compiled_cycle_sums_the_terms(variables: int, dtype: type):
    layout, outputs, order = random_block(variables=variables, units=700, dtype=dtype)
    moments = Moments.zeros(layout, [0], (700,))
    moments.update(0, outputs, order)
    terms = cycle_terms(outputs.astype(np.float64), order)
    tolerance = 1e-12 if dtype is np.float64 else 2e-5
    for name in (*layout.indices, "S2"):
        assert_allclose(moments.numerator(name)[0], terms[name].sum(0), rtol=0, atol=tolerance * 50)
    assert_allclose(moments.variance[0], terms["variance"].sum(0), rtol=tolerance)
    assert_array_equal(moments.pair_counts[0], terms["S2_count"].sum(0))
    assert_allclose(moments.raw("total")[0], outputs.sum((0, 1), dtype=np.float64), atol=1e-4)


@pytest.mark.parametrize("variables", [1, 2, 5])
def test_the_compiled_star_sums_the_terms(variables: int):
    layout, outputs, order = random_block("star", variables=variables, units=300)
    moments = Moments.zeros(layout, [0], (300,))
    moments.update(0, outputs, order)
    terms = star_terms(outputs)
    for name in (*layout.indices, "S2"):
        assert_allclose(moments.numerator(name)[0], terms[name].sum(0), atol=1e-12)
    assert_allclose(moments.variance[0], terms["variance"].sum(0), rtol=1e-12)


def test_shapley_effects_sum_to_the_variance_in_every_block():
    _, outputs, order = random_block(blocks=50)
    terms = cycle_terms(outputs, order)
    assert_allclose(terms["shapley"].sum(axis=1), terms["variance"], rtol=1e-12)


def test_an_inert_variable_is_exactly_zero():
    base = product_case((0.3, 0.2))
    case = Case("inert", lambda u: base.function(u[:, :2]), scalars(3), 0, [], [], [])
    got = run(case, blocks=256)
    for name in ("S1", "ST", "shapley"):
        estimate = got.estimates[name]
        assert estimate.value[2, 0] == estimate.low[2, 0] == estimate.high[2, 0] == 0.0


def test_a_scale_and_an_offset_of_the_output_change_nothing():
    case = ishigami()
    moved = Case("moved", lambda u: 3 - 250 * case.function(u), case.groups, 0, [], [], [])
    one, other = run(case, blocks=512), run(moved, blocks=512)
    for name in one.estimates:
        assert_allclose(one.estimates[name], other.estimates[name], rtol=1e-9, atol=1e-12)


def test_one_group_of_all_variables_has_index_one():
    case = g_function()
    got = run(Case("one", case.function, (tuple(range(8)),), 0, [], [], []), blocks=64)
    for name in ("S1", "ST", "shapley"):
        assert got.estimates[name].value[0, 0] == pytest.approx(1, abs=1e-12)


def test_first_order_is_at_most_shapley_is_at_most_total():
    got = run(g_function(), blocks=8192)
    s1, shapley, st = (got.estimates[name].value for name in ("S1", "shapley", "ST"))
    assert (s1 <= shapley + 0.01).all() and (shapley <= st + 0.01).all()


def test_the_star_agrees_with_salib_on_the_same_rows():
    """SALib's own estimators on our rows, and ours in its place, from one table."""
    from SALib.analyze import sobol

    case, blocks = ishigami(), 512
    from variscope.designs import Design

    table = Design("star", case.groups, blocks, 2, seed=3)
    rows = np.concatenate([table.replicate(r).points for r in range(2)])
    outputs = case.function(rows.reshape(-1, 3))
    problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[0, 1]] * 3}
    theirs = sobol.analyze(problem, outputs, calc_second_order=True, seed=1)
    y = (outputs - outputs.mean()) / outputs.std()
    y = y.reshape(blocks, 8)
    a, b, ab = y[:, 0], y[:, -1], y[:, 1:4]
    pooled = np.var(np.concatenate([a, b]))
    saltelli = (b[:, None] * (ab - a[:, None])).mean(0) / pooled
    jansen = 0.5 * ((a[:, None] - ab) ** 2).mean(0) / pooled
    assert_allclose(theirs["S1"], saltelli, atol=1e-10)
    assert_allclose(theirs["ST"], jansen, atol=1e-10)
    # Both copies of Jansen's total index average AB and BA; SALib's uses AB alone.
    terms = star_terms(outputs.reshape(blocks, 8))
    assert_allclose(
        (
            (terms["ST"] * 2).mean(0)
            - 0.5
            * ((outputs.reshape(blocks, 8)[:, 4:7] - outputs.reshape(blocks, 8)[:, 7:]) ** 2).mean(
                0
            )
        )
        / np.var(
            np.concatenate([outputs.reshape(blocks, 8)[:, 0], outputs.reshape(blocks, 8)[:, -1]])
        ),
        theirs["ST"],
        atol=1e-10,
    )


@pytest.mark.parametrize("design", ["cycle", "star"])
def test_the_stream_equals_the_whole(design: str):
    """To the last bit where the calls end with a group, else to the rounding of float32."""
    layout, outputs, order = random_block(design, blocks=40, units=600, dtype=np.float32)
    whole = Moments.zeros(layout, [0], (600,))
    whole.update(0, outputs, order)
    scale = np.abs(whole.sums).max()
    for size in (GROUP, 2 * GROUP, 1, 7, 39):
        parts = Moments.zeros(layout, [0], (600,))
        for start in range(0, 40, size):
            parts.update(0, outputs[start : start + size], order[start : start + size])
        if size % GROUP:
            assert_allclose(parts.sums / scale, whole.sums / scale, rtol=0, atol=1e-6)
        else:
            assert_array_equal(parts.sums, whole.sums)
        assert_array_equal(parts.pair_counts, whole.pair_counts)


@pytest.mark.parametrize("design", ["cycle", "star"])
def test_rows_that_repeat_need_be_there_but_once(design: str):
    layout, outputs, order = random_block(design, blocks=20, units=300, dtype=np.float32)
    rows = np.random.default_rng(0).integers(0, 50, (20, layout.rows))
    unique = outputs.reshape(-1, 300)[:50]
    once, laid_out = (Moments.zeros(layout, [0], (300,)) for _ in range(2))
    once.update(0, unique, order, rows)
    laid_out.update(0, unique[rows], order)
    assert_array_equal(once.sums, laid_out.sums)
    for wrong in (rows + 1, rows - 1):
        with pytest.raises(ValueError, match="beyond the 50 that are given"):
            once.update(0, unique, order, wrong)


@pytest.mark.parametrize("units", [1, 15, 16, 129, 300])
@pytest.mark.parametrize("variables", [1, 2, 5])
@pytest.mark.parametrize("design", ["cycle", "star"])
def test_units_of_every_size_side_by_side_are_summed_by_the_formulas(
    design: str, variables: int, units: int
):
    """However small, large, sparse or far from 0: nothing overflows, nothing is lost."""
    layout, outputs, order = random_block(design, 37, variables, units, dtype=np.float32)
    kinds = np.arange(units) % 9
    outputs *= np.array([1, 1e-30, 1e-20, 1e-16, 1e14, 1e17, 1e18, 1, 1], np.float32)[kinds]
    outputs[:, :, kinds == 7] += np.float32(1e4)
    outputs[:, :, kinds == 8] *= np.random.default_rng(1).random((37, layout.rows, 1)) < 0.02
    moments = Moments.zeros(layout, [0], (units,))
    moments.update(0, outputs, order)
    exact = outputs.astype(np.float64)
    terms = cycle_terms(exact, order) if design == "cycle" else star_terms(exact)
    for name in (*layout.indices, "S2"):
        expected = terms[name].sum(axis=0)
        size = np.abs(terms[name]).sum(axis=0) + 1e-300  # terms cancel
        assert_allclose(moments.numerator(name)[0] / size, expected / size, rtol=0, atol=3e-6)
    assert_allclose(moments.variance[0], terms["variance"].sum(axis=0), rtol=3e-6)
    mean = moments.raw("total")[0] / outputs[:, :, 0].size
    spread = exact.std(axis=(0, 1)) + np.abs(exact.mean(axis=(0, 1)))
    assert_allclose(mean / spread, exact.mean(axis=(0, 1)) / spread, rtol=0, atol=1e-6)


def test_a_unit_does_not_depend_on_its_neighbours():
    layout, outputs, order = random_block(blocks=20, units=300, dtype=np.float32)
    other = outputs.copy()
    other[:, :, 1::2] *= np.float32(1e-25)
    one, two = (Moments.zeros(layout, [0], (300,)) for _ in range(2))
    one.update(0, outputs, order)
    two.update(0, other, order)
    assert_array_equal(one.sums[..., ::2], two.sums[..., ::2])
    assert (two.variance[..., 1::2] > 0).all()


def test_shards_merge_in_any_order_to_the_same_bits():
    layout, outputs, order = random_block(blocks=6)
    shards = []
    for number in range(6):
        shard = Moments.zeros(layout, [number], (3,))
        shard.update(number, outputs[number : number + 1], order[number : number + 1])
        shards.append(shard)
    forward, backward = merge(shards), merge(shards[::-1])
    assert_array_equal(forward.sums, backward.sums)
    assert_array_equal(forward.replicates, np.arange(6))
    pairwise = shards[0]
    for shard in shards[1:]:
        pairwise = merge([shard, pairwise])
    assert_array_equal(forward.sums, pairwise.sums)
    with pytest.raises(ValueError, match="after block 1 comes a part that begins at 0"):
        merge([shards[0], shards[0]])


def test_merging_refuses_other_settings():
    layout, *_ = random_block()
    mine = Moments.zeros(layout, [0], (3,))
    with pytest.raises(ValueError, match="do not merge"):
        merge([mine, Moments.zeros(Layout("star", 5), [0], (3,))])
    with pytest.raises(ValueError, match="do not merge"):
        merge([mine, Moments.zeros(layout, [0], (4,))])
    with pytest.raises(ValueError, match="no moments"):
        merge([])


def test_update_refuses_what_does_not_fit_and_changes_no_input():
    layout, outputs, order = random_block()
    moments = Moments.zeros(layout, [0], (3,))
    with pytest.raises(ValueError, match="rows and units"):
        moments.update(0, outputs[:, :-1], order)
    with pytest.raises(ValueError, match="replicate 4"):
        moments.update(4, outputs, order)
    with pytest.raises(ValueError, match="order has shape"):
        moments.update(0, outputs, order[:, :-1])
    copies = outputs.copy(), order.copy()
    moments.update(0, outputs, order)
    assert_array_equal(outputs, copies[0])
    assert_array_equal(order, copies[1])


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12])
def test_units_of_any_scale_keep_their_variance(scale: float):
    """Absolute tolerances delete small units; products in float32 underflow below 1e-19."""
    _, outputs, order = random_block(blocks=200, units=4)
    layout, small = Layout("cycle", 5), (outputs * scale).astype(np.float32)
    moments = Moments.zeros(layout, [0, 1], (4,))
    moments.update(0, small[:100], order[:100])
    moments.update(1, small[100:], order[100:])
    got = unit_indices(moments, 0.95)
    expected = cycle_terms(outputs[:], order)
    assert (got.status == FINE).all()
    assert_allclose(got.variance / scale**2, expected["variance"].mean(0), rtol=1e-5)


def test_a_large_mean_leaves_the_variance_right_where_the_naive_formula_fails():
    rng = np.random.default_rng(1)
    outputs = (1000 + 0.01 * rng.standard_normal((64, 10, 300))).astype(np.float32)
    naive = (outputs**2).mean((0, 1), dtype=np.float32) - outputs.mean(
        (0, 1), dtype=np.float32
    ) ** 2
    assert (naive < 0).any()
    order = rng.permuted(np.tile(np.arange(5), (64, 1)), axis=1)
    moments = Moments.zeros(Layout("cycle", 5), [0, 1], (300,))
    moments.update(0, outputs[:32], order[:32])
    moments.update(1, outputs[32:], order[32:])
    got = unit_indices(moments, 0.95)
    terms = cycle_terms(outputs.astype(np.float64), order)
    assert_allclose(got.variance, terms["variance"].mean(0), rtol=1e-6)
    assert (got.status == FINE).all()


def test_constant_and_not_finite_units_are_marked_and_spoil_no_other():
    layout, outputs, order = random_block(blocks=64, units=5, dtype=np.float32)
    spoiled = outputs.copy()
    spoiled[:, :, 1] = 0.0
    spoiled[:, :, 2] = 1234.5
    spoiled[3, 2, 3] = np.nan
    spoiled[5, 1, 4] = np.inf
    clean, dirty = (Moments.zeros(layout, [0, 1], (5,)) for _ in range(2))
    for half in range(2):
        part = slice(32 * half, 32 * half + 32)
        clean.update(half, outputs[part], order[part])
        dirty.update(half, spoiled[part], order[part])
    good, got = unit_indices(clean, 0.9), unit_indices(dirty, 0.9)
    assert got.status.tolist() == [FINE, CONSTANT, CONSTANT, NOT_FINITE, NOT_FINITE]
    for name, estimate in got.estimates.items():
        for bound, other in zip(estimate, good.estimates[name], strict=True):
            assert np.isnan(bound[:, 1:]).all()
            assert_array_equal(bound[:, 0], other[:, 0])
    layer = aggregate_indices(dirty, got.status, 0.9).estimates
    assert_allclose(layer["ST"].value, good.estimates["ST"].value[:, 0], rtol=1e-12)
    assert np.isnan(got.mean[3:]).all() and got.mean[2] == pytest.approx(1234.5)


def test_aggregates_are_ratios_of_sums_and_weigh_by_variance():
    layout, outputs, order = random_block(blocks=64, units=6)
    outputs = outputs * np.array([1, 2, 3, 4, 5, 6.0])
    moments = Moments.zeros(layout, [0, 1], (3, 2))
    shaped = outputs.reshape(64, layout.rows, 3, 2)
    moments.update(0, shaped[:32], order[:32])
    moments.update(1, shaped[32:], order[32:])
    units = unit_indices(moments, 0.95)
    layer = aggregate_indices(moments, units.status, 0.95).estimates
    channels = aggregate_indices(moments, units.status, 0.95, keep=1).estimates
    for name, axes in (("S1", (1, 2)), ("shapley", (1, 2))):
        value = units.estimates[name].value
        weighted = (value * units.variance).sum(axes) / units.variance.sum()
        assert_allclose(layer[name].value, weighted, rtol=1e-12)
        by_channel = (value * units.variance).sum(2) / units.variance.sum(1)
        assert_allclose(channels[name].value, by_channel, rtol=1e-12)


def test_sparse_units_report_the_bounds_that_hold():
    rng = np.random.default_rng(5)
    layout, outputs, order = random_block(blocks=400, units=1)
    outputs[rng.random(400) < 0.98] = 0.0  # a unit that is nearly always off
    moments = Moments.zeros(layout, [0, 1], (1,))
    moments.update(0, outputs[:200], order[:200])
    moments.update(1, outputs[200:], order[200:])
    got = unit_indices(moments, 0.95)
    assert got.guards["S1"].all()
    assert (got.estimates["S1"].low == 0).all()
    assert_array_equal(got.estimates["S1"].high, got.estimates["ST"].high)


@pytest.mark.parametrize("design", ["cycle", "star"])
def test_intervals_cover_the_truth_at_their_level(design: str):
    """400 seeds of the g-function; the binomial spread of 0.95 over 400 is 0.011."""
    case = g_function()
    seeds = 400
    inside = {"S1": np.zeros(8), "ST": np.zeros(8), "shapley": np.zeros(8)}
    for seed in range(seeds):
        got = run(case, design, blocks=512, replicates=16, seed=seed)
        for name in inside:
            if name in got.estimates:
                estimate, truth = got.estimates[name], np.asarray(getattr(case, name))
                inside[name] += (estimate.low[:, 0] <= truth) & (truth <= estimate.high[:, 0])
    for name in ("S1", "ST", "shapley") if design == "cycle" else ("S1", "ST"):
        coverage = inside[name] / seeds
        assert (coverage > 0.90).all(), (name, coverage)
        assert 0.93 < coverage.mean() < 0.985, (name, coverage)


def test_two_variables_give_a_full_factorial():
    """With D = 2 the four rows of a block are all corners: S1 + S1 + S2 = 1 in the sums."""
    moments = sums_of(product_case((0.3, 0.2)), blocks=64)
    got = unit_indices(moments, 0.95).estimates
    assert got["S1"].value.sum() + got["S2"].value.sum() == pytest.approx(1, abs=1e-12)
    assert got["ST"].value[0, 0] == pytest.approx(
        got["S1"].value[0, 0] + got["S2"].value[0, 0], abs=1e-12
    )


def test_proportions_have_the_interval_of_wilson():
    """The closed form of Wilson (1927), at the normal quantile of 0.975; R's prop.test agrees."""
    z, n, hits = 1.959963984540054, 40, 5
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    assert_allclose(proportion(hits, n, 0.95), (share, centre - half, centre + half), atol=1e-9)


def test_layouts_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="cycle, star"):
        Layout("saltelli", 3)
    with pytest.raises(ValueError, match="at least one variable"):
        Layout("cycle", 0)
