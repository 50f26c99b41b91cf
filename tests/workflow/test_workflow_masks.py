"""Profiles and single classes of a trained network, from the masks to their words."""

from __future__ import annotations

import pytest
from tiny_study import Study
from variscope.analyses.registry import built_in
from variscope.analyses.tables import read_table
from variscope.analyses.words import Words

NAMES = ("profiles", "single_class")


def results(study: Study) -> dict[str, bytes]:
    """The tables and words of the analyses that read what masking left, as files."""
    folder = study.results / "net" / "analyses"
    paths = [path for name in NAMES for path in sorted((folder / name).glob("*.[cj]s*"))]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}


@pytest.mark.slow
def test_what_masks_left_is_read_whatever_the_shards(fresh: Study):
    found = {}
    for shards in (1, 2):
        masking = {"images_per_class": 3, "kinds": ["shapley"], "seeds": 2, "shards": shards}
        fresh.configure({"analyses": {"masking": masking} | dict.fromkeys(NAMES, True)})
        fresh.run(*NAMES, "--cores", "2")
        found[shards] = results(fresh)
    assert len(found[1]) == 10 and found[1] == found[2]
    folder = fresh.results / "net" / "analyses"
    for name in NAMES:
        entry = built_in()[name]
        for table in entry.tables:
            assert len(read_table(folder / name / f"{table.name}.csv", table)) > 0
        for picture in entry.pictures:
            assert (folder / name / f"{picture.name}.svg").stat().st_size > 0
        words = Words.read(folder / name / "words.json")
        assert "n = 9 images" in words.answer and "9 clusters of images" in words.control
    profiles = read_table(
        folder / "profiles" / "profiles.csv", built_in()["profiles"].table("profiles")
    )
    assert set(profiles["mask"]) == {"brightness", "hflip", "order", "class", "image", "part"}
    assert set(profiles["input"]) == {"original", "brightness", "hflip"}
