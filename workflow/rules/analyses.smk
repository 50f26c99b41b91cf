# Analyses: the rules of every entry of the registry that is on, made in a loop.
# in:  indices/<layer>.zarr of the studies of an analysis' scope, and what else it reads
# out: analyses/<name>/<table>.csv, its pictures and words.json, below the folder of its scope
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

    if ANALYSIS.tables:

        rule:
            name:
                f"{ANALYSIS.name}_compute"
            input:
                **reads_of(ANALYSIS),
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
                mem_mb=memory_of_analysis(ANALYSIS),
                runtime=60,
            params:
                **params_of(CHOSEN),
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
            output:
                **outputs_of_presenting(ANALYSIS),
            log:
                log_of(f"{ANALYSIS.name}_present", ANALYSIS.scope),
            benchmark:
                benchmark_of(f"{ANALYSIS.name}_present", ANALYSIS.scope)
            conda:
                ENVIRONMENT
            resources:
                mem_mb=memory_of_analysis(ANALYSIS),
                runtime=60,
            params:
                **params_of(CHOSEN),
                code=script_digest("present", *analysis_modules(CHOSEN, "present")),
            script:
                "../scripts/present.py"

    rule:
        name:
            ANALYSIS.name
        input:
            files_of(ANALYSIS),
        localrule: True


rule analyses:
    input:
        [files_of(chosen.analysis) for chosen in EXPERIMENT.analyses],


# Pictures are the analyses' now; users ask for them by this name.
rule figures:
    input:
        [pictures_of(chosen.analysis) for chosen in EXPERIMENT.analyses],
