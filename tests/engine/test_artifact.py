"""Bundles: a sound one loads, from a folder or a zip; each kind of damage is told with its remedy."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone import artifact
from polyclone.artifact import (
    BACKGROUND,
    CARD,
    ENCODER,
    LEXICON,
    MANIFEST,
    PAIR_HEAD,
    REQUIRED,
    TOKENIZER,
    Calibration,
    load_bundle,
    parse_manifest,
)
from polyclone.encode.onnx import OnnxEncoder
from polyclone.errors import ModelError
from polyclone.model import load_model
from polyclone.normalise import NORMALISER_VERSION
from support.bundles import CALIBRATION, DIMENSION, array, contents, reference_vectors, tiny_bundle, zipped

# --- what is sound ---


def test_a_sound_bundle_loads(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.location == str(bundle)
    assert loaded.manifest.name == "tiny"
    assert loaded.manifest.calibration == CALIBRATION
    assert set(loaded.manifest.files) == set(REQUIRED)
    assert {name: loaded.read(name) for name in REQUIRED} == contents()
    assert loaded.text(CARD) == "# A tiny model\n"
    vectors = loaded.background()
    assert vectors.shape == (24, DIMENSION)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_the_manifest_survives_its_json(bundle: Path) -> None:
    manifest = load_bundle(bundle).manifest
    assert parse_manifest(manifest.to_json().encode(), "here") == manifest
    assert parse_manifest(manifest.to_json().encode(), "here").to_json() == manifest.to_json()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_is_the_same_bundle(method: int, tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    one, other = load_bundle(folder), load_bundle(zipped(folder, method=method))
    assert one.digest == other.digest
    assert one.manifest == other.manifest
    code = [("def f(a):\n    return a + 1\n", "python")]
    assert load_model(folder).encode(code).tobytes() == load_model(other.location).encode(code).tobytes()


def test_the_digest_is_that_of_everything(tmp_path: Path, bundle: Path) -> None:
    original = load_bundle(bundle).digest
    assert load_bundle(tiny_bundle(tmp_path / "same")).digest == original
    others = [
        tiny_bundle(tmp_path / "card", files={CARD: b"other"}),
        tiny_bundle(tmp_path / "name", name="other"),
        tiny_bundle(tmp_path / "least", min_atoms=13),
    ]
    digests = [load_bundle(path).digest for path in others]
    assert len({original, *digests}) == 4
    (others[0] / "notes.txt").write_text("A file that the manifest does not list is not part of the bundle.")
    assert load_bundle(others[0]).digest == digests[0]


def test_more_files_may_come_along(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, files={"LICENCE.txt": b"free"})
    assert load_bundle(folder).text("LICENCE.txt") == "free"


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_large_file_is_not_held(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again when it is used, and checked again: nobody can exchange it in between."""
    folder = tiny_bundle(tmp_path)
    whole = load_bundle(folder)
    monkeypatch.setattr(artifact, "HELD_BYTES", 64)
    loaded = load_bundle(zipped(folder) if packed else folder)
    assert (loaded.digest, loaded.size(ENCODER)) == (whole.digest, len(contents()[ENCODER]))
    assert {name: loaded.read(name) for name in REQUIRED} == contents()
    if not packed:
        (folder / ENCODER).write_bytes(contents()[PAIR_HEAD])
        with pytest.raises(ModelError, match=r"encoder\.onnx has digest .*changed or damaged"):
            OnnxEncoder(loaded).encode(["kif"])


# --- what is damaged ---


def alter(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def relist(change: Callable[[dict[str, str]], object]) -> Callable[[Path], None]:
    """Changes what the manifest lists."""

    def damage(folder: Path) -> None:
        raw = json.loads((folder / MANIFEST).read_text("utf-8"))
        change(raw["files"])
        (folder / MANIFEST).write_text(json.dumps(raw), "utf-8")

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (alter(ENCODER, lambda b: b[:-1] + bytes([b[-1] ^ 1])), r"encoder\.onnx has digest .* install the bundle"),
        (alter(CARD, lambda b: b + b"!"), r"MODEL_CARD\.md has digest"),
        (alter(LEXICON, lambda b: b""), r"lexicon\.tsv has digest"),
        (remove(BACKGROUND), r"background\.npy is missing. Install the bundle again"),
        (remove(MANIFEST), r"is no model bundle: it holds no manifest\.json"),
        (alter(MANIFEST, lambda b: b[:-40]), r"manifest\.json is not valid .* Export the bundle again"),
        (alter(MANIFEST, lambda b: b"\xff" + b), r"manifest\.json is not valid"),
        (alter(MANIFEST, lambda b: b"[]"), r"manifest\.json is not valid .*not an object"),
        (relist(lambda files: files.pop(PAIR_HEAD)), r"the manifest lists no pair_head\.onnx"),
        (relist(lambda files: files.update({"../../secret": "0" * 64})), r"'\.\./\.\./secret' leads out"),
        (relist(lambda files: files.update({"/etc/passwd": "0" * 64})), r"'/etc/passwd' leads out"),
        (relist(lambda files: files.update({"a\\b": "0" * 64})), "leads out of the bundle or is not plain"),
        (relist(lambda files: files.update({"C:x": "0" * 64})), "leads out of the bundle or is not plain"),
        (relist(lambda files: files.update({".hidden": "0" * 64})), "leads out of the bundle or is not plain"),
        (relist(lambda files: files.update({"a\n": "0" * 64})), "leads out of the bundle or is not plain"),
        (relist(lambda files: files.update({"": "0" * 64})), "leads out of the bundle or is not plain"),
        (relist(lambda files: files.update({"..": "0" * 64})), "leads out of the bundle or is not plain"),
    ],
)  # fmt: skip
def test_damage_is_told(damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_bundle(folder)
    assert str(folder) in str(caught.value)
    with pytest.raises(ModelError, match=message):
        load_bundle(zipped(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "bundle format 2, this polyclone reads format 1"),
        ({"format_version": None}, "is not valid .*format_version"),
        ({"normaliser_version": NORMALISER_VERSION - 1}, r"trained with normaliser version \d+.*train and export it"),
        ({"normaliser_version": NORMALISER_VERSION + 1}, "Use the polyclone it was made for"),
        ({"normaliser_version": "new"}, "is not valid"),
        ({"kind": "huge"}, "kind 'huge' is unknown; this polyclone loads compact, llm"),
        ({"calibration": {}}, "is not valid"),
        ({"languages": 3}, "is not valid"),
        ({"min_atoms": None}, "is not valid .*min_atoms"),
        ({"metrics": 3}, "is not valid"),
        ({"dimension": 0}, "is absurd"),
        ({"dimension": 1 << 20}, "is absurd"),
        ({"dense_width": DIMENSION + 1}, "is absurd"),
        ({"dense_width": 0}, "is absurd"),
        ({"token_budget": 15}, "is absurd"),
        ({"token_budget": 1 << 20}, "is absurd"),
        ({"own_width": DIMENSION}, "is absurd"),
        ({"own_width": -1}, "is absurd"),
        ({"windows": 0}, "0 windows"),
        ({"windows": 1 << 20}, "windows; from 1 to 256"),
        ({"windows": "many"}, "is not valid"),
    ],
    ids=str,
)
def test_a_manifest_that_does_not_fit_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        load_bundle(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("logits", "probabilities"),
    [
        ([0.0, 2.0, 1.0], [0.1, 0.2, 0.3]),
        ([0.0, 1.0, 2.0], [0.1, 0.3, 0.2]),
        ([0.0, 1.0], [0.1, 1.1]),
        ([0.0, 1.0], [-0.1, 0.5]),
        ([0.0, 1.0], [0.1, 0.2, 0.3]),
        ([0.0], [0.1]),
        ([], []),
        ([float("nan"), 1.0], [0.1, 0.2]),
        ([0.0, 1.0], [0.1, float("nan")]),
    ],
)
def test_a_calibration_that_does_not_ascend_is_refused(
    logits: list[float], probabilities: list[float], tmp_path: Path
) -> None:
    curve = {"logits": logits, "probabilities": probabilities, "precisions": [], "default_precision": 0.9}
    with pytest.raises(ModelError, match=r"not an ascending curve\. Calibrate and export again"):
        load_bundle(tiny_bundle(tmp_path, calibration=curve))


@pytest.mark.parametrize("band", [(0.25, 0.625), (0.5, 0.5), (0.0, 1.0)])
def test_an_unsure_band_survives_its_json(band: tuple[float, float], bundle: Path) -> None:
    manifest = load_bundle(bundle).manifest
    assert manifest.calibration.unsure is None
    assert "unsure" not in manifest.to_json()
    made = replace(manifest, calibration=replace(manifest.calibration, unsure=band))
    assert parse_manifest(made.to_json().encode(), "here").calibration.unsure == band


@pytest.mark.parametrize(
    ("band", "message"),
    [
        ([0.6, 0.3], r"the unsure band \[0\.6, 0\.3\] is none\. Calibrate and export again"),
        ([-0.1, 0.3], "the unsure band"),
        ([0.1, 1.5], "the unsure band"),
        ([float("nan"), 0.5], "the unsure band"),
        ([0.1, float("inf")], "the unsure band"),
        ([0.1], "is not valid"),
        ([0.1, 0.2, 0.3], "is not valid"),
        ([], "is not valid"),
        (None, "is not valid"),
        ("no", "is not valid"),
        ([[0.1], 0.2], "is not valid"),
        ({"low": 0.1, "high": 0.2}, "is not valid"),
    ],
    ids=str,
)
def test_an_unsure_band_that_is_none_is_refused(band: Any, message: str, bundle: Path, tmp_path: Path) -> None:
    calibration = json.loads(load_bundle(bundle).manifest.to_json())["calibration"]
    with pytest.raises(ModelError, match=message):
        load_bundle(tiny_bundle(tmp_path, calibration={**calibration, "unsure": band}))


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"There is no model bundle at .*nowhere\. Reinstall polyclone, or give --model"
    ):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"holds no manifest\.json. Give the folder that has one"):
        load_bundle(tmp_path)
    text = tmp_path / "text"
    text.write_text("not a zip")
    with pytest.raises(ModelError, match="is neither a bundle folder nor a zip of one"):
        load_bundle(text)


def test_a_damaged_zip_is_told(tmp_path: Path) -> None:
    """Cut off anywhere, or with a flipped byte in its data, it is a `ModelError`, and no other error."""
    whole = zipped(tiny_bundle(tmp_path), method=zipfile.ZIP_STORED).read_bytes()
    broken = tmp_path / "broken.zip"
    for size in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        broken.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="nor a zip of one"):
            load_bundle(broken)
    encoder = contents()[ENCODER]
    place = whole.index(encoder) + len(encoder) // 2
    broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    with pytest.raises(ModelError, match=r"encoder\.onnx cannot be unpacked .*CRC"):
        load_bundle(broken)


@pytest.mark.parametrize(
    "method",
    [
        zipfile.ZIP_DEFLATED,
        zipfile.ZIP_LZMA,
        zipfile.ZIP_BZIP2,
    ],
    ids=["deflate", "lzma", "bzip2"],
)
def test_a_damaged_packed_zip_is_told(method: int, tmp_path: Path) -> None:
    path = zipped(tiny_bundle(tmp_path), method=method)
    sound = load_bundle(path).digest
    with zipfile.ZipFile(path) as archive:
        places = [info.header_offset + 30 + len(info.filename) for info in archive.infolist()]
        sizes = [info.compress_size for info in archive.infolist()]
    whole = path.read_bytes()
    for start, size in zip(places, sizes, strict=True):
        for offset in (0, size // 3, size // 2, size - 1):
            flipped = bytearray(whole)
            flipped[start + offset] ^= 0xFF
            path.write_bytes(flipped)
            try:
                assert load_bundle(path).digest == sound  # Not every byte of a packed stream means something.
            except ModelError as error:
                assert "cannot be unpacked" in str(error) or "is not valid" in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (array(np.array([{"a": 1}], dtype=object), pickled=True), "is not a plain array"),
        (b"not an array", "is not a plain array"),
        (array(reference_vectors())[:-100], "is not a plain array"),
        (array(reference_vectors(dimension=DIMENSION + 1)), rf"shape \(24, {DIMENSION + 1}\), dimension {DIMENSION}"),
        (array(reference_vectors()[0]), "was promised; rebuild the bundle"),
        (array(reference_vectors(rows=1)), "was promised; rebuild the bundle"),
    ],
    ids=["pickle", "text", "cut off", "too wide", "one dimension", "one row"],
)
def test_reference_vectors_that_do_not_fit_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    loaded = load_bundle(tiny_bundle(tmp_path, files={BACKGROUND: content}))
    with pytest.raises(ModelError, match=message):
        loaded.background()
    with pytest.raises(ModelError, match=message):
        load_model(loaded.location)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle that would leave a mark when it is loaded leaves none."""
    mark = tmp_path / "mark"

    class Mark:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return Path.touch, (mark,)

    content = array(np.array([Mark()], dtype=object), pickled=True)
    folder = tiny_bundle(tmp_path, files={BACKGROUND: content})
    with pytest.raises(ModelError, match="is not a plain array"):
        load_model(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (TOKENIZER, b"{}", r"tokenizer\.json cannot be read"),
        (TOKENIZER, b'{"model": {"type": "BPE"}}', "this engine reads WordPiece"),
        (LEXICON, b"words\n", r"lexicon\.tsv cannot be read"),
    ],
)
def test_vocabularies_that_do_not_fit_are_refused(file: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        OnnxEncoder(load_bundle(tiny_bundle(tmp_path, files={file: content})))


def archive_of_arrays() -> bytes:
    buffer = BytesIO()
    np.savez(buffer, vectors=reference_vectors())
    return buffer.getvalue()


@pytest.mark.parametrize(
    "files",
    [
        {BACKGROUND: b""},
        {BACKGROUND: archive_of_arrays()},
        {BACKGROUND: array(np.full((4, DIMENSION), np.nan, np.float32))},
        {BACKGROUND: array(np.full((4, DIMENSION), "x"))},
        {LEXICON: b""},
        {LEXICON: b"\xff\xfe"},
    ],
    ids=["no array", "archive", "not a number", "text", "no lexicon", "lexicon not UTF-8"],
)
def test_contents_that_make_no_sense_are_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    """Their digests fit: somebody made the bundle so."""
    with pytest.raises(ModelError):
        load_model(tiny_bundle(tmp_path, files=files))


@pytest.mark.parametrize(
    "content", [b'{"format_version": 1, "x": ' + b"[" * 100_000, None], ids=["nested", "infinite"]
)
def test_a_hostile_manifest_is_refused(content: bytes | None, tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, dimension=float("inf"))
    if content is not None:
        (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ModelError, match="is not valid"):
        load_bundle(folder)


def test_a_head_for_other_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"trained on other features .* Train and export it again"):
        load_model(tiny_bundle(tmp_path, pair_features=["cosine"]))


def test_a_link_out_of_the_bundle_must_match_its_digest(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    outside = tmp_path / "outside"
    outside.write_bytes(b"something else")
    (folder / CARD).unlink()
    (folder / CARD).symlink_to(outside)
    with pytest.raises(ModelError, match=r"MODEL_CARD\.md has digest"):
        load_bundle(folder)


def test_digests_are_those_of_the_files(bundle: Path) -> None:
    for name, digest in load_bundle(bundle).manifest.files.items():
        assert digest == hashlib.sha256((bundle / name).read_bytes()).hexdigest()


# --- calibration ---


def test_probabilities_are_linear_between_points_and_flat_outside() -> None:
    logits = np.array([-100.0, -8.0, -5.0, -2.0, 0.0, 1.0, 2.0, 100.0], np.float32)
    found = CALIBRATION.apply(logits)
    assert found.dtype == np.float32
    expected = [0.0005, 0.0005, (0.0005 + 0.1) / 2, 0.1, 0.5, 0.7, 0.9, 0.9995]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert CALIBRATION.apply(np.zeros(0, np.float32)).shape == (0,)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=30))
def test_probabilities_ascend_with_the_logit(logits: list[float]) -> None:
    found = CALIBRATION.apply(np.array(sorted(logits), np.float32))
    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= 0) & (found <= 1))


@pytest.mark.parametrize(("precision", "expected"), [(None, 0.6), (0.5, 0.3), (0.4, 0.3), (0.9, 0.6), (0.91, 0.8)])
def test_the_threshold_of_a_precision(precision: float | None, expected: float) -> None:
    assert CALIBRATION.threshold(precision) == expected


def test_the_lowest_threshold_that_is_enough_counts() -> None:
    """Measured precisions need not rise with the threshold."""
    odd = Calibration(
        logits=(0.0, 1.0),
        probabilities=(0.0, 1.0),
        precisions=((0.5, 0.7), (0.6, 0.4), (0.9, 0.8)),
        default_precision=0.5,
    )
    assert odd.threshold() == 0.4
    assert odd.threshold(0.7) == 0.8


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        (0.0, "must lie between 0 and 1"),
        (1.0, "must lie between 0 and 1"),
        (float("nan"), "must lie between 0 and 1"),
        (0.99, r"not calibrated for a precision of 0\.99; it goes up to 0\.95. Ask for less"),
    ],
)
def test_a_precision_that_cannot_be_promised(precision: float, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        CALIBRATION.threshold(precision)
