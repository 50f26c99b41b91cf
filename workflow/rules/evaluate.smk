# Evaluation: the network on the rows of a design, in shards of some blocks of some replicates.
# in:  the images and the model
# out: activations/<group>/<shard>/<layer>.zarr, (block, row, *unit), for each group of layers, and
#      what it cost; with storage: moments the sums of the outputs instead, in moments/, and no output
#      is kept; of controls the sums in any case, in transit/

STORAGE = EXPERIMENT.config["storage"]


rule evaluate:
    input:
        images=rules.images.output.summary,
        weights=trained_weights,
        gate=gate_of_shard,
    output:
        stored=directory(f"{STUDY}/{STORAGE}/{{group}}/{{shard}}"),
        cost=f"{STUDY}/cost/{{group}}/{{shard}}.json",
    log:
        f"{RESULTS}/logs/evaluate-{{model}}-{{set}}-{{design}}-{{group}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate-{{model}}-{{set}}-{{design}}-{{group}}-{{shard}}.tsv"
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.config["evaluation"]["threads"]
    resources:
        mem_mb=memory_of_group("evaluate"),
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=GPU,
    params:
        dataset=EXPERIMENT.dataset,
        model=lambda wildcards: EXPERIMENT.network(wildcards.model),
        variable_set=lambda wildcards: EXPERIMENT.evaluated_set(study_of(wildcards)),
        # Of its rows a shard's name says all: those of a smaller study are those of a larger.
        part=lambda wildcards: {
            "kind": study_of(wildcards).design_kind,
            "replicates": tuple(
                study_of(wildcards).stride * number
                for number in Shard.of(wildcards.shard).replicates
            ),
            "start": Shard.of(wildcards.shard).start,
            "stop": Shard.of(wildcards.shard).stop,
        },
        # Apart from what follows from resources, in which Snakemake looks for no changes.
        evaluation={key: EXPERIMENT.config["evaluation"][key] for key in EVALUATION},
        # The group's name says what the layers are; one that is wanted no more changes nothing.
        layers=lambda wildcards, resources: [
            layer.to_json() for layer in group_of(wildcards).layers
        ],
        at_once=lambda wildcards, resources: study_of(wildcards).images_at_once(
            device_of(resources)
        ),
        device=lambda wildcards, resources: device_of(resources),
        storage=STORAGE,
        recipe=lambda wildcards: recipe(
            wildcards.model, wildcards.set, wildcards.design
        ),
        code=evaluation_digest(STORAGE),
    script:
        "../scripts/evaluate.py"


# Controls are summed in transit, whatever is kept of the studies: nobody asks them for more.
use rule evaluate as evaluate_control with:
    output:
        stored=directory(f"{STUDY}/{TRANSIT}/{{group}}/{{shard}}"),
        cost=f"{STUDY}/{TRANSIT}-cost/{{group}}/{{shard}}.json",
    log:
        f"{RESULTS}/logs/evaluate_control-{{model}}-{{set}}-{{design}}-{{group}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_control-{{model}}-{{set}}-{{design}}-{{group}}-{{shard}}.tsv"
    params:
        storage="moments",
        code=evaluation_digest("moments"),
