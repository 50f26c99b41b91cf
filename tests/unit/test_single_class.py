"""Single classes: heads and predictions built so that the answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import masked
import masking_cases
import numpy as np
import pandas as pd
import pytest
import synthetic
from matplotlib.figure import Figure
from variscope.analyses.masking.outcomes import ORIGINAL, REFERENCE, TOGETHER, Condition
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.indices.reading import with_unit_names

ENTRY = built_in()["single_class"]
VARIABLES = ("erasing", "hue", "rolling", "image")
MASKS = VARIABLES[:3]


def study(classes: int, sensitive: dict[str, list[int]], mean: np.ndarray | None = None) -> Study:
    """A layer of scores whose outputs depend on known variables, the same in both halves."""
    data = synthetic.dataset(
        "scores", dims="vector", variables=VARIABLES, size=(classes,), constant=False
    )
    rng = np.random.default_rng(7)
    index = 0.02 + 0.01 * rng.random((len(VARIABLES), classes))
    for name, numbers in sensitive.items():
        index[VARIABLES.index(name), numbers] = 0.6 + 0.01 * np.arange(len(numbers))
    for kind in ("S1", "shapley"):
        data[kind][:] = index
        data[f"{kind}_low"][:], data[f"{kind}_high"][:] = index - 0.01, index + 0.01
        halves = np.stack([index, index - 0.005])
        data[f"{kind}_halves"] = (("half", "variable", "neuron"), halves)
    data = data.assign_coords(half=["A", "B"])
    data["mean"][:] = np.zeros(classes) if mean is None else mean
    return Study.of(synthetic.study({"scores": data}))


def made(
    folder: Path,
    predicted: Callable[[Condition, np.ndarray], np.ndarray],
    *,
    classes: int = 100,
    sensitive: dict[str, list[int]],
    mean: np.ndarray | None = None,
    masks: Sequence[str] = MASKS,
    seeds: int = 19,
    images: int = 100,
    **given: Any,
) -> Source:
    """A source with known predictions: the first ``(image,)``, or the k first ``(image, k)``."""
    tried = masking_cases.grid(masks, masks, seeds=seeds, settings=[REFERENCE])
    label = np.arange(images) % classes
    first = np.stack([predicted(condition, label) for condition in tried])
    only = first if first.ndim == 2 else first[..., 0]
    found = masking_cases.outcomes(
        tried, classes=classes, images=images, predicted=only, **{"clusters": 25} | given
    )
    if first.ndim == 3:
        found["top"] = found["top"].copy(data=first.astype(np.int32))
    return masked.source("single_class", found, folder, [study(classes, sensitive, mean)])


def tables(source: Source) -> dict[str, pd.DataFrame]:
    return {
        name: checked(ENTRY.table(name), found) for name, found in ENTRY.compute(source).items()
    }


def said(source: Source, found: dict[str, pd.DataFrame]) -> str:
    for picture in ENTRY.pictures:
        assert isinstance(ENTRY.draw(picture, source, found), Figure)
    words = ENTRY.words(source, found)
    text = " ".join((words.answer, *words.more, words.control))
    assert "nan" not in text and "undefined" not in text
    return text


def to_class_3(condition: Condition, label: np.ndarray) -> np.ndarray:
    """Hue's own masks send 8 of 10 images to class 3; all others leave what was right."""
    sent = condition.mask == "hue" and condition.control == "own"
    return np.where(sent & (np.arange(len(label)) % 10 < 8), 3, label)


def biased(condition: Condition, label: np.ndarray) -> np.ndarray:
    """Any mask sends 8 of 10 images to class 3: where little is left, the head's bias decides."""
    sent = condition.control != "none"
    return np.where(sent & (np.arange(len(label)) % 10 < 8), 3, label)


def test_classes_that_only_own_masks_predict_are_kept(tmp_path: Path):
    chosen = [3, 220, 440, 660, 880]

    def predicted(condition: Condition, label: np.ndarray) -> np.ndarray:
        rest = (label[:, None] + np.arange(5) * 7) % 1000
        return np.array([chosen] * len(label)) if condition.control == "own" else rest

    source = made(
        tmp_path, predicted, classes=1000, sensitive={"hue": chosen}, masks=["hue"], seeds=99,
        mean=np.arange(1000.0), images=20, clusters=20,
    )  # fmt: skip
    found = tables(source)
    kept = found["classes"][found["classes"]["kept"] == "yes"]
    assert sorted(kept["class"]) == chosen and set(kept["variable"]) == {"hue"}
    assert (kept["p_classes"] == 1 / 100).all() and (kept["p_masks"] == 1 / 100).all()
    assert (kept["hit"] == 1).all() and (kept["hit_unmasked"] < 0.1).all()
    assert "5 pass both controls: class 880 under masks by hue" in said(source, found)


def test_a_head_whose_bias_sends_all_masked_predictions_to_class_3_passes_nothing(tmp_path: Path):
    sensitive = {name: [3] for name in MASKS}
    source = made(tmp_path, biased, classes=10, sensitive=sensitive)
    found = tables(source)
    classes = found["classes"][found["classes"]["variable"].isin(MASKS)]
    # The naive version: of all classes it is predicted the most under the masks of each variable
    # that it is most sensitive to, and much more than without.
    assert (classes["class"] == 3).all() and (classes["p_classes"] == 1 / 10).all()
    assert (classes["hit"] >= 0.8).all() and (classes["hit_unmasked"] == 0.1).all()
    assert (classes["p_masks"] == 1).all() and (classes["kept"] == "no").all()
    assert "none passes both controls" in said(source, found)


def test_what_masks_change_of_each_class_is_counted(tmp_path: Path):
    source = made(tmp_path, to_class_3, sensitive={"hue": [3, 20, 40, 60, 80]})
    changes = tables(source)["predictions"]
    one = changes[(changes["input"] == ORIGINAL) & (changes["mask"] == "hue")].set_index("class")
    assert one["change"].idxmax() == 3 and one["low"][3] > 0.5
    assert one["change"][3] == pytest.approx(0.79, abs=0.02)
    assert one["change"].sum() == pytest.approx(0) == one["matched_change"].abs().max()
    assert one["error_change"].drop(3).mean() == pytest.approx(0.8, abs=0.02)


def test_overlap_is_that_of_the_classes_and_the_predictions_in_each_condition(tmp_path: Path):
    source = made(tmp_path, to_class_3, sensitive={"hue": [3, 20, 40, 60, 80]})
    overlap = tables(source)["overlap"]
    hue = overlap[(overlap["variable"] == "hue") & (overlap["kind"] == "shapley")]
    masked_ = hue[(hue["mask"] == "hue") & (hue["input"] == ORIGINAL)].iloc[0]
    plain = hue[(hue["mask"] == "") & (hue["input"] == ORIGINAL)].iloc[0]
    assert masked_["jaccard"] > 2 * masked_["matched"] and masked_["p_masks"] == 1 / 20
    assert masked_["p_classes"] <= 0.3 and masked_["low"] <= masked_["jaccard"] <= masked_["high"]
    assert plain["p_classes"] > 0.05 and np.isnan(plain["p_masks"])
    # Without a mask each input has the classes of each variable; under masks each its own.
    assert len(overlap[(overlap["mask"] == "") & (overlap["kind"] == "S1")]) == 4 * 4
    assert set(overlap["layer"]) == {"", TOGETHER}


def test_a_constant_predictor_passes_nothing_though_the_overlap_is_one_ninth(tmp_path: Path):
    # The ten classes with the largest mean are those that may be predicted for all images.
    top = np.tile([99, 98, 97, 96, 95], (100, 1))
    sensitive = {name: [99, 5, 25, 45, 65] for name in MASKS}
    mean = np.arange(100.0)
    source = made(tmp_path, lambda condition, label: top, sensitive=sensitive, mean=mean)
    found = tables(source)
    own = found["overlap"][found["overlap"]["variable"].isin(MASKS)]
    np.testing.assert_allclose(own["jaccard"], 1 / 9)
    assert own["p_classes"].mean() == pytest.approx(0.5, abs=0.05)
    assert (own["p_masks"].dropna() == 1).all()
    assert (found["classes"]["kept"] == "no").all()
    assert "none passes both controls" in said(source, found)


def drawn(rng: np.random.Generator, condition: Condition, label: np.ndarray) -> np.ndarray:
    """Predictions that have nothing to do with anything."""
    return rng.integers(100, size=len(label))


def test_predictions_that_have_nothing_to_do_with_the_classes_pass_at_the_nominal_rate(
    tmp_path: Path,
):
    ps = []
    for world in range(6):
        rng = np.random.default_rng(world)
        source = made(
            tmp_path / str(world),
            partial(drawn, rng),
            sensitive={name: list(rng.choice(100, 5, replace=False)) for name in MASKS},
            seed=world,
        )
        found = tables(source)
        assert (found["classes"]["kept"] == "no").all()
        own = found["overlap"][found["overlap"]["mask"] != ""]
        ps += list(own["p_classes"])
    assert (np.array(ps) < 0.05).mean() < 0.2 and 0.35 < np.mean(ps) < 0.65


def test_the_ranking_is_by_half_a_and_says_what_the_other_half_has(tmp_path: Path):
    source = made(tmp_path, to_class_3, sensitive={"hue": [3, 20, 40, 60, 80]})
    ranking = tables(source)["ranking"]
    hue = ranking[(ranking["variable"] == "hue") & (ranking["statistic"] == "shapley")]
    assert list(hue["class"])[:5] == [80, 60, 40, 20, 3] and list(hue["rank"]) == [*range(1, 11)]
    np.testing.assert_allclose(hue["other_half"], hue["value"] - 0.005)
    assert (ranking["statistic"] == "mean").sum() == 10
    assert (ranking["statistic"] == "coefficient_of_variation").sum() == 0  # means are 0


def test_ten_classes_cannot_pass_and_the_words_say_so(tmp_path: Path):
    source = made(tmp_path, to_class_3, classes=10, sensitive={"hue": [3]}, seeds=5)
    found = tables(source)
    assert (found["classes"]["p_classes"] >= 0.1).all() and len(found["classes"]) == 3
    text = said(source, found)
    assert "Here nothing could pass: so few classes cannot give less than p = 0.1" in text
    assert "so few random masks not less than 0.17" in text


def test_an_error_of_a_class_of_one_cluster_has_no_interval(tmp_path: Path):
    source = made(tmp_path, to_class_3, classes=10, sensitive={"hue": [3]}, clusters=10, seeds=1)
    found = tables(source)["predictions"]
    assert found["error_low"].isna().all() and found["low"].notna().all()
    assert found["error_change"].notna().all()


@pytest.mark.parametrize("case", ["two classes", "no scores", "no masks", "one variable"])
def test_little_data_has_tables_pictures_and_words(tmp_path: Path, case: str):
    if case == "two classes":
        source = made(tmp_path, to_class_3, classes=2, sensitive={"hue": [1]}, images=40)
    elif case == "no scores":
        tried = masking_cases.grid(MASKS, MASKS)
        source = masked.source("single_class", masking_cases.outcomes(tried, classes=7), tmp_path)
    elif case == "no masks":
        source = Source(studies=[named(study(10, {"hue": [3]}))])
    else:
        tried = masking_cases.grid(["hue"], ["hue"], settings=[REFERENCE])
        only = study(10, {"hue": [3]})
        tree = synthetic.study({"scores": only.tree["scores"].to_dataset().sel(variable=["hue"])})
        source = masked.source(
            "single_class", masking_cases.outcomes(tried), tmp_path, [Study.of(tree)]
        )
    found = tables(source)
    text = said(source, found)
    expected = {
        "two classes": "so no single classes are ranked",
        "no scores": "so no single classes are ranked",
        "no masks": "is that of c3: hue holds 0.60",
        "one variable": "none passes both controls",
    }
    assert expected[case] in text


def named(one: Study) -> Study:
    """The same study, whose scores are known to be of classes with names."""
    names = {"scores": [f"c{k}" for k in range(10)]}
    found = replace(one, unit_names=names)
    vars(found)["tree"] = with_unit_names(one.tree, names)
    return found
