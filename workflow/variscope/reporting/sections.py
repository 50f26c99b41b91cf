"""The sections of the page: what each analysis left, of each study, set or model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from variscope.analyses.registry import Analysis
from variscope.analyses.registry import Picture as Entry
from variscope.analyses.tables import read_table
from variscope.analyses.words import Words
from variscope.designs import kinds
from variscope.inputs.axes import file_name
from variscope.reporting.model import (
    Layers,
    Part,
    Picture,
    Section,
)
from variscope.reporting.sheets import sheets_of
from variscope.study.plan import Plan
from variscope.study.study_plan import StudyPlan
from variscope.vocabulary import INDEX_NAMES


def section(
    analysis: Analysis, studies: Sequence[StudyPlan], plan: Plan, results: Path, level: str
) -> Section:
    """Read what an analysis left of each study, set or model that it is about."""
    parts: dict[Path, Part] = {}
    for study in studies:
        names = {
            "study": (study.model, study.variable_set, study.design),
            "set": (study.model, study.variable_set),
            "model": (study.model,),
            "experiment": (),
        }[analysis.scope]
        folder = results.joinpath(*names)
        if folder not in parts:
            parts[folder] = _part(analysis, plan, study, results, level, folder)
    return _titled(analysis, list(parts.values()))


def section_of_tables(
    analysis: Analysis, given: bool, plan: Plan, results: Path, level: str
) -> Section:
    """Read what an analysis of tables left of all of them, where there are tables."""
    return _titled(analysis, [_part(analysis, plan, None, results, level)] if given else [])


def _titled(analysis: Analysis, parts: Sequence[Part]) -> Section:
    return Section(
        name=analysis.name, title=analysis.title, question=analysis.question, parts=parts
    )


def _part(
    analysis: Analysis,
    plan: Plan,
    study: StudyPlan | None,
    results: Path,
    level: str,
    folder: Path | None = None,
) -> Part:
    """Read what an analysis left in a folder, by default that of the experiment."""
    folder = folder or results
    words = Words(answer="")
    if analysis.has_words:
        words = Words.read(folder / analysis.words_path)
    sheets = []
    for table in analysis.tables:
        if table.shown:
            path = folder / analysis.table_path(table)
            shown = path.relative_to(results).as_posix()
            sheets += sheets_of(table, read_table(path, table), shown)
    pictures = []
    for picture in analysis.pictures:
        base = folder / analysis.picture_path(picture)
        if picture.of == "all":
            pictures.append(_picture(picture, base, study, level))
        elif picture.of == "set":
            sets = dict.fromkeys(one.variable_set for one in plan.studies)
            # A series leaves out what it has nothing to show of.
            drawn = [name for name in sets if (base / f"{name}.svg").is_file()]
            pictures += [_picture(picture, base / name, study, level, name) for name in drawn]
    return Part(
        name=_part_name(analysis, plan, study),
        headline=words.headline,
        answer=words.answer,
        more=words.more,
        control=words.control,
        note=words.note,
        pictures=pictures,
        sheets=sheets,
    )


def in_front(analysis: Analysis, section: Section) -> Section:
    """Put the pictures aside that are for the appendix: a click opens them."""
    behind = {picture.name for picture in analysis.pictures if picture.appendix}
    parts = []
    for part in section.parts:
        pictures = [picture for picture in part.pictures if picture.kind not in behind]
        further = [picture for picture in part.pictures if picture.kind in behind]
        parts.append(replace(part, pictures=pictures, further=further))
    return replace(section, parts=parts)


def _part_name(analysis: Analysis, plan: Plan, study: StudyPlan | None) -> str:
    if study is None or analysis.scope == "experiment":
        return ""
    if analysis.scope == "model":
        return study.model
    name = f"{study.model}, {study.variable_set} set"
    several = len({one.design for one in plan.studies}) > 1
    return f"{name}, {study.design}" if several and analysis.scope == "study" else name


def layers(analyses: Sequence[Analysis], plan: Plan, results: Path, level: str) -> Iterator[Layers]:
    """Yield each study's pictures of layers, for the appendix."""
    entries = [(a, p) for a in analyses for p in a.pictures if p.of == "layer"]
    for study in plan.studies if entries else ():
        folder = results / study.model / study.variable_set / study.design
        by_layer = []
        for layer in study.layers:
            pictures = []
            for analysis, entry in entries:
                base = folder / analysis.picture_path(entry) / file_name(layer.name)
                if base.parent.joinpath(f"{base.name}.png").is_file():
                    pictures.append(_picture(entry, base, study, level, layer.name))
            by_layer.append((layer.name, pictures))
        yield Layers(
            study=f"{study.model}, {study.variable_set} set, {study.design}", layers=by_layer
        )


def _picture(
    entry: Entry, base: Path, study: StudyPlan | None, level: str, of: str = ""
) -> Picture:
    svg, png = (base.parent / f"{base.name}{suffix}" for suffix in (".svg", ".png"))
    index = study.main_index if study else kinds.sums_of(kinds.DEFAULT).main_index
    caption = entry.caption.format(index=INDEX_NAMES[index], level=level)
    return Picture(
        kind=entry.name,
        title=entry.title,
        caption=caption[:1].upper() + caption[1:],
        svg=svg,
        png=png,
        of=of,
    )
