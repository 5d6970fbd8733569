"""Encoders: a unit's vector depends on the unit alone, to the bit; a graph that does not fit is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from polyclone.artifact import ENCODER, TOKENIZER, load_bundle
from polyclone.encode import Encoder
from polyclone.encode.hashing import HashingEncoder
from polyclone.encode.onnx import INPUTS, OUTPUT, OnnxEncoder
from polyclone.errors import ModelError, UsageError
from polyclone.extract import extract_snippet
from polyclone.model import Model, load_model
from polyclone.values import ATOM_SEPARATOR
from support.bundles import (
    DENSE,
    DIMENSION,
    encoder_graph,
    gpu_answers,
    head_graph,
    tiny_bundle,
    tokenizer_json,
    vocabulary,
)
from support.polyglot import SUBJECTS, TOTAL_ABOVE, source

UNITS = [extract_snippet(code, language).normalised for language, code in TOTAL_ABOVE.items()]
UNITS += [extract_snippet(source("python", subject, 7), "python").normalised for subject in SUBJECTS[:6]]
UNITS += ["", "kreturn", "s", "ix", ATOM_SEPARATOR.join(["itotal"] * 2000)]
POOL = ["cf", "ix", "igetUserName", "kif", "kreturn", "o+", "o[", "n31", "n1000000007", "n0.5", "shello you", "i_"]


@pytest.fixture(scope="module")
def onnx_encoder(bundle: Path) -> OnnxEncoder:
    return OnnxEncoder(load_bundle(bundle))


# --- independence ---


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_vector_does_not_depend_on_its_company(threads: int, bundle: Path, onnx_encoder: OnnxEncoder) -> None:
    encoder = OnnxEncoder(load_bundle(bundle), threads=threads)
    alone = [onnx_encoder.encode([unit]) for unit in UNITS]
    together = encoder.encode(UNITS)
    backwards = encoder.encode(UNITS[::-1])
    assert together.vectors.dtype == np.float32
    assert together.cut.dtype == np.int32
    for row, one in enumerate(alone):
        assert together.vectors[row].tobytes() == one.vectors[0].tobytes()
        assert backwards.vectors[-1 - row].tobytes() == one.vectors[0].tobytes()
        assert together.cut[row] == backwards.cut[-1 - row] == one.cut[0]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from(POOL), max_size=20).map(ATOM_SEPARATOR.join), max_size=8), st.integers(0, 7))
def test_any_batch_gives_the_vectors_of_its_units(onnx_encoder: OnnxEncoder, units: list[str], cut_at: int) -> None:
    whole = onnx_encoder.encode(units).vectors
    parts = [onnx_encoder.encode(part).vectors for part in (units[:cut_at], units[cut_at:])]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert whole.shape == (len(units), DIMENSION)


def test_vectors_have_unit_length_and_tell_units_apart(onnx_encoder: OnnxEncoder) -> None:
    vectors = onnx_encoder.encode(UNITS).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    similar = vectors[:14] @ vectors[:14].T
    assert similar.min() > 0.7  # One algorithm in fourteen languages.
    assert (vectors[:14] @ vectors[14:20].T).max() < similar.min()


def test_what_went_unread_is_counted(onnx_encoder: OnnxEncoder) -> None:
    encoded = onnx_encoder.encode(UNITS)
    tokenizer = onnx_encoder.tokenizer
    assert encoded.cut[-1] == 2000 - (tokenizer.budget - 2)
    expected = [tokenizer.ids(unit.split(ATOM_SEPARATOR) if unit else [])[1] for unit in UNITS]
    assert encoded.cut.tolist() == expected
    assert 0 in expected


def test_nothing_to_encode(onnx_encoder: OnnxEncoder) -> None:
    encoded = onnx_encoder.encode([])
    assert encoded.vectors.shape == (0, DIMENSION)
    assert encoded.cut.shape == (0,)


# --- progress ---


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_counts_every_unit(threads: int, bundle: Path) -> None:
    told: list[int] = []
    OnnxEncoder(load_bundle(bundle), threads=threads).encode(UNITS, advance=told.append)
    assert sum(told) == len(UNITS)


class _CancelledError(Exception):
    pass


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_may_cancel(threads: int, bundle: Path) -> None:
    def cancel(count: int) -> None:
        raise _CancelledError

    encoder = OnnxEncoder(load_bundle(bundle), threads=threads)
    with pytest.raises(_CancelledError):
        encoder.encode(UNITS, advance=cancel)
    assert encoder.encode(UNITS[:1]).vectors.any()  # It goes on working.


# --- graphs that do not fit ---


@pytest.mark.parametrize("old", [*INPUTS, OUTPUT])
def test_a_graph_with_other_names_is_refused(old: str, tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, files={ENCODER: encoder_graph(rename=(old, "other"))})
    encoder = OnnxEncoder(load_bundle(folder))  # The graph is looked at when it is first needed.
    with pytest.raises(ModelError, match=r"encoder\.onnx reads .* expected .*Export the bundle again") as caught:
        encoder.encode(UNITS[:1])
    assert str(folder) in str(caught.value)
    with pytest.raises(ModelError):
        load_model(folder).provider  # noqa: B018


@pytest.mark.parametrize("content", [b"", b"not a graph", encoder_graph()[:2000]], ids=["empty", "text", "cut off"])
def test_what_is_no_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    encoder = OnnxEncoder(load_bundle(tiny_bundle(tmp_path, files={ENCODER: content})))
    with pytest.raises(ModelError, match=r"encoder\.onnx: the graph is refused: it is no ONNX graph\. Export"):
        encoder.encode(UNITS[:1])


def test_what_the_runtime_cannot_run_is_refused(tmp_path: Path) -> None:
    graph = onnx.load_from_string(encoder_graph())
    graph.graph.node[0].op_type = "Grab"
    encoder = OnnxEncoder(load_bundle(tiny_bundle(tmp_path, files={ENCODER: graph.SerializeToString()})))
    with pytest.raises(ModelError, match=r"the runtime refuses the graph .*Export the bundle again"):
        encoder.encode(UNITS[:1])


def test_a_graph_for_something_else_is_refused(tmp_path: Path) -> None:
    encoder = OnnxEncoder(load_bundle(tiny_bundle(tmp_path, files={ENCODER: head_graph()})))
    with pytest.raises(ModelError, match=r"reads \['features'\]"):
        encoder.encode(UNITS[:1])


def with_weights_outside(location: str) -> tuple[bytes, bytes]:
    """The encoder with its token table in another file, and that file."""
    graph = onnx.load_from_string(encoder_graph())
    (table,) = [tensor for tensor in graph.graph.initializer if tensor.name == "token_table"]
    weights = table.raw_data
    table.ClearField("raw_data")
    table.data_location = TensorProto.EXTERNAL
    entry = table.external_data.add()
    entry.key, entry.value = "location", location
    return graph.SerializeToString(), weights


@pytest.mark.parametrize("where", ["in the bundle", "at an absolute path", "outside"])
def test_weights_outside_of_the_graph_are_refused(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = {"at an absolute path": str(tmp_path / "weights.bin"), "outside": "../weights.bin"}.get(where)
    graph, weights = with_weights_outside(location or "weights.bin")
    folder = tiny_bundle(tmp_path, files={ENCODER: graph, "weights.bin": weights})
    (tmp_path / "weights.bin").write_bytes(weights)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ModelError, match="it keeps weights in another file, which no digest covers"):
        OnnxEncoder(load_bundle(folder)).encode(UNITS[:1])


def test_weights_in_the_working_directory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That may be the folder that is scanned; no digest covers what lies there."""
    graph, weights = with_weights_outside("weights.bin")
    folder = tiny_bundle(tmp_path, files={ENCODER: graph})
    (tmp_path / "weights.bin").write_bytes(weights)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="it keeps weights in another file, which no digest covers"):
        OnnxEncoder(load_bundle(folder)).encode(UNITS[:1])


@pytest.mark.parametrize(
    "files",
    [
        {ENCODER: encoder_graph(dimension=DIMENSION + 1)},
        {TOKENIZER: tokenizer_json({**vocabulary(), "total": 10**6}).encode()},
    ],
    ids=["other width", "ids beyond the table"],
)
def test_a_graph_that_fails_when_it_runs_is_told(files: dict[str, bytes], tmp_path: Path) -> None:
    encoder = OnnxEncoder(load_bundle(tiny_bundle(tmp_path, files=files)))
    with pytest.raises(ModelError):
        encoder.encode(UNITS[:1])


# --- devices ---


def test_an_unknown_device_is_misuse(bundle: Path) -> None:
    with pytest.raises(UsageError, match="use cpu or cuda"):
        load_model(bundle, device="tpu")


def test_without_a_gpu_the_cpu_does_it(
    bundle: Path, onnx_encoder: OnnxEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    if gpu_answers():
        pytest.skip("a GPU answers here")
    encoder = OnnxEncoder(load_bundle(bundle), device="cuda")
    with caplog.at_level(logging.WARNING):
        found = encoder.encode(UNITS)
    assert encoder.provider == "CPUExecutionProvider"
    assert "running on the CPU instead" in caplog.text
    assert found.vectors.tobytes() == onnx_encoder.encode(UNITS).vectors.tobytes()


# --- the encoder without a model ---


def test_the_hashing_encoder_is_deterministic() -> None:
    one, other = HashingEncoder(), HashingEncoder()
    together = one.encode(UNITS)
    assert together.vectors.tobytes() == other.encode(UNITS).vectors.tobytes()
    for row, unit in enumerate(UNITS):
        assert one.encode([unit]).vectors[0].tobytes() == together.vectors[row].tobytes()
    assert not together.cut.any()
    assert together.vectors.shape == (len(UNITS), one.dimension) == (len(UNITS), 256)


def test_the_hashing_encoder_counts_words() -> None:
    """Pinned: other tests compare findings made with it."""
    encoded = HashingEncoder(8).encode(["itotal", "itotal" + ATOM_SEPARATOR + "itotal", "", "kif"])
    assert np.count_nonzero(encoded.vectors[0]) == 1
    assert encoded.vectors[0].tobytes() == encoded.vectors[1].tobytes()
    assert abs(encoded.vectors[0]).max() == 1.0
    assert not encoded.vectors[2:].any()


def test_both_are_encoders(onnx_encoder: OnnxEncoder) -> None:
    encoders: list[Encoder] = [onnx_encoder, HashingEncoder()]
    for encoder in encoders:
        told: list[int] = []
        encoded = encoder.encode(UNITS[:3], advance=told.append)
        assert encoded.vectors.shape == (3, encoder.dimension)
        assert sum(told) == 3


# --- through the model ---


def test_the_model_takes_any_code(model: Model) -> None:
    codes = [(code, language) for language, code in TOTAL_ABOVE.items()]
    vectors = model.encode([*codes, ("", "py"), ("}{ ]]", "go")])
    assert vectors.shape == (16, DIMENSION)
    assert vectors[:14].tobytes() == model.encode_normalised(UNITS[:14]).tobytes()
    with pytest.raises(UsageError, match="klingon"):
        model.encode([("x", "klingon")])


def test_pairs_have_the_same_probability_both_ways_and_in_any_company(model: Model) -> None:
    codes = [(code, language) for language, code in TOTAL_ABOVE.items()]
    forth = model.pair_probability(codes, codes[::-1])
    back = model.pair_probability(codes[::-1], codes)
    assert forth.dtype == np.float32
    assert forth.tobytes() == back.tobytes()
    alone = [model.pair_probability([a], [b])[0] for a, b in zip(codes, codes[::-1], strict=True)]
    assert forth.tolist() == alone
    assert model.pair_probability([], []).shape == (0,)
    with pytest.raises(UsageError, match="got 1 left and 2 right"):
        model.pair_probability(codes[:1], codes[:2])


def test_the_model_says_what_it_is(model: Model) -> None:
    assert (model.info.name, model.info.kind, model.info.dimension) == ("tiny", "compact", DIMENSION)
    assert model.info.digest == model.bundle.digest
    assert model.provider == "CPUExecutionProvider"
    assert model.bundle.manifest.dense_width == DENSE
