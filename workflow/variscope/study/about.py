"""What an analysis is about: the studies that it can be made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from variscope.analyses.registry import Analysis
from variscope.study.study_plan import StudyPlan


def about(
    analysis: Analysis, entries: Mapping[str, Analysis], studies: Sequence[StudyPlan]
) -> tuple[StudyPlan, ...]:
    """Return the studies that an analysis is about.

    Args:
        analysis: its entry.
        entries: those that are on, by name.
        studies: of the experiment. Those of responses that were measured elsewhere have no network,
            and are left out where an analysis, or one that it reads, runs one.
    """
    if analysis.about == "measured":
        return tuple(study for study in studies if study.responses)
    runs = _runs_the_network(analysis, entries)
    return tuple(study for study in studies if not (runs and study.responses))


def _runs_the_network(analysis: Analysis, entries: Mapping[str, Analysis]) -> bool:
    return "network" in analysis.reads or any(
        _runs_the_network(entries[name], entries)
        for name, optional in analysis.others
        if not optional and name in entries
    )
