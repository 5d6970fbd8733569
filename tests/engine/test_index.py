"""Exact search: equal to the definition, bit for bit, however the work is cut up."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polyclone.index import Codes, ExactIndex, Neighbours, quantise, similarity
from polyclone.index.codes import codes_of


def random_codes(n: int, d: int, seed: int = 0) -> Codes:
    return quantise(np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32))


def by_definition(codes: Codes, queries: Codes, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Python integers for the dot products, then a plain sort."""
    indices = np.full((len(queries), k), -1, np.int32)
    similarities = np.full((len(queries), k), -np.inf, np.float32)
    for q in range(len(queries)):
        scores = []
        for row in range(len(codes)):
            dot = sum(int(a) * int(b) for a, b in zip(queries.values[q], codes.values[row], strict=True))
            scores.append(np.float32(dot) * np.float32(codes.scales[row] * queries.scales[q]))
        order = sorted(range(len(codes)), key=lambda row: (-scores[row], row))[:k]
        indices[q, : len(order)] = order
        similarities[q, : len(order)] = [scores[row] for row in order]
    return indices, similarities


def same_bits(a: Neighbours, b: Neighbours) -> bool:
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ("indices", "similarities"))


small_codes = st.integers(1, 5).flatmap(
    lambda d: st.tuples(
        arrays(np.int8, st.tuples(st.integers(0, 25), st.just(d)), elements=st.integers(-2, 2)),
        arrays(np.int8, st.tuples(st.integers(0, 6), st.just(d)), elements=st.integers(-127, 127)),
    )
)


@given(small_codes, st.integers(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_search_is_the_definition_ties_included(
    pair: tuple[np.ndarray, np.ndarray], k: int, block_queries: int, block_rows: int
) -> None:
    codes, queries = (codes_of(values) for values in pair)
    found = ExactIndex(codes, block_queries=block_queries, block_rows=block_rows).search(queries, k)
    indices, similarities = by_definition(codes, queries, k)
    np.testing.assert_array_equal(found.indices, indices)
    assert found.similarities.tobytes() == similarities.tobytes()


@pytest.mark.parametrize("dimension", [3, 640, 1040, 1041, 2500])
def test_block_sizes_do_not_change_a_bit(dimension: int) -> None:
    codes = random_codes(300, dimension)
    whole = ExactIndex(codes).search(codes, 7)
    for block_queries, block_rows in [(7, 300), (300, 11), (64, 33), (299, 299)]:
        blocked = ExactIndex(codes, block_queries=block_queries, block_rows=block_rows)
        assert same_bits(whole, blocked.search(codes, 7))


@pytest.mark.parametrize("dimension", [1040, 1041, 3000])
def test_the_largest_dot_products_are_exact(dimension: int) -> None:
    values = np.full((4, dimension), 127, np.int8)
    values[1, 0], values[2, :2], values[3] = 126, 126, -127
    codes = codes_of(values)
    found = ExactIndex(codes).search(codes, 4)
    for q in range(4):
        for row, value in zip(found.indices[q], found.similarities[q], strict=True):
            assert value == similarity(codes, q, codes, int(row))
    assert found.indices[0, -1] == 3


def test_thread_count_does_not_change_a_bit() -> None:
    program = (
        "import hashlib, numpy as np; from polyclone.index import ExactIndex, quantise;"
        "c = quantise(np.random.default_rng(1).standard_normal((700, 321)).astype(np.float32));"
        "n = ExactIndex(c).search(c, 9);"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in"
        " (n.indices, n.similarities))).hexdigest())"
    )
    digests = set()
    for threads in ("1", "2", "3"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_many_ties_keep_the_lowest_indices() -> None:
    codes = codes_of(np.tile(np.array([[3, 4]], np.int8), (1000, 1)))
    for block_rows in (7, 100, 1000):
        found = ExactIndex(codes, block_rows=block_rows).search(codes.take([0, 999]), 5)
        assert found.indices.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_rows_that_come_nearer_and_nearer() -> None:
    """The worst order for a running top k: each block is better than all before."""
    angle = np.linspace(np.pi, 0, 500)
    codes = quantise(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))
    query = codes.take([499])
    expected, _ = by_definition(codes, query, 20)
    assert ExactIndex(codes, block_rows=16).search(query, 20).indices.tolist() == expected.tolist()


def test_an_empty_index_and_no_queries() -> None:
    codes, nothing = random_codes(3, 8), random_codes(0, 8)
    found = ExactIndex(nothing).search(codes, 2)
    assert found.indices.tolist() == [[-1, -1]] * 3
    assert np.isneginf(found.similarities).all()
    assert ExactIndex(codes).search(nothing, 2).indices.shape == (0, 2)


def test_more_neighbours_than_rows_are_padded() -> None:
    codes = random_codes(3, 8)
    found = ExactIndex(codes).search(codes, 5)
    assert (found.indices[:, :3] >= 0).all()
    assert (found.indices[:, 3:] == -1).all()
    assert np.isneginf(found.similarities[:, 3:]).all()
    assert (found.indices.dtype, found.similarities.dtype) == (np.int32, np.float32)


finite = st.floats(-(2.0**100), 2.0**100, width=32)


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(0, 9)), elements=finite))
def test_quantising_keeps_directions(vectors: np.ndarray) -> None:
    codes = quantise(vectors)
    assert codes.values.shape == vectors.shape
    for row in range(len(vectors)):
        largest = np.abs(vectors[row]).max(initial=0.0)
        if largest == 0:
            assert codes.scales[row] == 0
            assert not codes.values[row].any()
            continue
        assert np.abs(codes.values[row]).max() == 127
        step = np.float64(largest) / 127
        np.testing.assert_allclose(codes.values[row] * step, vectors[row], atol=step * 0.5000001)
        assert abs(similarity(codes, row, codes, row) - 1) < 3e-7


def test_quantising_rounds_half_to_even() -> None:
    assert quantise(np.array([[127, 0.5, 1.5, 2.5, -0.5, -1.5]], np.float32)).values.tolist() == [
        [127, 0, 2, 2, 0, -2]
    ]


@given(arrays(np.float32, (3, 5), elements=st.floats(-1, 1, width=32)), st.sampled_from([2.0, 0.25, 1024.0]))
@settings(max_examples=50)
def test_length_does_not_matter(vectors: np.ndarray, factor: float) -> None:
    """Powers of two scale without rounding; denormal results would."""
    vectors[np.abs(vectors) < 1e-30] = 0
    stretched = quantise((vectors * np.float32(factor)).astype(np.float32))
    assert stretched.values.tobytes() == quantise(vectors).values.tobytes()
    assert stretched.scales.tobytes() == quantise(vectors).scales.tobytes()


@given(small_codes)
def test_similarity_is_the_same_from_either_side(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (codes_of(values) for values in pair)
    for i in range(len(a)):
        for j in range(len(b)):
            assert similarity(a, i, b, j).tobytes() == similarity(b, j, a, i).tobytes()


def test_similarity_is_close_to_the_cosine_of_the_vectors() -> None:
    vectors = np.random.default_rng(3).standard_normal((50, 640)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = quantise(vectors)
    found = np.array([[similarity(codes, i, codes, j) for j in range(50)] for i in range(50)])
    np.testing.assert_allclose(found, vectors @ vectors.T, atol=2e-3)


@pytest.mark.parametrize(
    "vectors", [np.zeros(3, np.float32), np.array([[np.nan]], np.float32), np.array([[np.inf]], np.float32)]
)
def test_what_cannot_be_quantised_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"finite|shape"):
        quantise(vectors)


def test_misuse_is_refused() -> None:
    codes = random_codes(3, 8)
    with pytest.raises(ValueError, match="k must be"):
        ExactIndex(codes).search(codes, 0)
    with pytest.raises(ValueError, match="9 dimensions"):
        ExactIndex(codes).search(random_codes(1, 9), 1)
    with pytest.raises(ValueError, match="block"):
        ExactIndex(codes, block_rows=0)
    with pytest.raises(ValueError, match="int8"):
        Codes(np.zeros((2, 2), np.int16), np.zeros(2, np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scales"):
        Codes(np.zeros((2, 2), np.int8), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="-128"):
        Codes(np.full((1, 1), -128, np.int8), np.zeros(1, np.float32))
