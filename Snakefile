# The entry: `snakemake --cores N` from the top of the repository. The workflow itself stands in
# workflow/Snakefile; including it alone would leave nothing to do.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
