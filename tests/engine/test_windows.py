"""Units that are longer than the encoder reads at once are read whole, window by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.artifact import ENCODER, load_bundle
from polyclone.encode.graph import Graph
from polyclone.encode.onnx import INPUTS, OUTPUT, OnnxEncoder, compact_feed
from polyclone.extract import extract_snippet
from polyclone.model import load_model
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece, fit
from polyclone.values import ATOM_SEPARATOR
from support.bundles import DENSE, DIMENSION, lexicon, tiny_bundle, tokenizer_json, vocabulary

BUDGET = 34
ROOM = BUDGET - 2
ATOMS = ["itotal", "ivalue", "kif", "kreturn", "o+", "o<=", "n31", "slimit for index", "igetUserName"]


def unit(length: int, seed: int = 0) -> str:
    """A unit of `length` atoms."""
    return ATOM_SEPARATOR.join(np.random.default_rng(seed).choice(ATOMS, length).tolist())


LONG = [unit(5), unit(25, 1), unit(400, 2), "", unit(20, 3), unit(90, 4)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    return OnnxEncoder(load_bundle(tiny_bundle(tmp_path_factory.mktemp("w"), token_budget=BUDGET, windows=4)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(ATOMS), max_size=120), st.integers(1, 5), st.integers(16, 40))
def test_windows_hold_all_tokens_in_their_order(atoms: list[str], windows: int, budget: int) -> None:
    wordpiece = WordPiece.from_json(tokenizer_json(vocabulary()))
    words = Lexicon.from_text(lexicon().to_text())
    whole = Tokenizer(wordpiece, words, 1 << 16).ids(atoms)[0][1:-1].tolist()
    read = Tokenizer(wordpiece, words, budget, windows).read(atoms)
    inner = [window[1:-1].tolist() for window in read.windows]
    kept = fit(whole, (budget - 2) * windows)
    assert [token for window in inner for token in window] == kept
    assert read.cut == len(whole) - len(kept)
    assert all(window[0] == wordpiece.cls and window[-1] == wordpiece.sep for window in read.windows)
    assert max(map(len, inner)) - min(map(len, inner)) <= 1
    assert len(inner) == max(1, -(-len(kept) // (budget - 2)))


def test_the_dense_channels_of_windows_are_averaged(encoder: OnnxEncoder) -> None:
    text = LONG[1]
    atoms = text.split(ATOM_SEPARATOR)
    read, bag = encoder.tokenizer.read(atoms), encoder.tokenizer.bag(atoms)
    assert len(read.windows) > 1
    each = np.concatenate([encoder.graph.run(compact_feed([window], [bag])) for window in read.windows])
    tokens = np.array([len(window) - 2 for window in read.windows], np.float64)
    mean = (each[:, :DENSE] * tokens[:, None]).sum(0)
    found = encoder.encode([text]).vectors[0]
    np.testing.assert_allclose(found[DENSE:], each[0, DENSE:], atol=1e-7)
    np.testing.assert_allclose(
        found[:DENSE], mean / np.linalg.norm(mean) * np.linalg.norm(each[0, :DENSE]), atol=1e-6
    )
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_long_unit_does_not_depend_on_its_company(threads: int, encoder: OnnxEncoder) -> None:
    other = OnnxEncoder(encoder._bundle, threads=threads)
    told: list[int] = []
    together = other.encode(LONG, advance=told.append)
    for row, text in enumerate(LONG):
        assert together.vectors[row].tobytes() == encoder.encode([text]).vectors[0].tobytes()
    assert sum(told) == len(LONG)


def test_in_batches_the_vectors_are_nearly_the_same(encoder: OnnxEncoder) -> None:
    batched = OnnxEncoder(encoder._bundle, batch_tokens=300).encode(LONG)
    np.testing.assert_allclose(batched.vectors, encoder.encode(LONG).vectors, atol=1e-5)
    assert batched.cut.tolist() == encoder.encode(LONG).cut.tolist()


def test_what_is_over_the_windows_is_counted(encoder: OnnxEncoder) -> None:
    tokens = sum(len(window) - 2 for window in encoder.tokenizer.read(LONG[2].split(ATOM_SEPARATOR)).windows)
    assert tokens == 4 * ROOM
    cut = encoder.encode(LONG).cut
    assert cut[2] > 0
    assert not cut[[0, 1, 3, 4]].any()


def test_a_bundle_of_one_window_reads_as_before(encoder: OnnxEncoder, tmp_path: Path) -> None:
    plain = load_bundle(tiny_bundle(tmp_path, token_budget=BUDGET))
    assert plain.manifest.windows == 1
    assert "windows" not in plain.manifest.to_json()
    found = OnnxEncoder(plain).encode(LONG)
    atoms = LONG[1].split(ATOM_SEPARATOR)
    ids, missing = encoder.tokenizer.ids(atoms)
    graph = Graph(plain, ENCODER, INPUTS, OUTPUT, device="cpu")
    expected = graph.run(compact_feed([ids], [encoder.tokenizer.bag(atoms)]))[0]
    assert found.vectors[1].tobytes() == expected.tobytes()
    assert found.cut[1] == missing > 0
    assert found.vectors.shape == (len(LONG), DIMENSION)
    # Vectors of whole units are other vectors: no cache may take the one for the other.
    assert plain.encoder_digest != encoder._bundle.encoder_digest
    assert '"windows": 4' in encoder._bundle.manifest.to_json()


def test_the_bundle_that_ships_reads_long_functions_whole() -> None:
    model = load_model()
    assert model.bundle.manifest.windows > 1
    body = "\n".join(f"    total_{n} = values[{n}] * limit_{n}" for n in range(300))
    text = extract_snippet(f"def f(values):\n{body}\n    return total_1", "python").normalised
    encoded = model.encoder.encode([text])
    assert not encoded.cut.any()
