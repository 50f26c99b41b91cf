# Estimation: activations are summed shard by shard, sums become indices.
# in:  activations/<shard>/, or moments/<shard>/ where they were summed in transit
# out: moments/<shard>/<layer>.zarr, then indices/<layer>.zarr, then <set>/summary.csv


if STORAGE == "activations":

    rule sums:
        input:
            f"{STUDY}/activations/{{shard}}",
        output:
            directory(f"{STUDY}/moments/{{shard}}"),
        log:
            f"{RESULTS}/logs/moments-{{model}}-{{set}}-{{design}}-{{shard}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/moments-{{model}}-{{set}}-{{design}}-{{shard}}.tsv"
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory_of("moments"),
            runtime=lambda wildcards, attempt: 60 * attempt,
        params:
            code=script_digest("moments"),
        script:
            "../scripts/moments.py"


rule estimate:
    input:
        moments=of_shards(f"{STUDY}/moments/{{shard}}"),
        cost=of_shards(f"{STUDY}/cost/{{shard}}.json"),
    output:
        directory(f"{STUDY}/indices"),
    log:
        f"{RESULTS}/logs/indices-{{model}}-{{set}}-{{design}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/indices-{{model}}-{{set}}-{{design}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("indices"),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        confidence_level=EXPERIMENT.config["confidence_level"],
        variables=lambda wildcards: study_of(wildcards).variables,
        layers=lambda wildcards: [
            layer.to_json() for layer in study_of(wildcards).layers
        ],
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
        every(f"{STUDY}/indices"),


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    conda:
        ENVIRONMENT
    params:
        text=EXPERIMENT.plan.text(Path("results")),
    script:
        "../scripts/plan.py"
