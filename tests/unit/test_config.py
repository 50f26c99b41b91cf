"""The configuration: every key defined, every default filled in, every mistake named."""

import copy
from typing import Any

import pytest
import yaml
from tiny import REPOSITORY
from variscope.errors import UserError
from variscope.study.config import STUDIES, complete, designs_of, groups_of, targets_of
from variscope.study.schema import settings

MINIMAL: dict[str, Any] = {
    "experiment": "x",
    "dataset": {"kind": "photographs"},
    "models": {"m": {"factory": "torchvision:resnet18"}},
    "variable_sets": {"s": {"variables": ["hflip"]}},
}


def changed(path: str, value: object) -> dict:
    config = copy.deepcopy(MINIMAL)
    *parents, last = path.split("/")
    place = config
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return config


def test_every_key_of_the_schema_has_a_description_and_a_type():
    for key, schema in settings().items():
        assert schema.get("description"), key
        assert {"type", "enum", "oneOf", "const"} & set(schema), key


def test_every_key_is_required_or_has_a_default():
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())

    def check(node: dict, prefix: str) -> None:
        for key, sub in node.get("properties", {}).items():
            chosen = key in node.get("required", []) or "default" in sub
            # Designs are chosen by being named; their own keys have defaults. What studies of
            # images are made of is left out where there are tables alone.
            chosen_else = ("designs.cycle", "designs.star", *STUDIES)
            assert chosen or prefix + key in chosen_else, prefix + key
            check(sub, f"{prefix}{key}.")
        if node.get("type") == "object" and "properties" in node:
            assert node.get("additionalProperties") is False or prefix.endswith("variables."), (
                prefix
            )
        if isinstance(node.get("additionalProperties"), dict):
            check(node["additionalProperties"], f"{prefix}*.")

    check(schema, "")


def test_keys_left_out_take_their_defaults_and_the_input_stays_as_it_is():
    before = copy.deepcopy(MINIMAL)
    config = complete(MINIMAL)
    assert before == MINIMAL
    assert config["seed"] == 1
    assert config["models"]["m"]["layers"] == "auto"
    assert config["variable_sets"]["s"]["auxiliary"] == ["order", "class", "image"]
    assert designs_of(config) == {"cycle": {"blocks": 512, "replicates": 16}}
    assert complete(config) == config


def test_a_design_that_is_named_is_the_only_one():
    config = complete(changed("designs", {"star": {"blocks": 64}, "replicates": 4}))
    assert designs_of(config) == {"star": {"blocks": 64, "replicates": 4}}
    assert complete(changed("designs", {"replicates": 4}))["designs"]["cycle"]["blocks"] == 512


def test_a_target_is_judged_by_an_index_that_each_design_has():
    asked = {"half_width": 0.1, "index": "shapley", "of": "channels"}
    both = complete(changed("designs", {"cycle": {}, "star": {}, "precision": asked}))
    targets = targets_of(both)
    assert {kind: target.index for kind, target in targets.items()} == {
        "cycle": "shapley",
        "star": "S1",
    }
    assert {(t.half_width, t.of, t.most_blocks) for t in targets.values()} == {
        (0.1, "channels", 8192)
    }
    assert targets_of(complete(MINIMAL)) == {}


def test_the_embedded_default_is_complete():
    config = complete(yaml.safe_load((REPOSITORY / "config/config.yaml").read_text()))
    assert set(config["variable_sets"]) == {"spatial", "color"}
    names = [
        entry if isinstance(entry, str) else entry["name"]
        for variable_set in config["variable_sets"].values()
        for entry in variable_set["variables"]
    ]
    assert len(names) == 12


def test_the_order_of_the_keys_is_no_difference():
    def backwards(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return value

    config = complete(yaml.safe_load((REPOSITORY / "config/config.yaml").read_text()))
    again = complete(backwards(config))
    assert repr(again["dataset"]) == repr(config["dataset"])
    for section in ("models", "variable_sets"):
        for name, value in config[section].items():
            assert repr(again[section][name]) == repr(value)


def test_whole_numbers_written_as_1_0_become_integers():
    config = complete(changed("seed", 3.0))
    assert config["seed"] == 3 and isinstance(config["seed"], int)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experiment", "../up", r"experiment: found '../up'; allowed: letters, digits"),
        ("experiment", "a/b", "experiment: found 'a/b'"),
        ("experiment", "..", r"experiment: found '\.\.'"),
        ("experiment", 7, "experiment: found 7"),
        ("models/a.b", {"factory": "a:b"}, r"models: found the name 'a\.b'"),
        ("models/m/factory", "resnet18", "models.m.factory: found 'resnet18'"),
        ("models/m/layers", [], r"models.m.layers: found \[\]; allowed: auto"),
        ("models/m/layrs", ["a"], r"models.m.layrs: unknown key \(did you mean layers\?\)"),
        ("models", {}, "models: found {}; allowed: a mapping with at least 1 entry"),
        ("dataset", {"kind": "photos"}, r"did you mean photographs\?"),
        ("dataset", {}, "dataset.kind: this key is missing"),
        ("dataset/image_size", 0, "dataset.image_size: found 0; allowed: .*at least 1"),
        ("dataset/image_size", -3, "dataset.image_size: found -3"),
        ("designs/cycle/blocks", -1, "designs.cycle.blocks: found -1; .*at least 2"),
        ("designs/cycle/blocks", 10**15, "designs.cycle.blocks: found 1000000000000000; .*at most"),
        ("designs/cycle/blocks", 8, r"found 8; allowed: at least designs.replicates \(16\)"),
        ("designs/precision", {}, "designs.precision.half_width: this key is missing"),
        ("designs/precision", {"half_width": 0}, "half_width: found 0; .*above 0"),
        ("designs/precision", {"half_width": 0.5}, "half_width: found 0.5; .*below 0.5"),
        (
            "designs/precision",
            {"half_width": 0.1, "index": "S2"},
            "designs.precision.index: found 'S2'.*; allowed: auto, shapley, S1, ST",
        ),
        (
            "designs/precision",
            {"half_width": 0.1, "of": "channel"},
            r"designs.precision.of: found 'channel' \(did you mean channels\?\)",
        ),
        (
            "designs/precision",
            {"half_width": 0.1, "most_blocks": 511},
            r"most_blocks: found 511; allowed: at least designs.cycle.blocks \(512\)",
        ),
        (
            "designs",
            {"star": {}, "precision": {"half_width": 0.1, "index": "shapley"}},
            "designs.precision.index: found 'shapley'; allowed with the star: auto, S1, ST",
        ),
        ("designs/replicates", 1, "designs.replicates: found 1; .*at least 2"),
        ("analyses", "some", "analyses: found 'some'; allowed: all, true, false, or a mapping"),
        ("analyses", {"sumary": True}, r"analyses.sumary: unknown analysis \(did you mean summary"),
        ("analyses", {"summary": 3}, "analyses.summary: found 3; allowed: true, false, or a map"),
        ("analyses", {"summary": {"a": 1}}, "analyses.summary.a: unknown key"),
        ("analyses", {"own": {"file": "no.py"}}, "analyses.own.file: found 'no.py', where there"),
        ("models/logs", {"factory": "a:b"}, "models: found the name 'logs'; allowed: .* not ana"),
        ("confidence_level", 1.0, "confidence_level: found 1.0; .*above 0 and below 1"),
        ("confidence_level", 0, "confidence_level: found 0"),
        ("confidence_level", 95, "confidence_level: found 95"),
        ("storage", "disk", "storage: found 'disk'; allowed: activations, moments"),
        ("variable_sets/s/apply", "never", "allowed: always, switched"),
        ("variable_sets/s/auxiliary", ["klass"], "allowed: order, class, image, part"),
        ("variable_sets/s/variables", [1], "variable_sets.s.variables.0: found 1"),
        ("evaluation/batch_size", 0, "evaluation.batch_size: found 0; allowed: auto"),
        ("evaluation/compile", "max", "evaluation.compile: found 'max'; allowed: true or false"),
        ("seeed", 1, r"seeed: unknown key \(did you mean seed\?\)"),
        ("seed", True, "seed: found True; allowed: an integer"),
        ("seed", "one", "seed: found 'one'"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(path: str, value: object, message: str):
    with pytest.raises(UserError, match=message) as caught:
        complete(changed(path, value))
    assert "\n" not in str(caught.value)


def test_a_missing_section_is_named():
    config = {key: value for key, value in MINIMAL.items() if key != "models"}
    with pytest.raises(UserError, match="models: this key is missing"):
        complete(config)


TABLES = {"experiment": "clinic", "tables": {"diabetes": {"source": "diabetes"}}}


def test_a_configuration_of_tables_alone_needs_no_images():
    config = complete(TABLES)
    assert (config["dataset"], config["models"], config["variable_sets"]) == (None, {}, {})
    assert config["tables"]["diabetes"]["missing"] == "refuse"
    assert config["tables"]["diabetes"]["network"]["hidden"] == [16]


def test_beside_tables_studies_of_images_are_whole_or_not_there():
    with pytest.raises(UserError, match="dataset: this key is missing"):
        complete({**TABLES, "models": MINIMAL["models"]})
    with pytest.raises(UserError, match="dataset: this key is missing"):
        complete({"experiment": "nothing", "tables": {}})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sauce", 1, r"tables.t.sauce: unknown key \(did you mean source\?\)"),
        ("task", "ranking", "tables.t.task: found 'ranking'"),
        ("threshold", "mean", "threshold: found 'mean'; allowed: a number, median, or null"),
        ("bounds", {"age": [1]}, "bounds.age: found .1.; allowed: a list of 2 entries"),
        ("correlated", 0, "correlated: found 0"),
        ("test_fraction", 0.9, "test_fraction: found 0.9"),
    ],
)
def test_a_mistake_in_a_table_is_named(key: str, value: object, message: str):
    with pytest.raises(UserError, match=message):
        complete({"experiment": "clinic", "tables": {"t": {"source": "diabetes", key: value}}})


def test_groups_are_checked_against_the_set_s_variables():
    def groups(given: object) -> dict[str, list[str]]:
        variables = ["hue", {"name": "rolling"}]
        config = changed("variable_sets/mine", {"variables": variables, "groups": given})
        return groups_of(complete(config)["variable_sets"]["mine"])

    assert groups({"both": ["rolling", "class"]}) == {
        "all_augmentations": ["hue", "rolling"],
        "image_identity": ["class", "image"],
        "both": ["rolling", "class"],
    }
    for given, said in (
        ({"both": ["hue", "erasing"]}, "groups.both: found 'erasing'; allowed: hue, rolling, "),
        ({"both": ["hue", "hue"]}, "groups.both: found .* each at most once"),
        ({"both": []}, "groups.both: found \\[\\]; allowed: a list of the set's variables"),
        ({"hue": ["rolling"]}, "groups: found the name 'hue', which is a variable's"),
        ({"order": ["hue"]}, "groups: found the name 'order', which is a variable's"),
        ({"image_identity": ["hue"]}, "groups: .* 'image_identity', which is a built-in group's"),
        ({"a:b": ["hue"]}, "groups: found the name 'a:b'; allowed: letters"),
    ):
        with pytest.raises(UserError, match=r"variable_sets\.mine\." + said):
            groups(given)
