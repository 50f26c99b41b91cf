# Estimation: activations are summed shard by shard, sums become indices layer by layer.
# in:  activations/<group>/<shard>/, or moments/<group>/<shard>/ where they were summed in transit
# out: moments/<group>/<shard>/<layer>.zarr, then indices/<layer>.zarr, then <set>/summary.csv


if STORAGE == "activations":

    rule sums:
        input:
            f"{STUDY}/activations/{{group}}/{{shard}}",
        output:
            directory(f"{STUDY}/moments/{{group}}/{{shard}}"),
        log:
            f"{RESULTS}/logs/moments-{{model}}-{{set}}-{{design}}-{{group}}-{{shard}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/moments-{{model}}-{{set}}-{{design}}-{{group}}-{{shard}}.tsv"
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory_of_group("moments"),
            runtime=lambda wildcards, attempt: 60 * attempt,
        params:
            code=script_digest("moments"),
        script:
            "../scripts/moments.py"


rule estimate:
    input:
        moments=of_shards(f"{STUDY}/moments/{{group}}/{{shard}}"),
        cost=of_shards(f"{STUDY}/cost/{{group}}/{{shard}}.json"),
    output:
        directory(f"{STUDY}/indices/{{layer}}.zarr"),
    log:
        f"{RESULTS}/logs/indices-{{model}}-{{set}}-{{design}}-{{layer}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/indices-{{model}}-{{set}}-{{design}}-{{layer}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of_layer,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        confidence_level=EXPERIMENT.config["confidence_level"],
        variables=lambda wildcards: study_of(wildcards).variables,
        layer=lambda wildcards: layer_of(wildcards).to_json(),
        position=lambda wildcards: EXPERIMENT.position(
            wildcards.model, layer_of(wildcards).name
        ),
        groups=lambda wildcards: EXPERIMENT.groups(wildcards.set),
        apply=lambda wildcards: EXPERIMENT.config["variable_sets"][wildcards.set][
            "apply"
        ],
        provenance=lambda wildcards: EXPERIMENT.provenance(
            model=wildcards.model,
            variable_set=wildcards.set,
            design=wildcards.design,
        ),
        code=script_digest("estimate"),
    script:
        "../scripts/estimate.py"


rule indices:
    input:
        [path for study in EXPERIMENT.studies for path in indices_of(study)],


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    conda:
        ENVIRONMENT
    params:
        text=EXPERIMENT.plan.text(Path("results")),
    script:
        "../scripts/plan.py"
