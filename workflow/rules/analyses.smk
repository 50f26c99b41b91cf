# Analyses of finished indices.
# in:  indices/<layer>.zarr
# out: analyses/specialised.csv, the units whose variance is most one variable's, and why


rule specialised:
    input:
        f"{STUDY}/indices",
    output:
        report(
            f"{STUDY}/analyses/specialised.csv",
            caption="../report/specialised_table.rst",
            category="{model}",
            subcategory="{set}",
            labels={"table": "specialised units", "design": "{design}"},
        ),
    log:
        f"{RESULTS}/logs/specialised-{{model}}-{{set}}-{{design}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/specialised-{{model}}-{{set}}-{{design}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("indices"),
        runtime=60,
    params:
        names=lambda wildcards: EXPERIMENT.unit_names(wildcards.model),
        code=script_digest("specialised"),
    script:
        "../scripts/specialised.py"


rule analyses:
    input:
        every(f"{STUDY}/analyses/specialised.csv"),
