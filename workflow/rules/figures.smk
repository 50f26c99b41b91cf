# Figures: pictures of a study, each as SVG and PNG.
# in:  indices/<layer>.zarr and analyses/specialised.csv; for samples the images and the set
# out: figures/<kind>.svg, figures/<kind>/<layer>.svg, inputs/samples/<set>.svg


rule draw:
    input:
        indices=f"{STUDY}/indices",
        specialised=f"{STUDY}/analyses/specialised.csv",
    output:
        **{kind: study_figure(kind) for kind in STUDY_PICTURES},
        **{f"{kind}_png": f"{STUDY}/figures/{kind}.png" for kind in STUDY_PICTURES},
        **{f"layer_{kind}": layer_figures(kind) for kind in LAYER_PICTURES},
    log:
        f"{RESULTS}/logs/draw-{{model}}-{{set}}-{{design}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw-{{model}}-{{set}}-{{design}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("indices"),
        runtime=60,
    params:
        study=STUDY_PICTURES,
        layer=LAYER_PICTURES,
        code=script_digest("draw"),
    script:
        "../scripts/draw.py"


rule samples:
    input:
        images=rules.images.output.summary,
    output:
        svg=report(
            f"{RESULTS}/inputs/samples/{{set}}.svg",
            caption="../report/samples.rst",
            category="images",
            labels={"figure": "samples of {set}"},
        ),
        png=f"{RESULTS}/inputs/samples/{{set}}.png",
    log:
        f"{RESULTS}/logs/samples-{{set}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/samples-{{set}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubled(1500),
        runtime=60,
    params:
        dataset=EXPERIMENT.dataset,
        variable_set=lambda wildcards: EXPERIMENT.variable_set(wildcards.set),
        code=script_digest("samples"),
    script:
        "../scripts/samples.py"


rule figures:
    input:
        every(f"{STUDY}/figures/summary.svg"),
        every(f"{RESULTS}/inputs/samples/{{set}}.svg"),
