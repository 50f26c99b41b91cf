# What the rules of analyses are made of: paths, inputs, outputs and params of an entry.

FOLDERS = {
    "study": STUDY,
    "set": SET,
    "model": f"{RESULTS}/{{model}}",
    "experiment": RESULTS,
}
IN_NAMES = {
    "study": "-{model}-{set}-{design}",
    "set": "-{model}-{set}",
    "model": "-{model}",
    "experiment": "",
}


# What makes datasets of layers: the second from those of all layers, where an entry asks for it.
STEPS = frozenset({"layer", "complete"})


def log_of(rule_name, scope, more=""):
    return f"{RESULTS}/logs/{rule_name}{IN_NAMES[scope]}{more}.log"


def benchmark_of(rule_name, scope, more=""):
    return f"{RESULTS}/benchmarks/{rule_name}{IN_NAMES[scope]}{more}.tsv"


def studies_of(wildcards):
    """The studies that agree with the wildcards of a scope."""
    names = {"model": "model", "set": "variable_set", "design": "design"}
    given = {names[key]: value for key, value in wildcards.items() if key in names}
    return [
        study
        for study in EXPERIMENT.studies
        if all(getattr(study, key) == value for key, value in given.items())
    ]


def subjects_of(analysis, wildcards):
    """What an analysis is about: the studies of its scope, or the tables."""
    return EXPERIMENT.tables if analysis.of_tables else studies_of(wildcards)


def reads_of(analysis):
    """The inputs of an analysis: indices of its studies, the images, what others made."""
    inputs = {}
    if {"indices", "halves", "selection", "twin"} & set(analysis.reads):
        inputs["indices"] = lambda wildcards: [
            path
            for study in studies_of(wildcards)
            for one in read_with(study, analysis.reads)
            for path in indices_of(one)
        ]
    if analysis.opens_images:
        inputs["images"] = rules.images.output.summary
    if analysis.of_tables:
        inputs["tables"] = trained_tables()
    if analysis.others:
        inputs["others"] = lambda wildcards: [
            path
            for other in others_of(analysis)
            for path in paths_of_result(other, wildcards)
        ]
    return inputs


def read_with(study, reads):
    """A study and those of its controls that an analysis reads."""
    found = []
    if {"indices", "halves"} & set(reads):
        found.append(study)
    if "selection" in reads:
        # Without images to select on, half A of the study itself selects.
        found.append(EXPERIMENT.plan.selection(study) or study)
    if "twin" in reads:
        found.append(EXPERIMENT.plan.twin(study))
    return list(dict.fromkeys(filter(None, found)))


def others_of(analysis):
    """The analyses that are on and that this one reads."""
    names = {name for name, _ in analysis.others}
    return [one for one in EXPERIMENT.analyses if one.analysis.name in names]


def result_of(chosen, wildcards):
    """What an analysis made, as another one is told of it."""
    analysis = chosen.analysis
    folder = FOLDERS[analysis.scope].format(**wildcards)
    return {
        "analysis": {"name": analysis.name, "file": chosen.file},
        "settings": dict(chosen.settings),
        "tables": {
            table.name: f"{folder}/{analysis.table_path(table)}"
            for table in analysis.tables
        },
        "shards": shards_of(chosen, wildcards),
        "layer_datasets": layer_datasets_of(chosen, wildcards),
    }


def paths_of_result(chosen, wildcards):
    """All files and folders of what an analysis made."""
    result = result_of(chosen, wildcards)
    return [
        path
        for kind in ("tables", "shards", "layer_datasets")
        for path in result[kind].values()
    ]


def shards_of(chosen, wildcards):
    """The folders of an analysis' own jobs on the network, by name."""
    analysis = chosen.analysis
    if analysis.shards is None:
        return {}
    folder = FOLDERS[analysis.scope].format(**wildcards)
    names = analysis.shards(chosen.settings, subjects_of(analysis, wildcards))
    return {name: f"{folder}/{analysis.shard_folder(name)}" for name in names}


def layer_datasets_of(chosen, wildcards, step="complete"):
    """The paths of an analysis' own datasets of layers after a step, by the layers' names."""
    analysis = chosen.analysis
    if not analysis.per_layer:
        return {}
    folder = FOLDERS[analysis.scope].format(**wildcards)
    layers = {l.name: l for study in studies_of(wildcards) for l in study.layers}
    return {
        name: f"{folder}/{analysis.layer_path(file_name(name), step)}"
        for name in layers
    }


def params_of(chosen):
    """What an analysis' numbers depend on beside its inputs."""
    reads = chosen.analysis.reads
    params = {
        "analysis": {"name": chosen.analysis.name, "file": chosen.file},
        "settings": dict(chosen.settings),
        "seed": EXPERIMENT.config["seed"],
        "studies": lambda wildcards: [
            described(study, reads) for study in studies_of(wildcards)
        ],
        # Of an analysis with a picture of each set; the others do without those that are added.
        "sets": (
            list(EXPERIMENT.config["variable_sets"])
            if chosen.analysis.opens_images
            or any(picture.of == "set" for picture in chosen.analysis.pictures)
            else []
        ),
        "made": {"shards": {}, "layer_datasets": {}},
        "others": lambda wildcards: {
            other.analysis.name: result_of(other, wildcards)
            for other in others_of(chosen.analysis)
        },
    }
    if chosen.analysis.of_tables:
        params["studies"] = []
        params["tables"] = {
            table.name: {
                **EXPERIMENT.table(table.name),
                "trained": TRAINED_TABLE.format(table=table.name),
            }
            for table in EXPERIMENT.tables
        }
    if chosen.analysis.files:
        params["files"] = EXPERIMENT.digest_of(chosen.analysis.files(chosen.settings))
    if chosen.analysis.opens_images:
        params["dataset"] = EXPERIMENT.dataset
        params["variable_sets"] = {
            name: EXPERIMENT.variable_set(name)
            for name in EXPERIMENT.config["variable_sets"]
        }
    return params


def later_params_of(chosen, kinds):
    """As `params_of`, of a step that runs no network: what earlier ones made, and the level.

    An analysis of nothing but images, such as one that shows some, has no intervals.
    """
    level = {"confidence_level": EXPERIMENT.config["confidence_level"]}
    return {
        **params_of(chosen),
        "made": made_by(chosen, kinds),
        **(level if set(chosen.analysis.reads) != {"images"} else {}),
    }


def described(study, reads):
    """A study and its controls, as a job is told of them."""
    plan, reads = EXPERIMENT.plan, set(reads)
    selection = plan.selection(study) if "selection" in reads else None
    twin = plan.twin(study) if "twin" in reads else None
    own = {"indices", "halves"} & reads or ("selection" in reads and not selection)
    return {
        "model": study.model,
        "variable_set": study.variable_set,
        "design": study.design,
        "paths": indices_of(study) if own else [],
        "unit_names": EXPERIMENT.unit_names(study.model),
        "selection_paths": indices_of(selection) if selection else [],
        "twin": described(twin, {"indices"}) if twin else None,
    }


def layer_of_model(wildcards):
    """The layer that a dataset is of."""
    return next(
        layer
        for study in studies_of(wildcards)
        for layer in study.layers
        if file_name(layer.name) == wildcards.layer
    )


def made_by(chosen, kinds):
    """What earlier steps of an analysis made, as a later one is told of it."""
    return lambda wildcards: {
        "shards": shards_of(chosen, wildcards) if "shards" in kinds else {},
        "layer_datasets": (
            layer_datasets_of(chosen, wildcards, *STEPS.intersection(kinds))
            if STEPS.intersection(kinds)
            else {}
        ),
    }


def made_files(chosen, kind):
    """The same as inputs."""
    if kind == "shards":
        return lambda wildcards: list(shards_of(chosen, wildcards).values())
    return lambda wildcards: list(layer_datasets_of(chosen, wildcards, kind).values())


def network_params(chosen):
    """The network of a model, as a job that runs it is told of it; those of tables stand in files."""
    if chosen.analysis.of_tables:
        return {"running": {"threads": 1}}
    return {
        "network": lambda wildcards: EXPERIMENT.described_network(
            wildcards.model, str(trained_weights(wildcards) or "").format(**wildcards)
        ),
        # Apart from what follows from resources, in which Snakemake looks for no changes.
        "running": lambda wildcards, resources: {
            "at_once": study_with(wildcards.model).images_at_once(device_of(resources)),
            "device": device_of(resources),
            "threads": EXPERIMENT.config["evaluation"]["threads"],
        },
    }


def analysis_modules(chosen, step):
    """The modules of a step of an analysis, and its entry."""
    entry = chosen.analysis
    return (
        entry.modules(step) if chosen.file else (entry.entry_file, *entry.modules(step))
    )


def memory_of_analysis(chosen, step="compute"):
    """Memory of a job of an analysis, which holds all its studies; doubled with each attempt."""
    analysis = chosen.analysis
    of_study = analysis.shard_memory if step == "shard" else analysis.memory

    def memory(wildcards, attempt):
        studies = subjects_of(analysis, wildcards)
        megabytes = max(map(of_study, studies))
        if "indices" in analysis.reads:
            read = [study.read_mb for study in studies]
            megabytes += sum(read) - max(read)
        if step != "shard":
            summary = EXPERIMENT.found.dataset.summary
            megabytes += sum(
                one.analysis.held(one.settings, studies, summary)
                for one in (chosen, *others_of(analysis))
                if one.analysis.held
            )
        return (ceil(megabytes) + BESIDE_MB) * 2 ** (attempt - 1)

    return memory


def report_labels(analysis, kind, title):
    """Where Snakemake's own report shows a file."""
    labels = {kind: title}
    if analysis.scope == "study":
        labels["design"] = "{design}"
    of_model = analysis.scope != "experiment"
    of_set = analysis.scope in ("study", "set")
    return {
        "category": "{model}" if of_model else "experiment",
        "subcategory": "{set}" if of_set else analysis.title,
        "labels": labels,
    }


def reported_table(analysis, table):
    """A table, for Snakemake's own report as well."""
    text = f"{analysis.title}. {table.title}.\n\n" + "\n".join(
        f"- **{column.name}**: {column.meaning}" for column in table.columns
    )
    return report(
        f"{FOLDERS[analysis.scope]}/{analysis.table_path(table)}",
        caption=caption_file(f"{analysis.name}-table-{table.name}", text),
        **report_labels(analysis, "table", table.title),
    )


def outputs_of_presenting(analysis):
    """The pictures, for Snakemake's own report as well, and the words."""
    folder, outputs = FOLDERS[analysis.scope], {}
    for picture in analysis.pictures:
        path = f"{folder}/{analysis.picture_path(picture)}"
        text = picture.caption.format(index="the index", level="confidence")
        caption = caption_file(f"{analysis.name}-picture-{picture.name}", text)
        if picture.of == "all":
            outputs[f"picture_{picture.name}"] = report(
                f"{path}.svg",
                caption=caption,
                **report_labels(analysis, "figure", picture.title),
            )
            for kind in ("png", "pdf"):
                outputs[f"{kind}_{picture.name}"] = f"{path}.{kind}"
        else:
            outputs[f"picture_{picture.name}"] = report(
                directory(path),
                patterns=[f"{{{picture.of}_name}}.svg"],
                caption=caption,
                **report_labels(
                    analysis, "figure", f"{picture.title}: {{{picture.of}_name}}"
                ),
            )
    if analysis.has_words:
        outputs["words"] = f"{folder}/{analysis.words_path}"
    return outputs


def caption_file(name, text):
    """A caption of Snakemake's own report, as the file that it wants."""
    path = Path(CACHE).absolute() / "captions" / f"{name}.rst"
    if not path.is_file() or path.read_text() != text:
        with new_file(path) as file:
            file.write_text(text)
    return str(path)


def files_of(analysis):
    """All files of an analysis, of every study that it is about."""
    folder = FOLDERS[analysis.scope]
    paths = [f"{folder}/{analysis.table_path(table)}" for table in analysis.tables]
    if analysis.has_words:
        paths.append(f"{folder}/{analysis.words_path}")
    return [*every_of(paths, analysis), *pictures_of(analysis)]


def folders_of(chosen):
    """What an analysis' own jobs on the network wrote, and its own datasets of layers."""
    scopes = {"study": ["model", "set", "design"], "set": ["model", "set"]}
    scopes |= {"model": ["model"], "experiment": []}
    names = {"model": "model", "set": "variable_set", "design": "design"}
    keys = scopes[chosen.analysis.scope]
    places = [
        {key: getattr(study, names[key]) for key in keys}
        for study in EXPERIMENT.about(chosen.analysis)
    ]
    if chosen.analysis.of_tables and EXPERIMENT.tables:
        places = [{}]
    found = [
        path
        for place in places
        for made in (
            shards_of(chosen, place),
            *(layer_datasets_of(chosen, place, step) for step in sorted(STEPS)),
        )
        for path in made.values()
    ]
    return list(dict.fromkeys(found))  # most analyses have one step


def pictures_of(analysis):
    """The pictures of an analysis, of every study that it is about."""
    patterns = [
        f"{FOLDERS[analysis.scope]}/{analysis.picture_path(picture)}"
        + (".svg" if picture.of == "all" else "")
        for picture in analysis.pictures
    ]
    return every_of(patterns, analysis)


def every_of(patterns, analysis):
    if analysis.of_tables:
        return patterns if EXPERIMENT.tables else []
    studies = EXPERIMENT.about(analysis)
    return [path for pattern in patterns for path in every(pattern, studies)]


def made_by_rules():
    """All that the rules of the present settings make, as paths; of folders all below."""
    paths = [
        f"{RESULTS}/inputs/images.csv",
        f"{RESULTS}/inputs/images.json",
        f"{RESULTS}/report.html",
        f"{RESULTS}/config.yaml",
        *presentations(),
        *trained_tables(),
    ]
    for model in EXPERIMENT.config["models"]:
        names = ("accuracy.json", "weights.pt", "training.csv")
        paths += [f"{RESULTS}/{model}/{name}" for name in names]
    for study in EXPERIMENT.plan.every:
        folder = STUDY.format(
            model=study.model, set=study.variable_set, design=study.design
        )
        paths += indices_of(study)
        paths += [f"{folder}/precision", f"{folder}/precision.json"]
        for group in study.layer_groups:
            for stage in {study.store, study.sums}:
                paths.append(f"{folder}/{stage}/{group.name}/layers.json")
                paths += [
                    f"{folder}/{stage}/{group.name}/{shard.name}"
                    for shard in group.shards
                ]
            paths += [
                f"{folder}/{study.cost}/{group.name}/{shard.name}.json"
                for shard in group.shards
            ]
    for chosen in EXPERIMENT.analyses:
        paths += folders_of(chosen)
        for path in files_of(chosen.analysis):
            paths += [path, *(str(Path(path).with_suffix(s)) for s in (".png", ".pdf"))]
    return paths
