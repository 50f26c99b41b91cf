"""What noise adds to the sums is what is taken off them."""

import numpy as np
import pytest
from measured_cases import INERT, noise_variance, noisy, session, truth
from numpy.testing import assert_allclose
from variscope.designs import Design
from variscope.estimators import Layout, Moments, cycle_terms, star_terms, unit_indices
from variscope.estimators.noise import (
    Noise,
    noise_factors,
    noise_share,
    repeat_sums,
    without_noise,
)
from variscope.responses.measured.sums import Measured, measured_sums


def measured(kind: str, seed: int, repeats: float = 0.1) -> Measured:
    """What was measured in a session of 512 blocks."""
    one = session(kind, 512, seed, repeats)
    present = np.ones(len(one.shown), dtype=bool)
    return measured_sums(noisy(one, seed), present, one.shown, one.design)


@pytest.mark.parametrize("variables", [1, 2, 3, 6])
def test_noise_adds_to_each_term_what_the_derivation_says(variables: int):
    cycle, star = (noise_factors(Layout(kind, variables)) for kind in ("cycle", "star"))
    expected = {"S1": float(variables == 1), "ST": 1.0, "shapley": 1 / variables, "variance": 1.0}
    pairs = {"S2": float(variables == 2)} if variables > 1 else {}
    assert cycle == pytest.approx(expected | pairs)
    assert star == pytest.approx(
        {"S1": 0.0, "ST": 1.0, "variance": 1.0} | ({"S2": 0.0} if variables > 1 else {})
    )


@pytest.mark.parametrize("variables", [2, 5])
@pytest.mark.parametrize("kind", ["cycle", "star"])
def test_the_formulas_of_pure_noise_have_these_means(kind: str, variables: int):
    design = Design(kind, tuple((i,) for i in range(variables)), 4096, 2, 1)
    blocks = design.replicate(0)
    noise = 1.5 * np.random.default_rng(0).standard_normal((*blocks.points.shape[:2], 16))
    terms = cycle_terms(noise, blocks.order) if kind == "cycle" else star_terms(noise)
    counts = terms.pop("S2_count", np.ones((len(noise), 1))).sum()
    for name, factor in noise_factors(Layout(kind, variables)).items():
        total = terms[name].sum() / 16
        terms_of = counts if name == "S2" and kind == "cycle" else terms[name][..., 0].size
        assert total / terms_of == pytest.approx(2.25 * factor, abs=0.05), name


def test_repeats_give_the_pooled_variance_within_stimuli():
    rng = np.random.default_rng(0)
    stimulus = np.array([3, 1, 3, 2, 1, 3])
    responses = rng.standard_normal((6, 2)) + 1e6 * stimulus[:, None]
    squares, degrees = repeat_sums(responses, stimulus)
    within = [responses[stimulus == s] for s in (1, 2, 3)]
    assert degrees == 3
    assert_allclose(squares, sum(part.var(axis=0) * len(part) for part in within), rtol=1e-6)


@pytest.mark.parametrize("repeats", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["cycle", "star"])
def test_corrected_intervals_hold_the_truth_and_uncorrected_ones_do_not(kind: str, repeats: float):
    corrected: list[list[float]] = []
    raw: list[list[float]] = []
    inert, share = [], []
    level = noise_variance() / (truth()["variance"] + noise_variance())
    for seed in range(8):
        found = measured(kind, seed, repeats)
        clean = unit_indices(without_noise(found.moments, found.noise), 0.95).estimates
        held = unit_indices(found.moments, 0.95).estimates
        for estimates, into in ((clean, corrected), (held, raw)):
            into.append(
                [
                    ((e.low <= truth()[name] + 1e-9) & (e.high >= truth()[name] - 1e-9)).mean()
                    for name, e in estimates.items()
                ]
            )
        inert.append(((clean["ST"].low <= 0) & (clean["ST"].high >= 0))[INERT].mean())
        noise = noise_share(found.moments, found.noise, 0.95)
        share.append(((noise.low <= level) & (level <= noise.high)).mean())
    names = list(clean)
    covered = dict(zip(names, np.mean(corrected, axis=0), strict=True))
    assert all(0.91 < value < 0.99 for value in covered.values()), covered
    assert np.mean(inert) > 0.89 and np.mean(share) > 0.89
    # The naive indices: total indices take the noise for the variables' own.
    assert np.mean(raw, axis=0)[names.index("ST")] < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cycle", "star"])
def test_corrected_intervals_keep_their_level(kind: str):
    hits: dict[str, list[float]] = {}
    for seed in range(100, 220):
        found = measured(kind, seed)
        clean = unit_indices(without_noise(found.moments, found.noise), 0.95).estimates
        for name, e in clean.items():
            inside = (e.low <= truth()[name] + 1e-9) & (e.high >= truth()[name] - 1e-9)
            hits.setdefault(name, []).append(inside.mean())
        inert = clean["ST"]
        hits.setdefault("inert", []).append(((inert.low <= 0) & (inert.high >= 0))[INERT].mean())
    covered = {name: np.mean(values) for name, values in hits.items()}
    assert all(0.93 <= value <= 0.97 for value in covered.values()), covered


def test_a_replicate_without_repeats_is_corrected_by_the_others():
    found = measured("cycle", 0)
    moments, noise = found.moments, found.noise
    degrees = np.where(np.arange(16) == 3, 0, noise.degrees)
    squares = np.where(degrees[:, None] > 0, noise.squares, 0)
    fewer = Noise(squares, degrees)
    corrected = without_noise(moments, fewer)
    taken = moments.numerator("ST") - corrected.numerator("ST")
    assert_allclose(taken.sum(axis=0)[INERT], moments.blocks.sum() * fewer.variance, rtol=1e-9)
    assert np.isfinite(unit_indices(corrected, 0.95).estimates["ST"].low).all()


def test_noise_that_is_not_known_is_not_taken_off():
    moments = Moments.zeros(Layout("cycle", 2), [0, 1], (3,))
    with pytest.raises(ValueError, match="not known"):
        without_noise(moments, Noise(np.zeros((2, 3)), np.zeros(2, dtype=np.int64)))
