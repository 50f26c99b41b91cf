# The report: one page that needs nothing else.
# in:  everything above
# out: report.html, and the whole configuration beside it


rule page:
    input:
        images=rules.images.output.summary if EXPERIMENT.studies else [],
        accuracy=every(f"{RESULTS}/{{model}}/accuracy.json"),
        analyses=[
            path
            for chosen in EXPERIMENT.analyses
            for path in files_of(chosen.analysis)
        ],
        cost=[
            f"{STUDY}/cost/{shard}.json".format(
                model=study.model, set=study.variable_set, design=study.design
            )
            for study in EXPERIMENT.studies
            for shard in study.shards
        ],
    output:
        page=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="report",
            labels={"page": "report"},
        ),
        config=f"{RESULTS}/config.yaml",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubled(2000),
        runtime=60,
    params:
        # A digest, since all of it would be printed wherever Snakemake says why it runs the rule.
        experiment=value_digest([EXPERIMENT.config, EXPERIMENT.found.settled()]),
        cache=CACHE,
        digests={
            "images": EXPERIMENT.dataset["listing"],
            "code": numbers_digest(STORAGE),
        },
        # The entries' titles, captions and columns are on the page.
        code=script_digest(
            "page", *(chosen.analysis.entry_file for chosen in EXPERIMENT.analyses)
        ),
    script:
        "../scripts/page.py"


rule report:
    input:
        rules.page.output,
