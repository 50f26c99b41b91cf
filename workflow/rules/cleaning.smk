# Cleaning: what changed settings left behind in the experiment's folder, or all of the experiment.
# in:  what the rules of the present settings make
# out: nothing; both run only where they are asked for


rule tidy:
    log:
        f"{RESULTS}/logs/tidy.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=RESULTS,
        kept=made_by_rules(),
    script:
        "../scripts/tidy.py"


rule remove:
    log:
        ".snakemake/variscope/remove.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=RESULTS,
        kept=[],
        cache=f"{CACHE}/preflight-{EXPERIMENT.config['experiment']}.json",
    script:
        "../scripts/tidy.py"
