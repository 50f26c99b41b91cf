# Evaluation: the network on the rows of a design, in shards of some blocks of some replicates.
# in:  the images and the model
# out: activations/<shard>/<layer>.zarr, (block, row, *unit), and what it cost; with storage: moments
#      the sums of the outputs instead, moments/<shard>/<layer>.zarr, and no output is kept

STORAGE = EXPERIMENT.config["storage"]


rule evaluate:
    input:
        images=rules.images.output.summary,
        weights=trained_weights,
    output:
        stored=directory(f"{STUDY}/{STORAGE}/{{shard}}"),
        cost=f"{STUDY}/cost/{{shard}}.json",
    log:
        f"{RESULTS}/logs/evaluate-{{model}}-{{set}}-{{design}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate-{{model}}-{{set}}-{{design}}-{{shard}}.tsv"
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.config["evaluation"]["threads"]
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=GPU,
    params:
        dataset=EXPERIMENT.dataset,
        model=lambda wildcards: EXPERIMENT.model(wildcards.model),
        variable_set=lambda wildcards: EXPERIMENT.variable_set(wildcards.set),
        # Of its rows a shard's name says all: those of a smaller study are those of a larger.
        part=lambda wildcards: {
            "kind": wildcards.design,
            "replicates": Shard.of(wildcards.shard).replicates,
            "start": Shard.of(wildcards.shard).start,
            "stop": Shard.of(wildcards.shard).stop,
        },
        # Apart from what follows from resources, in which Snakemake looks for no changes.
        evaluation={
            key: EXPERIMENT.config["evaluation"][key]
            for key in ("batch_size", "threads", "precision", "compile")
        },
        at_once=lambda wildcards, resources: study_of(wildcards).images_at_once(
            device_of(resources)
        ),
        device=lambda wildcards, resources: device_of(resources),
        storage=STORAGE,
        code=script_digest("evaluate", f"study/shards/{STORAGE}.py"),
    script:
        "../scripts/evaluate.py"
