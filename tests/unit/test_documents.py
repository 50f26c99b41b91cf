"""The documents say what the code does: keys, defaults, paths, commands and examples."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
import variscope
import xarray as xr
import yaml
from PIL import Image
from variscope.analyses import documents
from variscope.analyses.registry import built_in, from_file
from variscope.analyses.tables import checked
from variscope.inputs.tables.opening import open_table
from variscope.space import augmentations
from variscope.stores.results import write_dataset
from variscope.study.config import complete
from variscope.study.findings import Findings, FoundBounds
from variscope.study.preflight import preflight
from variscope.study.schema import settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MANUAL = (ROOT / "docs" / "manual.md").read_text()
# What a reader follows: links, paths and commands are those of the repository.
PAGES = {
    path: path.read_text()
    for path in (
        ROOT / "README.md",
        *sorted(ROOT.glob("docs/*.md")),
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "config" / "README.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "resources" / "README.md",
    )
}
CONFIG_README = (ROOT / "config" / "README.md").read_text()
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.py"),
    *ROOT.glob("docs/*.md"),
    ROOT / ".pre-commit-config.yaml",
    *ROOT.glob("config/*.*"),
    *ROOT.glob("config/paper/*"),
    *ROOT.glob("envs/*"),
    *ROOT.glob("profiles/*/*"),
    ROOT / "CITATION.cff",
    ROOT / ".snakemake-workflow-catalog.yml",
    ROOT / "resources" / "README.md",
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
]
# What the reader writes, or a command.
WRITTEN = ("config/flowers.yaml", "config/ward.yaml", "docs/_build")
# What one call of `decompose` in a document is cut down to, so that a test takes seconds.
SMALL = {"blocks=256": "blocks=4, replicates=2", "epochs=10": "epochs=1"}
SMALL |= {'"images_per_class": 24': '"images_per_class": 2'}


def fenced(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table_rows(text: str) -> list[tuple[str, list[str]]]:
    """Each table row with the heading that it stands under, cells stripped."""
    heading, rows = "", []
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line
        elif line.startswith("| ") and not line.startswith("|---"):
            rows.append((heading, [cell.strip() for cell in line.strip("|").split("|")]))
    return rows


def block_with(words: str, blocks: list[str]) -> str:
    """The one block that holds these words."""
    found = [block for block in blocks if words in block]
    assert len(found) == 1, f"{len(found)} blocks hold {words!r}"
    return found[0]


# Other tests register augmentations of a user's.
OURS = [
    name
    for name in augmentations.names()
    if augmentations.get(name).operation.__module__.startswith("variscope.")
]
EXPERIMENT = block_with("kind: image_folder", fenced(README, "yaml"))
WARD = block_with("ward.csv", fenced(README, "yaml"))
FROM_A_TABLE = block_with("decompose_table", fenced(README, "python"))
NETWORK = block_with("def network", fenced(README, "python"))
DEAD_UNITS = block_with("def draw_dead", fenced(README, "python"))
POSTERIZE = block_with("def posterize", fenced(README, "python"))
COMPARING = block_with("variscope.difference(", fenced(MANUAL, "python"))
READING = block_with("open_zarr", fenced(MANUAL, "python"))


@pytest.mark.parametrize("key", settings())
def test_every_setting_is_explained_in_its_own_section_with_its_default(key: str) -> None:
    rows = [(h, cells) for h, cells in table_rows(CONFIG_README) if cells[0] == f"`{key}`"]
    assert len(rows) == 1
    heading, (_, kind, default, meaning) = rows[0]
    assert f"`{key.partition('.')[0]}`" in heading
    assert len(meaning) > 15 and meaning.endswith(".")
    setting = settings()[key]
    if "default" in setting:
        assert yaml.safe_load(default.strip("`")) == setting["default"]
    else:
        assert default in ("required", "left out")
    numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", kind)]
    for limits in (setting, *setting.get("oneOf", ())):
        for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if keyword in limits:
                assert limits[keyword] in numbers, keyword
    for choice in setting.get("enum", ()):
        assert f"`{choice}`" in kind


def test_no_setting_is_explained_that_the_schema_does_not_have() -> None:
    explained = {cells[0].strip("`") for h, cells in table_rows(CONFIG_README) if len(cells) == 4}
    assert explained - {"key"} == set(settings())


def test_every_parameter_of_every_augmentation_is_listed_with_its_bounds() -> None:
    listed = {
        (cells[0].strip("`"), cells[1].strip("`")): (cells[2], cells[3])
        for _, cells in table_rows(CONFIG_README)
        if len(cells) == 6 and cells[0].startswith("`")
    }
    expected = {}
    for name in OURS:
        for parameter in augmentations.get(name).parameters:
            low, high = parameter.bounds(224, 224)
            expected[name, parameter.name] = ((round(low, 3), round(high, 3)), parameter.scale)
    assert len(OURS) == 12
    assert set(listed) == set(expected)
    for key, (bounds, scale) in expected.items():
        low, high = re.findall(r"-?\d+(?:\.\d+)?", listed[key][0])[:2]
        assert (float(low), float(high)) == bounds, key
        assert listed[key][1] == scale, key


def test_every_option_of_every_augmentation_is_listed_with_its_default() -> None:
    listed = {
        (cells[0].strip("`"), cells[1].strip("`")): yaml.safe_load(cells[2].strip("`"))
        for _, cells in table_rows(CONFIG_README)
        if len(cells) == 5 and cells[0].startswith("`")
    }
    assert listed == {
        (name, key): list(value) if isinstance(value, tuple) else value
        for name in OURS
        for key, value in augmentations.get(name).options.items()
    }


@pytest.mark.parametrize("example", fenced(CONFIG_README, "yaml"))
def test_the_examples_of_the_configuration_pass_the_schema(example: str, tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "dead_units.py").write_text(DEAD_UNITS)
    whole: dict[str, Any] = {
        "experiment": "example",
        "dataset": {"kind": "photographs"},
        "models": {"one": {"factory": "torchvision:resnet18"}},
        "variable_sets": {"one": {"variables": ["hue"]}},
    }
    config = complete(whole | yaml.safe_load(example), tmp_path)
    for variable_set in config["variable_sets"].values():
        for entry in variable_set["variables"]:
            if isinstance(entry, dict):
                bounds = {key: value for key, value in entry.items() if key != "name"}
                augmentations.get(entry["name"]).with_overrides(bounds)


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/**/*.yaml")), ids=lambda path: path.name)
def test_the_configurations_that_come_with_it_pass_the_schema(path: Path) -> None:
    assert complete(yaml.safe_load(path.read_text()))["experiment"]


def test_the_readme_s_own_images_and_model_pass_every_check(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for part in ("train", "valid"):
        for label in ("daisy", "poppy", "rose"):
            folder = tmp_path / "resources" / "flowers" / part / label
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 256, (110, 120, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "1.jpg")
    # Under a name of its own: the registry belongs to the process.
    text = POSTERIZE.replace('"posterize"', '"posterize_of_the_readme"')
    (tmp_path / "resources" / "posterize.py").write_text(text)
    (tmp_path / "resources" / "network.py").write_text(NETWORK)
    names: dict[str, Any] = {}
    exec(NETWORK, names)
    torch.save(names["network"](16, 3).state_dict(), tmp_path / "resources" / "network.pt")
    config = complete(
        yaml.safe_load(EXPERIMENT.replace("name: posterize", "name: posterize_of_the_readme"))
    )
    found = preflight(config, tmp_path)
    assert [layer.name for layer in found.models["network"].layers] == [
        "features.0",
        "features.2",
        "classifier",
    ]
    drawn = {v.name: v.bounds for v in found.variable_sets["mine"].variables}
    assert drawn["brightness"] == (FoundBounds("factor", 0.5, 1.5, ""),)
    assert Findings.of(json.loads(json.dumps(found.to_json()))) == found


def test_the_readme_s_table_is_read_and_its_model_of_a_table_decomposed(tmp_path: Path) -> None:
    config = complete(yaml.safe_load(WARD), tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "resources").mkdir()
    lines = [f"{k + 100},{a:.3f},,{'ill' if a > 0 else 'well'}\n"
             for k, a in enumerate(rng.normal(size=60))]  # fmt: skip
    lines[0] = lines[0].replace(",,", ",3,")
    lines[1] = lines[1].replace(",,", ",4,")
    (tmp_path / "resources" / "ward.csv").write_text("patient,age,dose,outcome\n" + "".join(lines))
    table = open_table("ward", config["tables"]["ward"], tmp_path)
    assert [feature.name for feature in table.features] == ["age", "dose"]
    names: dict[str, Any] = {}
    exec(FROM_A_TABLE.replace("blocks=256", SMALL["blocks=256"]), names)
    assert names["found"]["variable"].values.tolist()[2:4] == ["bmi", "bp"]
    assert float(names["found"]["shapley"].sum()) == pytest.approx(1, abs=1e-4)


def test_the_manual_s_python_example_makes_a_study_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = (ROOT / "docs" / "example.py").read_text()
    assert example in fenced(MANUAL, "python")
    for full, small in SMALL.items():
        assert example.count(full) == 1
        example = example.replace(full, small)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["docs/example.py", "docs/summary.png"])
    names: dict[str, Any] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exec(example, names)
    finally:
        torch.set_num_threads(threads)
    assert isinstance(names["study"], xr.DataTree)
    assert list(names["study"].children) == ["stage1", "stage2", "stage3", "head", "logits"]
    sizes = {Image.open(path / "docs" / "summary.png").size for path in (tmp_path, ROOT)}
    assert len(sizes) == 1

    # What the manual reads of the embedded study, it can read of this one.
    path = re.findall(r'open_zarr\("(.*?)"\)', READING)[0]
    write_dataset(tmp_path / path, names["study"]["stage3"].to_dataset())
    exec(READING, names)
    assert names["share"].shapley.dims == ("channel", "y", "x")
    write_dataset(
        tmp_path / path.replace("stage3", "logits"), names["study"]["logits"].to_dataset()
    )
    exec(COMPARING, names)


def headings(text: str) -> set[str]:
    """The anchors of a page's headings."""
    return {
        re.sub(r"[^a-z0-9 _-]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
        for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()
        if line.startswith("#")
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_path_of_a_page_is_there(page: Path) -> None:
    text = PAGES[page]
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target.read_text()), (link, anchor)
    for picture in re.findall(r'<img src="(.*?)"', text):
        assert (page.parent / picture).is_file(), picture
    for path in re.findall(r"`((?:docs|envs|profiles|config|tests|workflow)/[\w./-]+)`", text):
        if path not in WRITTEN:
            assert (ROOT / path).exists(), path


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", README))
    assert {str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")} <= linked
    assert {"CONTRIBUTING.md", "config/README.md", "benchmarks/README.md"} <= linked


def test_every_command_names_targets_and_options_that_there_are() -> None:
    rules = set(
        re.findall(
            r"^\s*rule (\w+):",
            "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk")),
            re.MULTILINE,
        )
    )
    rules |= {*built_in(), "dead_units"}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(PAGES.values())
    lines = "\n".join([*fenced(text, "bash"), *re.findall(r"`([^`\n]+)`", text)])
    made = re.findall(r"^make (\w+)", lines, re.MULTILINE)
    assert made and set(made) <= targets
    commands = re.findall(r"^snakemake (.*)$", lines, re.MULTILINE)
    assert commands
    for command in commands:
        options = "cores|configfile|config|report|workflow-profile"
        words = re.sub(rf"--(?:{options}) \S+|#.*", "", command).split()
        named = {word for word in words if not word.startswith("-")}
        assert named <= rules, command
    assert {"plan", "indices", "analyses", "figures", "report"} <= rules


def test_pre_commit_names_what_make_check_runs() -> None:
    recipe = re.findall(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    checks = re.findall(r"\$\(BIN\)/(.*)", recipe[0])
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert len(checks) == 5 and set(checks) <= {hook["entry"] for hook in local["hooks"]}
    assert {hook["language"] for hook in local["hooks"]} == {"system"}


def test_the_citation_parses_and_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == variscope.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert f"## [{variscope.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_catalog_file_says_how_to_deploy_and_report() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["report"] is True
    assert (ROOT / "workflow" / "Snakefile").is_file()


def test_conda_gets_the_pins_of_the_requirements() -> None:
    lines = (ROOT / "envs" / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    environment = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == pins
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[>=]", text)[0] for text in required} <= {pin.split("=")[0] for pin in pins}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_names_a_machine_or_a_package_host(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"(?<![\w.<>*-])/(?:work|root|home|tmp|opt|usr|mnt)\b", text)
    hosts = set(re.findall(r"https?://([\w.-]+)", text))
    known = {"arxiv.org", "keepachangelog.com", "semver.org", "json-schema.org"}
    assert hosts <= known
    assert "index-url" not in text


def test_every_analysis_is_named_with_its_question() -> None:
    for entry in built_in().values():
        assert f"| `{entry.name}` | {entry.question} |" in CONFIG_README


def test_the_readme_s_own_analysis_has_a_table_a_picture_and_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "dead_units.py"
    file.write_text(DEAD_UNITS)
    entry = from_file("dead_units", file)
    made = synthetic.source(synthetic.tree())
    tables = {"units": checked(entry.table("units"), entry.compute(made)["units"])}
    (picture,) = entry.pictures
    assert [bar.get_width() for bar in entry.draw(picture, made, tables).axes[0].patches] == list(
        tables["units"]["dead"]
    )
    assert re.fullmatch(r"\d+ of [\d,]+ units never change\.", entry.words(made, tables).answer)


def test_the_page_of_analyses_is_what_their_entries_say() -> None:
    made = documents.page()
    assert (ROOT / "docs" / "analyses.md").read_text() == made, (
        "run python -m variscope.analyses.documents > docs/analyses.md"
    )
