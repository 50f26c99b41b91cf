"""What the cluster's profile says of jobs, without a cluster."""

from __future__ import annotations

import re

import yaml
from tiny_study import REPOSITORY, Study

SLURM = REPOSITORY / "profiles" / "slurm"
NETWORK = {"train", "accuracy", "evaluate"}


def test_the_clusters_profile_gives_gpus_to_jobs_of_the_network_and_names_rules_that_are(
    fresh: Study,
):
    profile = yaml.safe_load((SLURM / "config.yaml").read_text())
    assert (SLURM / profile["slurm-partition-config"]).is_file()
    without = {k: v for k, v in profile.items() if k != "executor" and "slurm" not in k}
    (fresh.folder / "profile").mkdir()
    (fresh.folder / "profile" / "config.yaml").write_text(yaml.safe_dump(without))
    run = fresh.run("-n", "--workflow-profile", "profile")
    output = run.stdout + run.stderr
    _, *jobs = re.split(r"^ *(?:local)?rule (?=\w+:\n)", output, flags=re.MULTILINE)
    gpus = {job.partition(":")[0]: "gpu=1" in job for job in jobs}
    assert {rule for rule, of in gpus.items() if of} == NETWORK
    assert set(profile["groups"]) <= {*gpus}
    # Without the profile it is this machine that decides.
    fresh.configure({"evaluation.gpus": 0})
    assert "gpu=1" not in fresh.run("-n", "--until", "evaluate").stdout


def test_partitions_are_those_of_the_plugin_and_one_has_gpus():
    partitions = yaml.safe_load((SLURM / "partitions.yaml").read_text())["partitions"]
    assert [of.get("max_gpu", 0) for of in partitions.values()] == [0, 1]
