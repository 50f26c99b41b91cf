# What the rules share: the checked experiment, its paths, and small functions of wildcards.
import os
import sys
from functools import cache
from math import ceil
from pathlib import Path

from snakemake.utils import update_config

WORKFLOW = Path(str(workflow.current_basedir)).resolve().parent

# The package of this clone, not another that happens to be installed.
sys.path.insert(0, str(WORKFLOW))

from variscope.study.config import designs_of, typed
from variscope.study.digest import value_digest
from variscope.errors import UserError
from variscope.inputs.scores import IMAGES_AT_ONCE
from variscope.inputs.axes import file_name
from variscope.stores.atomic import new_file
from variscope.study.experiment import (
    EVALUATION,
    Experiment,
    evaluation_digest,
    numbers_digest,
    script_digest,
    share_package,
)
from variscope.study.jobs import WORKFLOW_PROCESS, hold
from variscope.study.layer_groups import NAMES as GROUPS
from variscope.study.controls import TRANSIT
from variscope.study.gates import is_fresh
from variscope.study.rounds import gate_after, round_before
from variscope.study.sharding import NAMES as SHARDS, Shard

# Snakemake starts scripts by the interpreter's path, unquoted.
if any(letter.isspace() for letter in sys.executable):
    sys.exit(
        f"error: {sys.executable}: Snakemake cannot start scripts with a Python whose path "
        "has a space in it; put the environment (.venv) or the clone where no folder has one"
    )

share_package()
CACHE = ".snakemake/variscope"
os.environ[WORKFLOW_PROCESS] = str(os.getpid())

# Values nested in those of `--config` are texts still.
for key, value in workflow.config_settings.config.items():
    update_config(config, {key: typed(value)})

# The job of a cluster parses this again: whether the study fits was decided where it was started.
OPEN = Experiment.open if workflow.is_main_process else Experiment.again

try:
    EXPERIMENT = OPEN(config, folder=Path.cwd(), cache=Path(CACHE))
except UserError as error:
    sys.exit(f"configuration error: {error}")

ENVIRONMENT = str(WORKFLOW.parent / "envs" / "environment.yaml")
RESULTS = f"results/{EXPERIMENT.config['experiment']}"
SET = f"{RESULTS}/{{model}}/{{set}}"
STUDY = f"{SET}/{{design}}"


def refuse_a_second_run():
    """Hold the results, or end before the first job where another run does."""
    try:
        hold(Path(RESULTS))
    except UserError as error:
        sys.exit(f"error: {error}")


def alternatives(names):
    """A wildcard's constraint: one of these names; where there are none, nothing."""
    return "|".join(sorted(set(names))) or "(?!)"


def study_of(wildcards):
    return EXPERIMENT.plan.study(wildcards.model, wildcards.set, wildcards.design)


def group_of(wildcards):
    """The group of layers that a shard is of."""
    return study_of(wildcards).group(wildcards.group)


def layer_of(wildcards):
    return next(
        layer
        for layer in study_of(wildcards).layers
        if file_name(layer.name) == wildcards.layer
    )


def of_shards(pattern):
    """What all shards of a layer's group gave: an input function."""

    def shards(wildcards):
        study = study_of(wildcards)
        group = study.group_of(layer_of(wildcards).name)
        return [
            pattern.format(**wildcards, study=study, group=group.name, shard=shard.name)
            for shard in group.shards
        ]

    return shards


def gate(wildcards, start):
    """The file that says whether a study's blocks from this one on are wanted."""
    return f"{STUDY}/precision/blocks-{start:06}.json".format(**wildcards)


def waiting(wildcards, folder, recipe, made_of):
    """The gate that a shard waits for: ancient where its folder is whole and stays as it is."""
    start = Shard.of(wildcards.shard).start
    if not start:
        return []
    fresh = is_fresh(folder.format(**wildcards), recipe, made_of)
    return [ancient(gate(wildcards, start)) if fresh else gate(wildcards, start)]


@cache
def recipe(model, variable_set, design):
    """Digest of what a shard's evaluation follows from; files are read once."""
    return EXPERIMENT.recipe(EXPERIMENT.plan.study(model, variable_set, design))


def gate_of_shard(wildcards):
    """What the evaluation of a shard waits for."""
    script = (
        WORKFLOW / "scripts" / "evaluate.py"
    )  # of which Snakemake compares the time
    made_of = [script, rules.images.output.summary, trained_weights(wildcards)]
    return waiting(
        wildcards,
        f"{STUDY}/{study_of(wildcards).store}/{{group}}/{{shard}}",
        recipe(wildcards.model, wildcards.set, wildcards.design),
        filter(None, made_of),
    )


def gate_of_sums(wildcards):
    """What the sums of a shard's activations wait for, as well as for these."""
    activations = f"{STUDY}/activations/{{group}}/{{shard}}".format(**wildcards)
    return waiting(
        wildcards,
        f"{STUDY}/moments/{{group}}/{{shard}}",
        script_digest("moments"),
        [WORKFLOW / "scripts" / "moments.py", activations],
    )


def gates_of(wildcards):
    """All gates that a layer's shards wait for: where one is made again, the indices are too."""
    group = study_of(wildcards).group_of(layer_of(wildcards).name)
    starts = {shard.start for shard in group.shards}
    return [gate(wildcards, start) for start in sorted(starts) if start]


def round_of(wildcards):
    """The round that a gate, or the end of the study, follows from; None where it lets all pass."""
    if "start" in wildcards.keys():
        return round_before(study_of(wildcards).sizes, int(wildcards.start))
    return len(study_of(wildcards).sizes) - 1


def gate_before_round(wildcards):
    """The gate that the round itself waited for."""
    number = round_of(wildcards)
    if not number:
        return []
    return [gate(wildcards, gate_after(study_of(wildcards).sizes, number - 1))]


def sums_of_round(wildcards):
    """The sums of the shards that hold the blocks of a round."""
    number = round_of(wildcards)
    if number is None:
        return []
    return [
        f"{STUDY}/{study_of(wildcards).sums}/{group.name}/{shard.name}".format(
            **wildcards
        )
        for group in study_of(wildcards).layer_groups
        for shard in group.rounds[number].shards
    ]


def judged(wildcards):
    """What the intervals of a round are judged by; None where there is nothing to judge."""
    study, number = study_of(wildcards), round_of(wildcards)
    if number is None:
        return None
    return {
        "target": study.asked,
        "variables": study.variables,
        "groups": {
            group.name: {
                "layers": [layer.to_json() for layer in group.read],
                "shards": [shard.name for shard in group.rounds[number].shards],
            }
            for group in study.layer_groups
        },
        "confidence_level": EXPERIMENT.config["confidence_level"],
        "code": script_digest("precision"),
    }


# Snakemake itself runs twice beside a job of a cluster, and counts as the job's memory: MiB.
BESIDE_MB = 450


def memory_of_group(stage):
    """Memory of a job of a group of layers and of what runs beside it, doubled per attempt."""
    return lambda wildcards, attempt: (
        getattr(study_of(wildcards), f"{stage}_mb")(group_of(wildcards)) + BESIDE_MB
    ) * 2 ** (attempt - 1)


def memory_of_layer(wildcards, attempt):
    """As `memory_of_group`, of a job of a layer."""
    megabytes = study_of(wildcards).indices_mb(layer_of(wildcards)) + BESIDE_MB
    return megabytes * 2 ** (attempt - 1)


def memory_of_layers(wildcards, attempt):
    """As `memory_of_layer`, of a job that takes all layers of a study, one after another."""
    megabytes = study_of(wildcards).memory_mb["indices"] + BESIDE_MB
    return megabytes * 2 ** (attempt - 1)


def study_with(model):
    """A study of a model."""
    return next(study for study in EXPERIMENT.plan.every if study.model == model)


def memory_of_training(wildcards, attempt):
    """As `memory_of`, of the job that trains a model."""
    images = EXPERIMENT.config["training"]["batch_size"]
    megabytes = study_with(wildcards.model).training_mb(images)
    return (megabytes + BESIDE_MB) * 2 ** (attempt - 1)


def memory_of_accuracy(wildcards, attempt):
    """As `memory_of`, of the job that measures a model's answers."""
    measured = EXPERIMENT.measured(wildcards.model)["measured"]
    images = IMAGES_AT_ONCE[measured]
    if measured == "accuracy":
        images = min(images, EXPERIMENT.found.dataset.summary["images"])
    megabytes = study_with(wildcards.model).answering_mb(images)
    return (megabytes + BESIDE_MB) * 2 ** (attempt - 1)


def doubled(megabytes):
    """Memory of a small job, doubled with each attempt."""
    return lambda wildcards, attempt: megabytes * 2 ** (attempt - 1)


def device_of(resources):
    """Where a job computes: on the GPU that it is given, unless the settings name the device.

    The machine that runs Snakemake may have no GPU where the nodes of its cluster have.
    """
    if EXPERIMENT.config["evaluation"]["device"] == "auto":
        return "cuda" if resources.gpu else "cpu"
    return EXPERIMENT.found.device


def trained_weights(wildcards):
    """The state dict of a model that is trained here; other models have none."""
    models = EXPERIMENT.config["models"]
    if wildcards.model not in models or models[wildcards.model]["weights"] != "train":
        return []  # an untrained twin is no model of the configuration
    return f"{RESULTS}/{wildcards.model}/weights.pt"


def precision_of(wildcards):
    """How a study with a target ended; nothing where there is no target."""
    if study_of(wildcards).target is None:
        return []
    return [f"{STUDY}/precision.json".format(**wildcards)]


# What the rule `train_table` makes of a table.
TRAINED_TABLE = f"{RESULTS}/inputs/tables/{{table}}"

# Settings of a table that only what is drawn of it depends on.
DRAWN = ("margins", "bounds", "correlated")


def table_of(name):
    """What the preflight found of a table."""
    return EXPERIMENT.found.tables[name]


def learned_from(name):
    """What the network of a table depends on."""
    table = EXPERIMENT.table(name)
    kept = {key: value for key, value in table["settings"].items() if key not in DRAWN}
    return {**table, "settings": kept}


def trained_tables():
    """The networks of all tables."""
    return [TRAINED_TABLE.format(table=table.name) for table in EXPERIMENT.tables]


def every(pattern, studies=None):
    """Fill a pattern for every study, or for those that are given, without repeats."""
    filled = [
        pattern.format(model=s.model, set=s.variable_set, design=s.design)
        for s in (EXPERIMENT.studies if studies is None else studies)
    ]
    return list(dict.fromkeys(filled))


def presentations():
    """The folders of what is presented where responses are measured elsewhere."""
    return [
        f"{RESULTS}/inputs/export/{variable_set}/{design}"
        for variable_set in EXPERIMENT.config["variable_sets"]
        for design in designs_of(EXPERIMENT.config)
    ]


def models_of(measured):
    """A wildcard's constraint: models whose responses were measured elsewhere, or networks."""
    names = {
        study.model
        for study in EXPERIMENT.plan.every
        if bool(study.responses) == measured
    }
    return alternatives(names)


def design_of(wildcards):
    """Blocks, replicates and kind of a design of the configuration."""
    return {"kind": wildcards.design, **designs_of(EXPERIMENT.config)[wildcards.design]}


def indices_of(study):
    """The estimated layers of a study, in order."""
    folder = STUDY.format(
        model=study.model, set=study.variable_set, design=study.design
    )
    return [f"{folder}/indices/{file_name(layer.name)}.zarr" for layer in study.layers]


# A layer's name as files bear it: it may hold any letter but a slash.
LAYERS = "[^/]+"

# Of a job that runs the network; a cluster's profile says so where this machine has none.
GPUS = EXPERIMENT.config["evaluation"]["gpus"]
GPU = int(EXPERIMENT.found.device == "cuda") if GPUS == "auto" else GPUS
