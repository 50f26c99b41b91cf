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


def log_of(rule_name, scope):
    return f"{RESULTS}/logs/{rule_name}{IN_NAMES[scope]}.log"


def benchmark_of(rule_name, scope):
    return f"{RESULTS}/benchmarks/{rule_name}{IN_NAMES[scope]}.tsv"


def studies_of(wildcards):
    """The studies that agree with the wildcards of a scope."""
    names = {"model": "model", "set": "variable_set", "design": "design"}
    return [
        study
        for study in EXPERIMENT.studies
        if all(getattr(study, names[key]) == value for key, value in wildcards.items())
    ]


def reads_of(analysis):
    """The inputs of an analysis: indices of its studies, the images."""
    inputs = {}
    if "indices" in analysis.reads:
        inputs["indices"] = lambda wildcards: [
            path for study in studies_of(wildcards) for path in indices_of(study)
        ]
    if "images" in analysis.reads:
        inputs["images"] = rules.images.output.summary
    return inputs


def params_of(chosen):
    """What an analysis' numbers depend on beside its inputs."""
    params = {
        "analysis": {"name": chosen.analysis.name, "file": chosen.file},
        "settings": dict(chosen.settings),
        "studies": lambda wildcards, reads="indices" in chosen.analysis.reads: [
            {
                "model": study.model,
                "variable_set": study.variable_set,
                "design": study.design,
                "paths": indices_of(study),
                "unit_names": EXPERIMENT.unit_names(study.model),
            }
            for study in studies_of(wildcards)
            if reads
        ],
    }
    if "images" in chosen.analysis.reads:
        params["dataset"] = EXPERIMENT.dataset
        params["variable_sets"] = {
            name: EXPERIMENT.variable_set(name)
            for name in EXPERIMENT.config["variable_sets"]
        }
    return params


def analysis_modules(chosen, step):
    """The modules of a step of an analysis, and its entry."""
    entry = chosen.analysis
    return (
        entry.modules(step) if chosen.file else (entry.entry_file, *entry.modules(step))
    )


def memory_of_analysis(analysis):
    """Memory of a job of an analysis, which holds all its studies; doubled with each attempt."""

    def memory(wildcards, attempt):
        studies = studies_of(wildcards)
        megabytes = max(map(analysis.memory, studies))
        if "indices" in analysis.reads:
            read = [study.read_mb for study in studies]
            megabytes += sum(read) - max(read)
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
    return [*every_of(paths), *pictures_of(analysis)]


def pictures_of(analysis):
    """The pictures of an analysis, of every study that it is about."""
    return every_of(
        f"{FOLDERS[analysis.scope]}/{analysis.picture_path(picture)}"
        + (".svg" if picture.of == "all" else "")
        for picture in analysis.pictures
    )


def every_of(patterns):
    return [path for pattern in patterns for path in every(pattern)]


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
