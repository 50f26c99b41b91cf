# Analyses: the rules of every entry of the registry that is on, made in a loop.
# in:  indices/<layer>.zarr of the studies of an analysis' scope, and what else it reads
# out: analyses/<name>/<table>.csv, its pictures and words.json, below the folder of its scope; of one
#      that runs the network shards/<shard>/, of one with datasets of layers <layer>.zarr beside them
#
# Snakemake binds late: what a lambda needs of the loop enters by its default arguments.

for CHOSEN in EXPERIMENT.analyses:
    ANALYSIS = CHOSEN.analysis
    FOLDER = FOLDERS[ANALYSIS.scope]
    NAMES = {"name": ANALYSIS.name, "file": CHOSEN.file}
    TABLES = {
        table.name: f"{FOLDER}/{ANALYSIS.table_path(table)}"
        for table in ANALYSIS.tables
    }

    if ANALYSIS.shards:

        rule:
            name:
                f"{ANALYSIS.name}_shard"
            input:
                **reads_of(ANALYSIS),
                weights=([] if ANALYSIS.of_tables else trained_weights),
            output:
                stored=directory(f"{FOLDER}/{ANALYSIS.shard_folder('{piece}')}"),
            log:
                log_of(f"{ANALYSIS.name}_shard", ANALYSIS.scope, "-{piece}"),
            benchmark:
                benchmark_of(f"{ANALYSIS.name}_shard", ANALYSIS.scope, "-{piece}")
            conda:
                ENVIRONMENT
            threads: 1 if ANALYSIS.of_tables else EXPERIMENT.config["evaluation"]["threads"]
            resources:
                mem_mb=memory_of_analysis(CHOSEN, "shard"),
                runtime=lambda wildcards, attempt: 240 * attempt,
                gpu=0 if ANALYSIS.of_tables else GPU,
            params:
                **params_of(CHOSEN),
                **network_params(CHOSEN),
                code=script_digest("shard", *analysis_modules(CHOSEN, "shard")),
            script:
                "../scripts/shard.py"

    if ANALYSIS.per_layer:

        rule:
            name:
                f"{ANALYSIS.name}_layer"
            input:
                **reads_of(ANALYSIS),
                shards=made_files(CHOSEN, "shards"),
            output:
                dataset=directory(f"{FOLDER}/{ANALYSIS.layer_path('{layer}', 'layer')}"),
            log:
                log_of(f"{ANALYSIS.name}_layer", ANALYSIS.scope, "-{layer}"),
            benchmark:
                benchmark_of(f"{ANALYSIS.name}_layer", ANALYSIS.scope, "-{layer}")
            conda:
                ENVIRONMENT
            resources:
                mem_mb=memory_of_analysis(CHOSEN),
                runtime=240,
            params:
                **later_params_of(CHOSEN, ["shards"]),
                layer=lambda wildcards: layer_of_model(wildcards).name,
                code=script_digest("layer", *analysis_modules(CHOSEN, "layer")),
            script:
                "../scripts/layer.py"

    if ANALYSIS.completes:

        rule:
            name:
                f"{ANALYSIS.name}_complete"
            input:
                **reads_of(ANALYSIS),
                layer_datasets=made_files(CHOSEN, "layer"),
            output:
                dataset=directory(f"{FOLDER}/{ANALYSIS.layer_path('{layer}')}"),
            log:
                log_of(f"{ANALYSIS.name}_complete", ANALYSIS.scope, "-{layer}"),
            benchmark:
                benchmark_of(f"{ANALYSIS.name}_complete", ANALYSIS.scope, "-{layer}")
            conda:
                ENVIRONMENT
            resources:
                mem_mb=memory_of_analysis(CHOSEN),
                runtime=60,
            params:
                **later_params_of(CHOSEN, ["layer"]),
                layer=lambda wildcards: layer_of_model(wildcards).name,
                code=script_digest("complete", *analysis_modules(CHOSEN, "complete")),
            script:
                "../scripts/complete.py"

    if ANALYSIS.tables:

        rule:
            name:
                f"{ANALYSIS.name}_compute"
            input:
                **reads_of(ANALYSIS),
                shards=made_files(CHOSEN, "shards"),
                layer_datasets=made_files(CHOSEN, "complete"),
            output:
                **{
                    table.name: reported_table(ANALYSIS, table)
                    for table in ANALYSIS.tables
                },
            log:
                log_of(f"{ANALYSIS.name}_compute", ANALYSIS.scope),
            benchmark:
                benchmark_of(f"{ANALYSIS.name}_compute", ANALYSIS.scope)
            conda:
                ENVIRONMENT
            resources:
                mem_mb=memory_of_analysis(CHOSEN),
                runtime=60,
            params:
                **later_params_of(CHOSEN, ["shards", "complete"]),
                code=script_digest("compute", *analysis_modules(CHOSEN, "compute")),
            script:
                "../scripts/compute.py"

    if ANALYSIS.pictures or ANALYSIS.has_words:

        rule:
            name:
                f"{ANALYSIS.name}_present"
            input:
                **reads_of(ANALYSIS),
                **{f"table_{name}": path for name, path in TABLES.items()},
                shards=made_files(CHOSEN, "shards"),
                layer_datasets=made_files(CHOSEN, "complete"),
            output:
                **outputs_of_presenting(ANALYSIS),
            log:
                log_of(f"{ANALYSIS.name}_present", ANALYSIS.scope),
            benchmark:
                benchmark_of(f"{ANALYSIS.name}_present", ANALYSIS.scope)
            conda:
                ENVIRONMENT
            resources:
                mem_mb=memory_of_analysis(CHOSEN),
                runtime=60,
            params:
                **later_params_of(CHOSEN, ["shards", "complete"]),
                code=script_digest("present", *analysis_modules(CHOSEN, "present")),
            script:
                "../scripts/present.py"

    rule:
        name:
            ANALYSIS.name
        input:
            files_of(ANALYSIS),
            folders_of(CHOSEN) if ANALYSIS.per_layer or not ANALYSIS.tables else [],
        localrule: True


rule analyses:
    input:
        [files_of(chosen.analysis) for chosen in EXPERIMENT.analyses],


# Pictures are the analyses' now; users ask for them by this name.
rule figures:
    input:
        [pictures_of(chosen.analysis) for chosen in EXPERIMENT.analyses],
