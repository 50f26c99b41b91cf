"""Delete what the present settings do not make, or, where nothing is kept, the whole experiment."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.indices.wording import bytes_text
from variscope.study.cleaning import orphans, remove
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    folder, kept = Path(snakemake.params.folder), snakemake.params.kept
    if kept:
        gone = orphans(folder, map(Path, kept))
    else:
        gone = [path for path in (folder, Path(snakemake.params.cache)) if path.exists()]
    freed = remove(gone)
    for path in gone:
        print(f"removed {path}")
    print(f"{bytes_text(freed)} freed" if gone else "nothing was left behind")
