"""What holds for every analysis of the registry, and for one that a user brings."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
import xarray as xr
from matplotlib.figure import Figure
from variscope.analyses import Analysis, built_in
from variscope.analyses.registry import Picture, from_file
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked, read_table, write_table
from variscope.analyses.words import Words
from variscope.errors import UserError
from variscope.indices.reading import layers
from variscope.study.choosing import chosen, complete_analyses

NAN = math.nan
ENTRIES = list(built_in().values())


def degenerate() -> dict[str, xr.DataTree]:
    """Studies that leave little to say."""
    one = synthetic.dataset("fc", dims="vector", variables=("erasing",), size=(1,), constant=False)
    dead = synthetic.dataset("fc", dims="vector", size=(3,), constant=False)
    for name in dead.data_vars:
        if dead[name].dtype.kind == "f" and "numerator" not in str(name):
            dead[name][...] = np.nan
    dead["status"][...] = 1
    dead.attrs["unit_counts"] = '{"fine": 0, "constant": 3, "not_finite": 0}'
    return {
        "one layer of one neuron and one variable": synthetic.study({"fc": one}),
        "nothing but constant units": synthetic.study({"fc": dead}),
        "star": synthetic.tree(star=True),
    }


def source(entry: Analysis, tree: xr.DataTree) -> Source:
    """What an analysis is made from, of two studies where its scope is wider than one."""
    settings = {key: setting["default"] for key, setting in entry.settings.items()}
    if entry.scope == "study":
        return synthetic.source(tree, **settings)
    names = {"set": ["a"], "model": ["a", "a"], "experiment": ["a", "b"]}[entry.scope]
    sets = ["spatial", "color"] if entry.scope == "model" else ["spatial", "spatial"]
    return Source(
        studies=[
            Study.of(tree, model=name, variable_set=of)
            for name, of in zip(names, sets, strict=False)
        ],
        settings=settings,
    )


def drawn(entry: Analysis, made: Source) -> list[tuple[Picture, Figure | None]]:
    """All pictures of an analysis that reads indices."""
    tables = {
        name: checked(entry.table(name), data)
        for name, data in (entry.compute(made) if entry.tables else {}).items()
    }
    found: list[tuple[Picture, Figure | None]] = []
    for picture in entry.pictures:
        if picture.of == "layer":
            for data in layers(made.tree).values():
                found.append((picture, entry.draw(picture, data, made, tables)))
        else:
            found.append((picture, entry.draw(picture, made, tables)))
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_what_its_analysis_is(entry: Analysis) -> None:
    assert list(documented(entry)) == []
    entry.check()


def documented(entry: Analysis) -> list[str]:
    """What an entry leaves unsaid."""
    missing = [what for what in ("title", "question") if not getattr(entry, what)]
    missing += [
        f"{table.name}.{column.name}"
        for table in entry.tables
        for column in table.columns
        if not column.meaning or column.meaning.endswith(".")
    ]
    missing += [p.name for p in entry.pictures if len(p.caption) < 80 or p.caption[-1] != "."]
    missing += [
        key
        for key, setting in entry.settings.items()
        if not setting.get("description") or "default" not in setting
    ]
    return missing


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.tables and not e.shards], ids=lambda entry: entry.name
)
def test_tables_have_the_columns_of_their_entry_and_survive_the_file(
    entry: Analysis, tmp_path: Path
) -> None:
    found = entry.compute(source(entry, synthetic.tree()))
    assert set(found) == {table.name for table in entry.tables}
    for table in entry.tables:
        write_table(tmp_path / "t.csv", table, found[table.name])
        again = read_table(tmp_path / "t.csv", table)
        assert len(again) == len(found[table.name])
        # What another analysis, or a run of the network, would give is not there here.
        assert len(again) > 0 or entry.others or entry.shards or entry.about == "measured"
        assert again.equals(read_table(tmp_path / "t.csv", table))
        for column in table.columns:
            if column.kind == "number":
                np.testing.assert_allclose(
                    again[column.name].astype(float),
                    checked(table, found[table.name])[column.name].astype(float),
                )


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.reads == ("indices",)], ids=lambda entry: entry.name
)
def test_pictures_are_drawn_and_captions_take_their_names(entry: Analysis) -> None:
    for picture, figure in drawn(entry, source(entry, synthetic.tree())):
        assert isinstance(figure, Figure)
        assert "{" not in picture.caption.format(index="S1", level="95 %")


@pytest.mark.parametrize("case", list(degenerate()))
@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.reads == ("indices",)], ids=lambda entry: entry.name
)
def test_degenerate_studies_have_tables_pictures_and_words(entry: Analysis, case: str) -> None:
    made = source(entry, degenerate()[case])
    tables = {
        name: checked(entry.table(name), data)
        for name, data in (entry.compute(made) if entry.tables else {}).items()
    }
    for _, figure in drawn(entry, made):
        assert figure is None or isinstance(figure, Figure)
    if entry.has_words:
        words = entry.words(made, tables)
        assert isinstance(words, Words)
        for sentence in (words.answer, *words.more, words.control):
            assert "nan" not in sentence.split() and "None" not in sentence


def test_entries_are_cheap_to_import() -> None:
    script = """
import sys
from variscope.analyses.registry import built_in
built_in()
for name in ("torch", "matplotlib", "pandas", "xarray", "numba", "scipy"):
    assert name not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_words_survive_the_file(tmp_path: Path) -> None:
    words = Words(answer="a", more=["b", "c"], control="d")
    words.write(tmp_path / "words.json")
    assert Words.read(tmp_path / "words.json") == words


OWN = """
from variscope.analyses import Analysis, Picture, Table, Words
from variscope.analyses.registry import text

ANALYSIS = Analysis(
    name="own",
    title="My own",
    tables=(Table(name="t", title="T", columns=(text("layer", "its name"),)),),
)


def compute(source):
    return {}
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name="own"', 'name="other"'), "is named 'other'; use one name"),
        (('name="own"', 'name="Own"'), "found 'Own'; allowed: small letters"),
        (('name="own"', 'name="evaluate"'), "which the workflow itself uses"),
        (("def compute", "def count"), "there is no function compute, which its entry promises"),
        (("ANALYSIS =", "ENTRY ="), "defines no ANALYSIS"),
        (
            ('title="My own"', 'title="My own", reads=("weights",)'),
            "reads: found 'weights'; allowed",
        ),
        (('title="T"', 'title="T", grid=("layer", "n")'), "table t has no column 'n'"),
        (("return {}", "return {"), r"cannot be run \(SyntaxError"),
    ],
)
def test_a_users_file_that_is_no_analysis_is_refused_by_name(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN.replace(*change))
    with pytest.raises(UserError, match=rf"^analyses.own.file: .*{message}"):
        from_file("own", file, "own.py")
    with pytest.raises(UserError, match=r"found 'gone\.py', where there is no file"):
        from_file("own", tmp_path / "gone.py", "gone.py")


def test_other_columns_than_the_entrys_are_refused() -> None:
    table = built_in()["pairs"].table("pairs")
    found = built_in()["pairs"].compute(synthetic.source(synthetic.tree()))["pairs"]
    with pytest.raises(ValueError, match=r"table pairs has the columns .*; its entry says"):
        checked(table, found.drop(columns="n"))
    with pytest.raises(ValueError, match="column S2: not all values are of the kind number"):
        checked(table, found.assign(S2="much"))


CHECKED = OWN.replace(
    'title="My own",',
    """title="My own",
    settings={"path": {"type": "string", "default": "a.txt"}},
    check_settings=check_path,
    files=lambda settings: [settings["path"]],""",
).replace(
    "ANALYSIS =",
    """
from variscope.errors import UserError


def check_path(settings, folder):
    if not (folder / settings["path"]).is_file():
        raise UserError(f"path: there is no file {settings['path']}")


ANALYSIS =""",
)


def test_settings_are_checked_by_the_entry_and_its_files_are_known(tmp_path: Path) -> None:
    """Before the first job, and by the key of the configuration."""
    (tmp_path / "own.py").write_text(CHECKED)
    given = {"own": {"file": "own.py"}}
    with pytest.raises(UserError, match=r"^analyses\.own\.path: there is no file a\.txt$"):
        complete_analyses(given, tmp_path)
    (tmp_path / "a.txt").write_text("")
    completed = complete_analyses(given, tmp_path)
    (own,) = (one for one in chosen(completed, tmp_path) if one.analysis.name == "own")
    assert own.analysis.files is not None
    assert own.analysis.files(own.settings) == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "step", "message"),
    [
        ("def compute(source):\n    return {}", "compute", "compute gave nothing; its entry asks"),
        ("def compute(source):\n    return 3", "compute", "compute gave int; its entry asks"),
        (
            "def words(source, tables):\n    return 'dead'",
            "words",
            "words gave str; allowed: Words",
        ),
    ],
)
def test_what_a_users_functions_give_is_held_against_the_entry(
    tmp_path: Path, code: str, step: str, message: str
) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN + code)  # the later definition counts
    entry, source = from_file("own", file), synthetic.source(synthetic.tree())
    with pytest.raises(UserError, match=rf"^analyses.own \(own.py\): {message}"):
        getattr(entry, step)(source, *([] if step == "compute" else [{}]))


def test_a_picture_that_is_none_or_misnames_its_caption_is_refused() -> None:
    with pytest.raises(ValueError, match="the caption of p has braces around something else"):
        Analysis(name="a", title="A", pictures=(Picture(name="p", title="P", caption="{x}"),))


def test_what_rules_ask_of_entries_imports_nothing_heavy() -> None:
    """Snakemake asks in its own process and beside each job of a cluster, whose memory counts."""
    code = """
import sys
from variscope.analyses.registry import built_in
for entry in built_in().values():
    entry.has_words, entry.default, entry.others, entry.modules("present"), entry.opens_images
print(sorted({"torch", "matplotlib", "pandas", "xarray", "numba"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
