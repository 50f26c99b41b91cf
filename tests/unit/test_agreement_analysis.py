"""The agreement of maps on networks whose maps are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import agreement_worlds as worlds
import numpy as np
import pandas as pd
import pytest
import synthetic
import torch
from agreement_worlds import SIZE, Linear, images, patch_weight, run, source
from matplotlib.figure import Figure
from torch import nn
from variscope.analyses.agreement import ANALYSIS
from variscope.analyses.agreement.areas_said import sentences
from variscope.analyses.agreement.choosing import built_in_names, check_settings
from variscope.analyses.agreement.deleting import counts_of, kept_cells
from variscope.analyses.agreement.gathered import centre, edge_maps
from variscope.analyses.attributed import looked_at
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.attributions import built_in
from variscope.errors import UserError

METHODS = ["gradient", "difference", "own.py:contribution", "own.py:cells"]

OWN = """
import torch


def contribution(model, images, target):
    \"\"\"What is lost where a pixel goes black, of a linear model.\"\"\"
    images = images.detach().requires_grad_()
    score = model(images)[torch.arange(len(images)), target].sum()
    (slope,) = torch.autograd.grad(score, images)
    return (slope * images).detach().sum(dim=1)


def cells(model, images, target):
    return torch.nn.functional.avg_pool2d(contribution(model, images, target), 4)


def fixed(model, images, target):
    return torch.arange(16.0).reshape(1, 4, 4).repeat(len(images), 1, 1)


def noise(model, images, target):
    return images.sum(dim=1)


def wrong(model, images, target):
    return images
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    for key, value in where.items():
        table = table[table[key] == value]
    return table


def present(made: Source, tables: dict[str, pd.DataFrame]) -> Words:
    """Draw all pictures, and return the words."""
    for picture in ANALYSIS.pictures:
        assert isinstance(ANALYSIS.draw(picture, made, tables), Figure)
    said = ANALYSIS.words(made, tables)
    for sentence in (said.answer, *said.more, said.control, said.note):
        assert not {"nan", "None", "[no"} & set(sentence.replace(",", " ").split())
    return said


def test_all_maps_find_the_patch_that_a_model_reads_and_nothing_of_it_is_about_the_image(
    own: Path,
) -> None:
    given = source(Linear(patch_weight()), images(), methods=METHODS, shares=[0.1], scores=False)
    made, tables = run(given, own / "shards")
    pairs = of(tables["pairs"], baseline="none")
    assert len(pairs) == 6
    np.testing.assert_allclose(pairs["iou"], 1)
    assert set(of(pairs, second="cells")["rows"]) == {4}
    shuffled = of(tables["pairs"], baseline="shuffled")
    shuffled = shuffled[shuffled["first"] != shuffled["second"]]
    np.testing.assert_allclose(shuffled["iou"], 1)
    np.testing.assert_allclose(shuffled["iou_difference"], 0, atol=1e-12)
    middle = of(tables["pairs"], baseline="centre")
    assert (middle["iou"] < 0.5).all()
    assert (middle["iou_difference"] > 0.4).all()
    # The one cell that is read is the first of every order: without it the score is that of none.
    curves = of(tables["curves"], kind="deletion", fill="mean")
    by_method = curves.pivot(index="fraction", columns="method", values="score")
    for method in METHODS:
        found = by_method[method.rpartition(":")[2]]
        np.testing.assert_allclose(found.iloc[1:], found.iloc[-1], rtol=1e-6)
        assert found.iloc[0] != pytest.approx(found.iloc[1])
    present(made, tables)


@pytest.mark.usefixtures("own")
def test_maps_that_do_not_depend_on_the_image_agree_with_others_exactly_as_much(
    tmp_path: Path,
) -> None:
    given = source(
        Linear(patch_weight()), images(8), methods=["own.py:fixed", "own.py:noise", "variance"]
    )
    made, tables = run(given, tmp_path / "shards")
    for second in ("noise", "variance:spatial"):
        rows = of(tables["pairs"], first="fixed", second=second, baseline="shuffled")
        assert len(rows) == 2
        np.testing.assert_array_equal(rows["difference"], 0)
        np.testing.assert_array_equal(rows["iou_difference"], 0)
    noise = of(tables["pairs"], first="noise", second="variance:spatial", baseline="shuffled")
    np.testing.assert_array_equal(noise[["difference", "iou_difference"]], 0)
    np.testing.assert_array_equal(noise[["difference_low", "difference_high"]], 0)
    one_map = of(tables["pairs"], first="variance:spatial", second="variance:spatial")
    assert one_map.loc[one_map["baseline"] == "centre", "low"].isna().all()
    assert "nothing of that is about the image" in " ".join(present(made, tables).more)


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_the_order_of_contributions_is_the_best_of_all_of_a_linear_model(
    own: Path, kind: str
) -> None:
    """Against all 24 orders of four cells, the weights of either sign."""
    weight = np.random.default_rng(3).normal(size=(SIZE, SIZE)).astype(np.float32)
    table = images(8)
    given = source(
        Linear(weight), table, methods=["own.py:contribution", "gradient"], cells=2, steps=4,
        fills=["black"], scores=False,
    )  # fmt: skip
    made, tables = run(given, own / "shards")
    curves = of(tables["curves"], kind=kind)
    looked = looked_at(made, "images_1_of_1")
    # The other class reads nothing: its maps are constant, and have no order.
    pixels = table.load(looked.ids[looked.target == 0]).sum(axis=1)
    cells = (pixels * weight).reshape(-1, 2, SIZE // 2, 2, SIZE // 2)
    parts = cells.sum(axis=(2, 4)).reshape(-1, 4)  # what each cell adds to the score
    assert 1 < len(parts) < 8

    def area(image: np.ndarray, order: tuple[int, ...]) -> float:
        gone = np.concatenate([[0], np.cumsum(image[list(order)])])
        return float(np.trapezoid(image.sum() - gone if kind == "deletion" else gone)) / 4

    every = np.array([[area(image, order) for order in permutations(range(4))] for image in parts])
    expected = (every.min(axis=1) if kind == "deletion" else every.max(axis=1)).mean()
    areas = of(tables["areas"], kind=kind).set_index("method")
    assert areas.loc["contribution", "area"] == pytest.approx(expected, rel=1e-4)
    ends = of(curves, method="contribution")["score"].iloc[[0, -1]].sort_values()
    np.testing.assert_allclose(ends, sorted([0, parts.sum(axis=1).mean()]), atol=1e-4)
    assert areas["random_low"].notna().any()


class Ignoring(nn.Module):
    """Answers the same whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * SIZE * SIZE, 3)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1))


def test_a_model_that_ignores_its_input_has_flat_curves_and_no_agreement(own: Path) -> None:
    given = source(Ignoring(), images(), methods=["gradient", "occlusion", "own.py:noise"])
    made, tables = run(given, own / "shards")
    own_images = of(tables["pairs"], baseline="none", first="gradient")
    assert own_images["spearman"].isna().all()
    assert (own_images["undefined"] == 6).all()
    assert set(tables["areas"]["method"]) == {"noise", "edges", "centre", "random"}
    probability = np.exp(2) / (1 + np.e + np.exp(2))
    np.testing.assert_allclose(tables["curves"]["score"], probability, rtol=1e-6)
    np.testing.assert_allclose(tables["areas"]["random_difference"].dropna(), 0, atol=1e-7)
    assert "No two methods have maps" in present(made, tables).answer


def test_maps_of_other_analyses_are_taken_where_images_and_targets_are_the_same(
    tmp_path: Path,
) -> None:
    given = source(Linear(patch_weight()), images(8))
    looked = looked_at(given, "images_1_of_1")
    rng = np.random.default_rng(0)
    first = rng.normal(size=(8, 4, 4)) ** 2
    first[3] = np.nan  # as what is not finite is kept
    second = first.repeat(2, axis=1).repeat(2, axis=2)  # the same on a finer grid
    results = {
        "grad_cam": worlds.given_maps(
            tmp_path / "cam", looked, {"grad_cam": first}, {"grad_cam": rng.normal(size=(8, 2, 2))}
        ),
        "pixels": worlds.given_maps(tmp_path / "pixels", looked, {"gradient": -second}),
        "regions": worlds.given_maps(
            tmp_path / "regions", replace(looked, target=looked.target + 1), {"regions": first}
        ),
        "maximisation": worlds.given_maps(
            tmp_path / "maximisation",
            type(looked)(*(getattr(looked, key)[2:6] for key in
                           ("place", "ids", "label", "cluster", "target"))),
            {"maximisation": rng.normal(size=(4, 8, 8))},
        ),
    }  # fmt: skip
    made, tables = run(replace(given, results=results), tmp_path / "shards")
    own = of(tables["pairs"], baseline="none", first="gradient", second="grad_cam")
    np.testing.assert_allclose(own[["spearman", "iou"]], 1)
    assert (own["rows"] == 4).all()
    assert (own["undefined"] == 1).all()
    few = of(tables["pairs"], baseline="none", first="grad_cam", second="maximisation")
    assert (few["images"] + few["undefined"] == 4).all()
    untrained = of(tables["pairs"], baseline="untrained", first="gradient", second="grad_cam")
    assert (untrained["rows"] == 4).all()
    assert (untrained["spearman"] < 0.9).all()
    said = present(made, tables)
    assert said.answer.startswith("Gradient and Grad-CAM agree at a rank correlation of 1.00")
    assert "regions has maps of none of these images and targets" in " ".join(said.more).lower()
    areas = of(tables["areas"], kind="deletion", fill="mean").set_index("method")
    assert areas.loc["maximisation", "images"] == 4


def test_tables_do_not_depend_on_the_shards(own: Path) -> None:
    given = source(
        Linear(patch_weight()), images(7), methods=["own.py:noise", "gradient", "variance"]
    )
    one, three = (run(given, own / str(count), count)[1] for count in (1, 3))
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, three[name])


@pytest.mark.parametrize(
    "case", ["one image", "one output", "gray", "no maps", "unlabelled", "no method"]
)
def test_degenerate_data_end_in_sentences(own: Path, case: str) -> None:
    weight = np.random.default_rng(0).normal(size=(SIZE, SIZE))
    table = images(1 if case == "one image" else 5)
    model: nn.Module = Linear(weight)
    tree, methods = None, ["own.py:noise", "gradient", "variance"]
    if case == "one output":
        model = Linear(weight, outputs=1)
    if case == "gray":
        pixels = table.load(np.arange(5)).mean(axis=1, keepdims=True)
        table = replace(table, reader=lambda ids: pixels[ids], channels=1)
        model = nn.Sequential(Tripled(), Linear(weight))
    if case == "no maps":
        tree = synthetic.study({"fc": synthetic.dataset("fc", dims="vector", size=(5,))})
    if case == "unlabelled":
        table = replace(table, classes=("unlabelled",), label=np.zeros(5, np.int64))
    layers = ["1.head"] if case == "gray" else ["head"]
    given = source(model, table, layers=layers, tree=tree,
                   methods="auto" if case == "no method" else methods)  # fmt: skip
    if case == "gray":
        network = given.network()
        given = replace(given, open_network=lambda twin: replace(network, mean=[0.0], std=[1.0]))
    made, tables = run(given, own / "shards")
    said = present(made, tables)
    names = set(tables["pairs"]["first"])
    assert ("variance:spatial" in names) == (case != "no maps")
    if case == "one image":
        assert "cannot be said of so few" in said.answer
        assert tables["pairs"]["low"].isna().all()
    if case == "no method":
        assert "No two methods have maps" in said.answer


class Tripled(nn.Module):
    """One channel as three."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.expand(-1, 3, -1, -1)


def test_a_method_that_edges_reach_is_said_to_be_no_better_than_these(own: Path) -> None:
    given = source(Linear(patch_weight()), images(), methods=["gradient", "own.py:noise"])
    made, tables = run(given, own / "shards")
    areas = of(tables["areas"], kind="insertion", fill="mean").copy()
    held = ["random_difference", "random_low", "random_high", "centre_low", "centre_high",
            "edges_low", "edges_high"]  # fmt: skip
    for method, values in {
        "gradient": (0.2, 0.1, 0.3, 0.1, 0.3, 0.1, 0.2),
        "noise": (0.15, 0.1, 0.2, 0.1, 0.2, -0.1, 0.1),
        "edges": (0.1, 0.05, 0.15, 0, 0, 0, 0),
        "centre": (-0.1, -0.15, -0.05, 0, 0, 0, 0),
    }.items():
        areas.loc[areas["method"] == method, held] = values
    (said,) = sentences(made, areas)
    assert said.startswith(
        "By insertion with the mean fill the orders of gradient (0.20 [0.10, 0.30]) and noise "
        "(0.15 [0.10, 0.20]) raise the score faster than random ones, by the area under the curve "
        "(n = 6 images; of 2 methods about 0.1 would by chance); gradient faster than the middle"
    )
    assert said.endswith("Faster than random ones is also edges first (0.10 [0.05, 0.15]).")
    areas.loc[areas["method"] == "gradient", "edges_low"] = -0.1
    assert "none of them is clearly faster than both the middle" in sentences(made, areas)[0]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            ["grad_cam", "gradent"],
            r"^methods: found 'gradent'; allowed: .*grad_cam, .*variance, or",
        ),
        (["gone.py:f"], "found 'gone.py:f', and there is no file gone.py"),
        (["own.py:f"], "found 'own.py:f', and own.py has no function f"),
        (
            ["own.py:fixed", "two.py:fixed"],
            "found own.py:fixed and two.py:fixed, both called fixed",
        ),
        (["two.py:gradient"], "whose name is taken"),
        (["broken.py:f"], "broken.py is no Python"),
    ],
)
def test_a_method_that_is_none_is_refused_before_the_first_job(
    own: Path, methods: list[str], message: str
) -> None:
    (own / "two.py").write_text("fixed = gradient = None")
    (own / "broken.py").write_text("def f(:")
    with pytest.raises(UserError, match=message):
        check_settings({"methods": methods}, own)
    check_settings({"methods": ["own.py:fixed", "variance", "gradient"]}, own)
    assert built_in_names() == tuple(built_in())


def test_a_method_that_gives_no_maps_is_refused_by_name(own: Path) -> None:
    given = source(Linear(patch_weight()), images(), methods=["own.py:wrong"])
    with pytest.raises(UserError, match=r"wrong: its function gave a tensor of the shape"):
        run(given, own / "shards")
    given = source(Linear(patch_weight()), images(), cells=17)
    with pytest.raises(UserError, match=r"agreement.cells: found 17 .* allowed: at most 16"):
        run(given, own / "again")


def test_deletion_takes_the_first_cells_and_insertion_brings_them() -> None:
    kept = kept_cells(np.array([[2, 0, 1]]), counts_of(3, 3))
    deletion, insertion = kept[:, 0].astype(int).tolist()
    assert deletion == [[1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert insertion == [[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 1, 1]]


def test_the_centre_is_a_gaussian_and_edges_are_those_of_a_step() -> None:
    fine = centre((64, 64))
    x = (np.arange(64) + 0.5) / 64 - 0.5
    expected = np.exp(-(x**2) / (2 * 0.25**2))
    np.testing.assert_allclose(fine[31] / fine[31].max(), expected / expected.max(), rtol=2e-3)
    # A coarse one is the mean of the fine one.
    np.testing.assert_allclose(centre((4, 4)), fine.reshape(4, 16, 4, 16).sum(axis=(1, 3)))
    step = np.zeros((1, 3, 6, 8))
    step[..., 4:] = 0.5
    edges = edge_maps(step)[0]
    assert set(np.flatnonzero(edges[3])) == {3, 4}
    np.testing.assert_allclose(edges[:, 3], 2.0)
    np.testing.assert_allclose(edge_maps(step.transpose(0, 1, 3, 2))[0], edges.T)
