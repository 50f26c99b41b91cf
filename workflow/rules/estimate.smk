# Estimation: activations are summed shard by shard, sums become indices layer by layer.
# in:  activations/<group>/<shard>/, or moments/<group>/<shard>/ where they were summed in transit
# out: moments/<group>/<shard>/<layer>.zarr, then indices/<layer>.zarr, then <set>/summary.csv


if STORAGE == "activations":

    rule sums:
        input:
            activations=f"{STUDY}/activations/{{group}}/{{shard}}",
            gate=gate_of_sums,
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


# Whether more blocks are wanted, with nothing to look at where nothing is asked of the intervals.
rule precision:
    input:
        moments=sums_of_round,
        before=gate_before_round,
    output:
        f"{STUDY}/precision/blocks-{{start}}.json",
    log:
        f"{RESULTS}/logs/precision-{{model}}-{{set}}-{{design}}-{{start}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/precision-{{model}}-{{set}}-{{design}}-{{start}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of_layers,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        judged=judged,
    script:
        "../scripts/precision.py"


use rule precision as reached with:
    output:
        f"{STUDY}/precision.json",
    log:
        f"{RESULTS}/logs/reached-{{model}}-{{set}}-{{design}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reached-{{model}}-{{set}}-{{design}}.tsv"


rule estimate:
    input:
        moments=of_shards(f"{STUDY}/{{study.sums}}/{{group}}/{{shard}}"),
        cost=of_shards(f"{STUDY}/{{study.cost}}/{{group}}/{{shard}}.json"),
        gates=gates_of,
        precision=precision_of,
    output:
        directory(f"{STUDY}/indices/{{layer}}.zarr"),
    log:
        f"{RESULTS}/logs/indices-{{model}}-{{set}}-{{design}}-{{layer}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/indices-{{model}}-{{set}}-{{design}}-{{layer}}.tsv"
    wildcard_constraints:
        model=models_of(measured=False),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of_layer,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        rounds=lambda wildcards: [
            (one.blocks, [shard.name for shard in one.shards])
            for one in study_of(wildcards).group_of(layer_of(wildcards).name).rounds
        ],
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
        [path for study in EXPERIMENT.plan.every for path in indices_of(study)],


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    conda:
        ENVIRONMENT
    params:
        text=lambda wildcards: EXPERIMENT.plan_text(),
    script:
        "../scripts/plan.py"
