"""DICOM files: gray values as the standard says, frames as images, and bad files by name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_cases import film, write_dicom
from numpy.testing import assert_array_equal
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, convert_color_space
from variscope.errors import UserError
from variscope.inputs.decoding import Undecodable
from variscope.inputs.dicom import read_frame, windowed
from variscope.inputs.images import listing_digest, open_images

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
HOUNSFIELD = np.arange(-1024, 3072, 16, dtype=np.int16).reshape(16, 16)


def shown(path: Path, frame: int = 0, **settings: Any) -> np.ndarray:
    """Read a gray frame, (rows, columns); its three channels are the same."""
    pixels = np.asarray(read_frame(path, frame, **settings)[0])
    assert pixels.dtype == np.uint8 and (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def opened(folder: Path, **settings: Any):
    dataset = {"kind": "image_folder", "path": str(folder), "image_size": 16, "split": False}
    return open_images(dataset | settings, seed=1, folder=folder)


# gray values


def test_bytes_are_shown_as_they_are_and_monochrome1_turned_over(tmp_path):
    write_dicom(tmp_path / "a.dcm", RAMP)
    write_dicom(tmp_path / "b.dcm", RAMP, PhotometricInterpretation="MONOCHROME1")
    assert_array_equal(shown(tmp_path / "a.dcm"), RAMP)
    assert_array_equal(shown(tmp_path / "b.dcm"), 255 - RAMP)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_rescaled_values_go_through_the_first_window_as_pydicom_does_it(tmp_path, function, kind):
    elements = {"RescaleSlope": 2, "RescaleIntercept": -500, "WindowCenter": [300, 9],
                "WindowWidth": [700, 8], "VOILUTFunction": function}  # fmt: skip
    header = Dataset()
    header.PhotometricInterpretation = kind
    header.BitsStored, header.PixelRepresentation = 16, 1
    for name, value in elements.items():
        setattr(header, name, value)
    path = write_dicom(tmp_path / "a.dcm", HOUNSFIELD, PhotometricInterpretation=kind, **elements)
    theirs = apply_voi_lut(apply_modality_lut(HOUNSFIELD, header), header)
    low, high = (2.0 * np.array([-(2**15), 2**15 - 1]) - 500).tolist()
    share = (theirs - low) / (high - low)
    wanted = np.rint(255 * (share if kind == "MONOCHROME2" else 1 - share))
    assert_array_equal(shown(path), wanted)
    assert len(np.unique(wanted)) > 20


def test_a_window_of_one_gray_step_is_a_threshold():
    values = np.array([9.0, 10.0, 11.0])
    assert_array_equal(windowed(values, 10.5, 1), [0, 0, 1])  # at centre - 0.5 it is black
    assert_array_equal(windowed(values, 10, 1e-9, "LINEAR_EXACT"), [0, 0.5, 1])


def test_a_window_of_the_configuration_goes_before_that_of_the_file(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", HOUNSFIELD, WindowCenter=0, WindowWidth=10)
    wanted = np.rint(255 * np.clip((HOUNSFIELD - 499.5) / 999 + 0.5, 0, 1))
    assert_array_equal(shown(path, window=(500, 1000)), wanted)
    table = opened(tmp_path, window=[500, 1000], resize=16)
    assert_array_equal(table.load([0])[0, 0], wanted)


def test_without_a_window_the_range_of_the_bits_is_shown_and_said(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", DEEP, BitsStored=12, HighBit=11)
    assert_array_equal(shown(path), np.rint(255 * (DEEP / 4095)))
    write_dicom(tmp_path / "b.dcm", RAMP, WindowCenter=128, WindowWidth=256)
    notes = " ".join(opened(tmp_path).notes)
    assert "1 DICOM MONOCHROME2, 12 bits without window" in notes
    assert "DICOM images that say no window: 1." in notes and "dataset.window" in notes


def test_bytes_without_a_window_need_no_word(tmp_path):
    write_dicom(tmp_path / "a.dcm", RAMP)
    assert "window" not in " ".join(opened(tmp_path).notes)


def test_a_frame_may_have_a_window_and_a_rescaling_of_its_own(tmp_path):
    def group(centre: float, slope: float) -> Dataset:
        window, rescaling, both = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = centre, 101
        rescaling.RescaleSlope, rescaling.RescaleIntercept = slope, 0
        both.FrameVOILUTSequence, both.PixelValueTransformationSequence = [window], [rescaling]
        return both

    frames = np.stack([DEEP, DEEP])
    path = write_dicom(
        tmp_path / "a.dcm",
        frames,
        PerFrameFunctionalGroupsSequence=[group(100.5, 1.0), group(300.5, 0.5)],
        WindowCenter=9,
        WindowWidth=9,
    )
    for number, (centre, slope) in enumerate(((100, 1.0), (300, 0.5))):
        wanted = np.rint(255 * np.clip((DEEP * slope - centre) / 100 + 0.5, 0, 1))
        assert_array_equal(shown(path, number), wanted)


def test_tables_of_the_modality_and_of_values_are_looked_up(tmp_path):
    modality, voi = Dataset(), Dataset()
    modality.LUTDescriptor, voi.LUTDescriptor = [256, 0, 16], [512, 0, 16]
    modality.LUTData = np.arange(0, 512, 2, dtype=np.uint16).tobytes()
    voi.LUTData = (128 * np.arange(512)).astype(np.uint16).tobytes()
    path = write_dicom(
        tmp_path / "a.dcm", RAMP, ModalityLUTSequence=[modality], VOILUTSequence=[voi]
    )
    assert_array_equal(shown(path), np.rint(255 * (RAMP * 256.0) / 65535))


def test_an_unknown_function_and_a_window_without_width_are_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", DEEP, WindowCenter=5, WindowWidth=0)
    with pytest.raises(Undecodable, match="WindowWidth is 0; at least 1 is needed for LINEAR"):
        read_frame(path, 0)
    with pytest.raises(Undecodable, match="VOILUTFunction is LOG; allowed are LINEAR"):
        windowed(DEEP, 5, 10, "LOG")


# colors


def test_colors_become_rgb(tmp_path):
    rng = np.random.default_rng(1)
    colors = rng.integers(0, 256, (12, 14, 3), dtype=np.uint8)
    plain = write_dicom(tmp_path / "a.dcm", colors)
    assert_array_equal(np.asarray(read_frame(plain, 0)[0]), colors)
    other = convert_color_space(colors, "RGB", "YBR_FULL")
    changed = write_dicom(tmp_path / "b.dcm", other, PhotometricInterpretation="YBR_FULL")
    found = np.asarray(read_frame(changed, 0)[0]).astype(int)
    assert np.abs(found - colors).max() <= 2  # to bytes and back
    deep = (colors.astype(np.uint16) * 257).astype(np.uint16)
    assert_array_equal(np.asarray(read_frame(write_dicom(tmp_path / "c.dcm", deep), 0)[0]), colors)
    assert opened(tmp_path).notes[0] == "Converted to RGB: 1 DICOM YBR_FULL."


def test_a_palette_becomes_its_colors(tmp_path):
    table = {
        f"{color}PaletteColorLookupTable{what}": value
        for color, values in (("Red", RAMP), ("Green", 255 - RAMP), ("Blue", RAMP // 2))
        for what, value in (
            ("Descriptor", [256, 0, 16]),
            ("Data", (values.astype(np.uint16) * 257).tobytes()),
        )
    }
    path = write_dicom(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="PALETTE COLOR", **table)
    wanted = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)
    assert_array_equal(np.asarray(read_frame(path, 0)[0]), wanted)


# frames


def test_each_frame_is_an_image_and_a_file_is_one_source(tmp_path):
    first, second = film(1), film(2, frames=2)
    write_dicom(tmp_path / "b.dcm", second)
    write_dicom(tmp_path / "a.dcm", first)
    write_dicom(tmp_path / "c.DICOM", RAMP)
    Image.fromarray(RAMP).save(tmp_path / "d.png")
    table = opened(tmp_path, image_size=[24, 32], resize=24)
    names = ("a.dcm#1", "a.dcm#2", "a.dcm#3", "b.dcm#1", "b.dcm#2", "c.DICOM", "d.png")
    assert table.source == names
    assert_array_equal(table.load([0, 1, 2])[:, 0], first)
    assert_array_equal(table.load([4])[0, 0], second[1])
    assert_array_equal(table.cluster, [0, 0, 0, 1, 1, 2, 3])
    assert not table.labelled and "DICOM files: 3, with 6 images." in " ".join(table.notes)


def test_classes_are_folders_and_both_parts_of_a_split_may_be_asked_for(tmp_path):
    for label in ("benign", "malignant"):
        for seed in range(3):
            write_dicom(tmp_path / label / f"{seed}.dcm", film(seed, frames=2))
    table = opened(tmp_path, images_per_class=4)
    assert table.classes == ("benign", "malignant") and len(table) == 8
    assert all(
        name.startswith(table.classes[k]) for name, k in zip(table.source, table.label, strict=True)
    )
    same = {name: name.partition("#")[0] for name in table.source}
    for a, one in zip(table.source, table.cluster, strict=True):
        for b, other in zip(table.source, table.cluster, strict=True):
            assert (one == other) == (same[a] == same[b])


def test_files_of_one_patient_are_one_source(tmp_path):
    for name, patient in (("a", "P1"), ("b", "P2"), ("c", "P1"), ("d", None), ("e", "")):
        write_dicom(tmp_path / f"{name}.dcm", RAMP, PatientID=patient)
    assert_array_equal(opened(tmp_path).cluster, [0, 1, 0, 2, 3])


def test_one_name_for_all_patients_is_taken_for_none_and_said(tmp_path):
    for name in "abc":
        write_dicom(tmp_path / f"{name}.dcm", RAMP, PatientID="ANONYMOUS")
    table = opened(tmp_path)
    assert_array_equal(table.cluster, [0, 1, 2])
    assert "have one PatientID" in " ".join(table.notes)
    (tmp_path / "clusters.csv").write_text("path,cluster\na.dcm,x\nb.dcm,y\nc.dcm,x\n")
    table = opened(tmp_path)
    assert_array_equal(table.cluster, [0, 1, 0])


def test_a_line_of_clusters_is_of_all_frames_of_a_file(tmp_path):
    write_dicom(tmp_path / "a.dcm", film(1, frames=2))
    write_dicom(tmp_path / "b.dcm", film(2, frames=2))
    (tmp_path / "clusters.csv").write_text("path,cluster\nb.dcm,one\na.dcm,one\n")
    assert_array_equal(opened(tmp_path).cluster, [0, 0, 0, 0])


def test_files_without_an_ending_are_known_by_their_mark(tmp_path):
    for name in ("IM0001", "1.2.840.113619.2.5.17", "DICOMDIR"):
        write_dicom(tmp_path / name, RAMP)
    (tmp_path / "README").write_text("no image")
    (tmp_path / "notes.txt").write_text("no image")
    assert opened(tmp_path).source == ("1.2.840.113619.2.5.17", "IM0001")


def test_the_digest_of_the_listing_follows_a_film(tmp_path):
    dataset = {"kind": "image_folder", "path": str(tmp_path)}
    write_dicom(tmp_path / "a.dcm", film(1))
    before = listing_digest(dataset, tmp_path)
    write_dicom(tmp_path / "a.dcm", film(1, frames=4))
    assert listing_digest(dataset, tmp_path) != before


# bad files


def _no_image(path: Path) -> None:
    write_dicom(path, RAMP, Rows=None, Modality="SR")


def _cut_short(path: Path) -> None:
    write_dicom(path, film(1), NumberOfFrames=9)


BAD = {
    "no mark": (lambda path: path.write_bytes(b"P5 " * 100), "not a DICOM file.*no mark DICM"),
    "empty": (lambda path: path.write_bytes(b""), "DICOM|empty"),
    "no image": (_no_image, r"a DICOM file without an image \(modality SR\)"),
    "kind": (lambda path: write_dicom(path, RAMP, PhotometricInterpretation="HSV"),
             "PhotometricInterpretation is HSV; allowed are MONOCHROME1"),
    "flat": (lambda path: write_dicom(path, RAMP, RescaleSlope=0, RescaleIntercept=1),
             "RescaleSlope is 0"),
    "no frames": (lambda path: write_dicom(path, RAMP, NumberOfFrames=0), "NumberOfFrames is 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_name_or_left_out_and_counted(tmp_path, case):
    make, reason = BAD[case]
    make(tmp_path / "bad.dcm")
    write_dicom(tmp_path / "good.dcm", film(1))
    with pytest.raises(UserError, match=rf"bad\.dcm: .*({reason})"):
        opened(tmp_path)
    table = opened(tmp_path, on_error="skip")
    assert table.source == ("good.dcm#1", "good.dcm#2", "good.dcm#3")
    assert table.skipped[0][0] == "bad.dcm"
    again = open_images(
        {"kind": "image_folder", "path": str(tmp_path), "image_size": 16, "split": False},
        seed=1,
        folder=tmp_path,
        skipped=table.skipped,
    )
    assert again.source == table.source


def test_frames_that_are_not_there_are_named(tmp_path):
    _cut_short(tmp_path / "a.dcm")
    with pytest.raises(UserError, match=r"a\.dcm#4: "):
        opened(tmp_path)
    table = opened(tmp_path, check="none")  # then the job that meets it ends
    with pytest.raises(UserError, match=r"a\.dcm#9: "):
        table.load([8])


def test_a_compression_without_a_decoder_is_named(tmp_path):
    pydicom = importlib.util.find_spec("pydicom")
    assert pydicom is not None and pydicom.submodule_search_locations
    if importlib.util.find_spec("jpeg_ls") or importlib.util.find_spec("gdcm"):
        pytest.skip("a decoder of JPEG-LS is installed")
    files = Path(pydicom.submodule_search_locations[0]) / "data" / "test_files"
    with pytest.raises(Undecodable, match=r"JPEG-LS Lossless.*not installed.*pyjpegls"):
        read_frame(files / "MR_small_jpeg_ls_lossless.dcm", 0)


def test_without_pydicom_the_message_has_the_cure(tmp_path, monkeypatch):
    write_dicom(tmp_path / "a.dcm", RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    cure = r'pip install "variscope\[ultrasound\]".*envs/requirements-ultrasound\.txt'
    with pytest.raises(UserError, match=rf"a\.dcm: a DICOM file.*{cure}"):
        opened(tmp_path)
    with pytest.raises(UserError, match=rf"dataset\.kind echocardiogram: .*{cure}"):
        open_images({"kind": "echocardiogram", "image_size": 16}, seed=1, folder=tmp_path)


# the film that pydicom carries


def test_the_echocardiogram_has_thirty_frames_of_one_source():
    table = open_images({"kind": "echocardiogram", "image_size": [240, 320], "resize": 240,
                         "split": False}, seed=1, folder=".")  # fmt: skip
    assert len(table) == 30 and not table.labelled
    assert set(table.cluster) == {0} and table.source[29].endswith("ybr_color.dcm#30")
    pixels = table.load([0, 15])
    assert pixels.shape == (2, 3, 240, 320) and (pixels[0] != pixels[1]).any()
    assert listing_digest({"kind": "echocardiogram"}, ".")


def test_the_requirement_is_pinned_where_it_is_asked_for():
    root = Path(__file__).parents[2]
    pin = "pydicom==3.0.2"
    assert 'ultrasound = ["pydicom' in (root / "pyproject.toml").read_text()
    for name in ("ultrasound", "test"):
        lines = (root / "envs" / f"requirements-{name}.txt").read_text().splitlines()
        assert pin in lines or "-r requirements-ultrasound.txt" in lines
