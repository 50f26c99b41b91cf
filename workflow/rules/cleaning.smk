# Cleaning: what changed settings left behind in the experiment's folder, or all of the experiment.
# in:  what the rules of the present settings make
# out: nothing; both run only where they are asked for


def made_by_rules():
    """All that the rules of the present settings make, as paths; of folders all below."""
    paths = [
        f"{RESULTS}/inputs/images.csv",
        f"{RESULTS}/inputs/images.json",
        f"{RESULTS}/report.html",
        f"{RESULTS}/config.yaml",
    ]
    for model in EXPERIMENT.config["models"]:
        names = ("accuracy.json", "weights.pt", "training.csv")
        paths += [f"{RESULTS}/{model}/{name}" for name in names]
    for study in EXPERIMENT.studies:
        folder = STUDY.format(
            model=study.model, set=study.variable_set, design=study.design
        )
        paths += indices_of(study)
        paths += [f"{folder}/precision", f"{folder}/precision.json"]
        for group in study.layer_groups:
            for stage in ("activations", "moments"):
                if stage == "moments" or STORAGE == stage:
                    paths.append(f"{folder}/{stage}/{group.name}/layers.json")
                    paths += [
                        f"{folder}/{stage}/{group.name}/{shard.name}"
                        for shard in group.shards
                    ]
            paths += [
                f"{folder}/cost/{group.name}/{shard.name}.json"
                for shard in group.shards
            ]
    for chosen in EXPERIMENT.analyses:
        for path in files_of(chosen.analysis):
            paths += [path, *(str(Path(path).with_suffix(s)) for s in (".png", ".pdf"))]
    return paths


rule tidy:
    log:
        f"{RESULTS}/logs/tidy.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=RESULTS,
        kept=made_by_rules(),
    script:
        "../scripts/tidy.py"


rule remove:
    log:
        ".snakemake/variscope/remove.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=RESULTS,
        kept=[],
        cache=f"{CACHE}/preflight-{EXPERIMENT.config['experiment']}.json",
    script:
        "../scripts/tidy.py"
