# Responses measured elsewhere: what is presented, and taking in what comes back.
# in:  the table of images; the responses that a model of the configuration names
# out: inputs/export/<set>/<design>/ with stimuli, order and README; indices/<layer>.zarr


rule presentations:
    input:
        images=rules.images.output.summary,
    output:
        directory(f"{RESULTS}/inputs/export/{{set}}/{{design}}"),
    log:
        f"{RESULTS}/logs/export-{{set}}-{{design}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export-{{set}}-{{design}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubled(2000),
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        dataset=EXPERIMENT.dataset,
        variable_set=lambda wildcards: EXPERIMENT.variable_set(wildcards.set),
        design=design_of,
        export=EXPERIMENT.config["export"],
        code=script_digest("export"),
    script:
        "../scripts/export.py"


rule export:
    input:
        presentations(),
    localrule: True


rule take_in:
    input:
        images=rules.images.output.summary,
        responses=lambda wildcards: study_of(wildcards).responses,
    output:
        directory(f"{STUDY}/indices/{{layer}}.zarr"),
    log:
        f"{RESULTS}/logs/take_in-{{model}}-{{set}}-{{design}}-{{layer}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/indices-{{model}}-{{set}}-{{design}}-{{layer}}.tsv"
    wildcard_constraints:
        model=models_of(measured=True),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of_layer,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        dataset=EXPERIMENT.dataset,
        variable_set=lambda wildcards: EXPERIMENT.variable_set(wildcards.set),
        design=design_of,
        repeats=EXPERIMENT.config["export"]["repeats"],
        confidence_level=EXPERIMENT.config["confidence_level"],
        layer=lambda wildcards: layer_of(wildcards).to_json(),
        position=lambda wildcards: EXPERIMENT.position(
            wildcards.model, layer_of(wildcards).name
        ),
        groups=lambda wildcards: EXPERIMENT.groups(wildcards.set),
        provenance=lambda wildcards: EXPERIMENT.provenance(
            model=wildcards.model,
            variable_set=wildcards.set,
            design=wildcards.design,
        ),
        code=script_digest("measured"),
    script:
        "../scripts/measured.py"
