# Tables: a small network for each table of the configuration.
# in:  the table, one that scikit-learn carries or a file
# out: inputs/tables/<table>/ with the network, its training curve, and its answers to the rows that
#      it was not trained on


rule train_table:
    output:
        trained=directory(TRAINED_TABLE),
    log:
        f"{RESULTS}/logs/train_table-{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_table-{{table}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: (
            table_of(wildcards.table).memory_mb["evaluate"] + BESIDE_MB
        )
        * 2 ** (attempt - 1),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        # What the margins are decides what is drawn, and not what is learned.
        table=lambda wildcards: learned_from(wildcards.table),
        seed=EXPERIMENT.config["seed"],
        code=script_digest("train_table"),
    script:
        "../scripts/train_table.py"
