# Inputs: the table of images and the models.
# in:  the data set and the model's factory, named in the configuration
# out: inputs/images.csv and .json, <model>/weights.pt, <model>/accuracy.json, pictures of samples


rule images:
    output:
        table=f"{RESULTS}/inputs/images.csv",
        summary=f"{RESULTS}/inputs/images.json",
    log:
        f"{RESULTS}/logs/images.log",
    benchmark:
        f"{RESULTS}/benchmarks/images.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubled(1000),
        runtime=60,
    params:
        dataset=EXPERIMENT.dataset,
        skipped=EXPERIMENT.found.dataset.skipped,
        code=script_digest("images"),
    script:
        "../scripts/images.py"


rule train:
    input:
        images=rules.images.output.summary,
    output:
        weights=f"{RESULTS}/{{model}}/weights.pt",
        history=f"{RESULTS}/{{model}}/training.csv",
    log:
        f"{RESULTS}/logs/train-{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train-{{model}}.tsv"
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.config["evaluation"]["threads"]
    resources:
        mem_mb=memory_of_training,
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=GPU,
    params:
        dataset=EXPERIMENT.dataset,
        model=lambda wildcards: {
            key: value
            for key, value in EXPERIMENT.model(wildcards.model).items()
            if key not in ("layers", "axes", "softmax", "memory", "twin")
        },
        training=EXPERIMENT.config["training"],
        # Apart from what follows from resources, in which Snakemake looks for no changes.
        threads=EXPERIMENT.config["evaluation"]["threads"],
        device=lambda wildcards, resources: device_of(resources),
        code=script_digest("train"),
    script:
        "../scripts/train.py"


rule accuracy:
    input:
        images=rules.images.output.summary,
        weights=trained_weights,
    output:
        f"{RESULTS}/{{model}}/accuracy.json",
    log:
        f"{RESULTS}/logs/accuracy-{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/accuracy-{{model}}.tsv"
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.config["evaluation"]["threads"]
    resources:
        mem_mb=memory_of_accuracy,
        runtime=120,
        gpu=GPU,
    params:
        dataset=EXPERIMENT.dataset,
        model=lambda wildcards: {
            key: value
            for key, value in EXPERIMENT.model(wildcards.model).items()
            if key not in ("layers", "axes", "softmax", "memory", "twin")
        },
        measured=lambda wildcards: EXPERIMENT.measured(wildcards.model)["measured"],
        variable_sets=lambda wildcards: EXPERIMENT.measured(wildcards.model)[
            "variable_sets"
        ],
        # Apart from what follows from resources, in which Snakemake looks for no changes.
        threads=EXPERIMENT.config["evaluation"]["threads"],
        device=lambda wildcards, resources: device_of(resources),
        code=script_digest("accuracy"),
    script:
        "../scripts/accuracy.py"
