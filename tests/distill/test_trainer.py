"""Losses, views, batches, the loop and its checkpoints; and the trainer on its way to another machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from polyclone.errors import UsageError
from polyclone_distill import carry
from polyclone_distill.trainer.architecture import EncoderConfig
from polyclone_distill.trainer.batches import Batch, Sampler, collate
from polyclone_distill.trainer.devices import OneDevice
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.loop import Hooks, Run, rate
from polyclone_distill.trainer.losses import multi_positive_info_nce
from polyclone_distill.trainer.model import Encoder
from polyclone_distill.trainer.objective import ContrastiveObjective
from polyclone_distill.trainer.options import add_options, changes_of
from polyclone_distill.trainer.pair_head import PairHead, load_pair_head, save_pair_head
from polyclone_distill.trainer.reading import dense_by_length
from polyclone_distill.trainer.run import load_encoder, load_vocabulary, pack, train_encoder
from polyclone_distill.trainer.settings import BatchConfig, TrainConfig, ViewPolicy, default_recipe
from polyclone_distill.trainer.shards import DOC, Shard
from polyclone_distill.trainer.validation import cross_language_mrr, encode_units, validate
from polyclone_distill.trainer.views import NAME_MASKED, PLAIN, RENAMED, View, make_view
from support.training import (
    CLS,
    CONFIG,
    NAME,
    SEP,
    STAND_IN_WORDS,
    STAND_INS,
    WORDS,
    Writer,
    synthetic_shard,
    tiny_encoder,
    view_vocabulary,
    write_data,
)
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shard() -> Shard:
    return synthetic_shard()


# --- losses ---


def plain_loss(vectors: list[list[float]], labels: list[int], temperature: float) -> float:
    """Khosla et al. 2020, equation 2, with loops."""
    rows = []
    for i, (vector, label) in enumerate(zip(vectors, labels, strict=True)):
        scores = {
            j: sum(a * b for a, b in zip(vector, other, strict=True)) / temperature
            for j, other in enumerate(vectors)
            if j != i
        }
        positives = [j for j in scores if labels[j] == label]
        if positives:
            total = math.log(math.fsum(math.exp(score) for score in scores.values()))
            rows.append(-math.fsum(scores[j] - total for j in positives) / len(positives))
    return math.fsum(rows) / len(rows) if rows else 0.0


def unit_vectors(count: int, dimension: int, seed: int) -> Tensor:
    made = torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(made, dim=-1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-3, 4), min_size=1, max_size=12), st.sampled_from([0.05, 0.2, 1.0]), st.integers(0, 99))
def test_the_loss_is_the_one_of_the_paper(labels: list[int], temperature: float, seed: int) -> None:
    vectors = unit_vectors(len(labels), 5, seed)
    found = float(multi_positive_info_nce(vectors, torch.tensor(labels), temperature))
    assert found == pytest.approx(plain_loss(vectors.tolist(), labels, temperature), abs=1e-9)


def test_the_loss_by_hand() -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # Each row has one positive with score 1 and two negatives with score 0.
    found = multi_positive_info_nce(vectors, torch.tensor([0, 0, 1, 1]), 1.0)
    assert float(found) == pytest.approx(math.log(math.e + 2) - 1)
    # Turned around, the positive has score 0 and one negative has score 1.
    found = multi_positive_info_nce(vectors, torch.tensor([0, 1, 0, 1]), 1.0)
    assert float(found) == pytest.approx(math.log(math.e + 2))
    # The third row has no positive and does not count, except as a negative.
    found = multi_positive_info_nce(vectors[:3], torch.tensor([0, 0, 1]), 0.5)
    assert float(found) == pytest.approx(math.log(math.exp(2) + 1) - 2)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3], [5, -1, -2]])
def test_without_a_positive_the_loss_is_zero(labels: list[int]) -> None:
    vectors = unit_vectors(len(labels), 4, 1).requires_grad_()
    loss = multi_positive_info_nce(vectors, torch.tensor(labels), 0.05)
    assert loss.item() == 0.0
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_the_gradient_of_the_loss() -> None:
    vectors = unit_vectors(7, 4, 2).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 1, 2, -1])
    assert torch.autograd.gradcheck(lambda v: multi_positive_info_nce(v, labels, 0.3), (vectors,))


def test_one_batch_has_the_loss_of_its_channels(shard: Shard) -> None:
    model = tiny_encoder(dropout=0.0)
    batch = Sampler(shard, view_vocabulary(), BatchConfig(pairs=6, budget=48), 1).batch(0)
    config = TrainConfig(bf16=False, dense_weight=2.0, combined_weight=0.5, lexical_weight=0.25)
    total, ratios = ContrastiveObjective(model, config)(batch)
    parts = {name: part.mean().item() for name, part in ratios.items()}
    assert set(parts) == {"dense", "combined", "lexical"}
    assert total.item() == pytest.approx(
        2.0 * parts["dense"] + 0.5 * parts["combined"] + 0.25 * parts["lexical"], rel=1e-5
    )
    combined = model(batch.input_ids, batch.attention_mask, batch.word_ids, batch.word_weights)
    assert parts["combined"] == pytest.approx(
        plain_loss(combined.tolist(), batch.labels.tolist(), config.temperature), rel=1e-4
    )
    total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


# --- model ---


def test_padding_does_not_matter() -> None:
    model = tiny_encoder().eval()
    ids = torch.randint(5, 150, (1, 9), generator=torch.Generator().manual_seed(0))
    words = torch.tensor([[7, 9]])
    weights = torch.tensor([[1.0, 1.7]])
    short = model(ids, torch.ones_like(ids), words, weights)
    padded_ids = torch.nn.functional.pad(ids, (0, 20))
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 20))
    long = model(padded_ids, mask, torch.nn.functional.pad(words, (0, 5)), torch.nn.functional.pad(weights, (0, 5)))
    torch.testing.assert_close(short, long, atol=1e-6, rtol=0)
    assert short.norm().item() == pytest.approx(1.0, abs=1e-6)
    noisy = padded_ids.clone()
    noisy[0, 9:] = 77
    torch.testing.assert_close(model.dense(noisy, mask), model.dense(ids, torch.ones_like(ids)), atol=1e-6, rtol=0)


def test_the_channels_have_their_shares() -> None:
    model = tiny_encoder(lexical_share=0.25).eval()
    dense = torch.nn.functional.normalize(torch.randn(3, 32), dim=-1)
    lexical = torch.nn.functional.normalize(torch.randn(3, 16), dim=-1)
    both = model.combine(dense, lexical)
    torch.testing.assert_close(both[:, :32].norm(dim=1) ** 2, torch.full((3,), 0.75))
    torch.testing.assert_close(both[:, 32:].norm(dim=1) ** 2, torch.full((3,), 0.25))
    # A unit without words is its dense vector.
    alone = model.combine(dense, torch.zeros(3, 16))
    torch.testing.assert_close(alone[:, :32], dense)
    empty = model.lexical(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1))
    assert not empty.any()
    assert model.dimension == 48


def test_words_weigh_what_they_weigh() -> None:
    model = tiny_encoder().eval()
    table = model.lexicon.weight.detach()
    found = model.lexical(torch.tensor([[3, 8]]), torch.tensor([[1.0, 2.5]]))
    expected = torch.nn.functional.normalize(table[3] + 2.5 * table[8], dim=-1)
    torch.testing.assert_close(found[0], expected)


def test_lengths_in_groups_change_nothing(shard: Shard) -> None:
    model = tiny_encoder().eval()
    batch = Sampler(shard, view_vocabulary(), BatchConfig(pairs=7, budget=48), 1).batch(3)
    whole = model.dense(batch.input_ids, batch.attention_mask)
    for groups in (1, 2, 4, 14, 30):
        torch.testing.assert_close(dense_by_length(model, batch, groups), whole, atol=1e-5, rtol=0)


# --- views ---


def view(shard: Shard, unit: int, policy: ViewPolicy, seed: int = 0, budget: int = 200) -> View:
    return make_view(shard, unit, view_vocabulary(), policy, budget, np.random.default_rng(seed))


def owned(shard: Shard, unit: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(token, owner) and (word, owner) of a unit."""
    t = slice(shard.token_offsets[unit], shard.token_offsets[unit + 1])
    w = slice(shard.word_offsets[unit], shard.word_offsets[unit + 1])
    return (
        list(zip(shard.tokens[t].tolist(), shard.token_owner[t].tolist(), strict=True)),
        list(zip(shard.words[w].tolist(), shard.word_owner[w].tolist(), strict=True)),
    )


@pytest.mark.parametrize("unit", [0, 5, 11, 25])
def test_a_plain_view_is_the_unit(unit: int, shard: Shard) -> None:
    tokens, words = owned(shard, unit)
    found = view(shard, unit, PLAIN)
    assert found.tokens.tolist() == [CLS, *(token for token, _ in tokens), SEP]
    counts = {word: sum(word == other for other, _ in words) for word, _ in words}
    assert found.words.tolist() == sorted(counts)
    np.testing.assert_allclose(found.weights, [1 + math.log(counts[w]) for w in sorted(counts)], rtol=1e-6)
    assert (found.tokens.dtype, found.words.dtype, found.weights.dtype) == (np.int64, np.int64, np.float32)


@pytest.mark.parametrize("unit", [0, 5, 11, 25])
def test_a_hidden_name_is_gone_from_tokens_and_words(unit: int, shard: Shard) -> None:
    tokens, words = owned(shard, unit)
    found = view(shard, unit, NAME_MASKED)
    own_tokens = {token for token, who in tokens if who == 0}
    own_words = {word for word, who in words if who == 0}
    assert own_tokens and own_words
    assert not own_tokens & set(found.tokens.tolist())
    assert not own_words & set(found.words.tolist())
    assert found.tokens.tolist().count(NAME) == 1
    # Everything else is as it was.
    rest = [token for token, who in tokens if who != 0]
    assert [token for token in found.tokens.tolist() if token != NAME] == [CLS, *rest, SEP]
    assert set(found.words.tolist()) == {word for word, who in words if who != 0}


def test_a_unit_without_a_name_has_none_to_hide(shard: Shard) -> None:
    (doc, *_) = np.flatnonzero(shard.kind == DOC).tolist()
    assert view(shard, doc, NAME_MASKED).tokens.tolist() == view(shard, doc, PLAIN).tokens.tolist()
    assert NAME not in view(shard, doc, RENAMED).tokens


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 27), st.integers(0, 1000))
def test_renaming_is_consistent(unit: int, seed: int) -> None:
    shard = synthetic_shard()
    tokens, words = owned(shard, unit)
    found = view(shard, unit, RENAMED, seed)
    held = [token for token in found.tokens.tolist() if token < STAND_INS][1:-1]
    assert held == [token for token, who in tokens if who < 0]  # No identifier is left, all else is.
    vocabulary = view_vocabulary()
    spelt = {
        int(row[0]): (int(word), [int(t) for t in row if t])
        for row, word in zip(vocabulary.stand_in_tokens, vocabulary.stand_in_words, strict=True)
    }
    # Follow the text: each run of an identifier's tokens became one stand-in, always the same one.
    position, previous = 1, -1
    name_of: dict[int, int] = {}
    for token, who in tokens:
        if who < 0:
            assert found.tokens[position] == token
            position += 1
        elif who != previous:
            first = int(found.tokens[position])
            assert name_of.setdefault(who, first) == first
            width = len(spelt[first][1])
            assert found.tokens[position : position + width].tolist() == spelt[first][1]
            position += width
        previous = who
    assert position == len(found.tokens) - 1
    assert {w for w in found.words.tolist() if w >= STAND_IN_WORDS} == {spelt[f][0] for f in name_of.values()}
    assert {w for w in found.words.tolist() if w < STAND_IN_WORDS} == {w for w, who in words if who < 0}


def test_every_occurrence_is_renamed() -> None:
    """As in `int x; x = 5`, where nothing but punctuation stands between the two."""
    writer = Writer()
    occurrences = [(1, [50], [70]), (1, [50], [70]), (-1, [10], [])]
    writer.add(occurrences, [0, 0], named=1, label=0, program=0, language=0, kind=0)
    found = view(writer.shard(), 0, RENAMED).tokens.tolist()
    names = [token for token in found if token >= STAND_INS]
    assert len(names) in (2, 4)
    assert names[: len(names) // 2] == names[len(names) // 2 :]


def test_called_names_stay_unless_all_are_renamed(shard: Shard) -> None:
    some = ViewPolicy(mask_name=0.0, rename_some=1.0, rename_all=0.0, drop_words=0.0)
    called = {token for token, who in owned(shard, 0)[0] if who == 1}
    variables = {token for token, who in owned(shard, 0)[0] if who == 2}
    views = [set(view(shard, 0, some, seed).tokens.tolist()) for seed in range(30)]
    assert all(called <= tokens for tokens in views)
    assert 5 < sum(variables <= tokens for tokens in views) < 25


def test_words_may_be_dropped(shard: Shard) -> None:
    dropping = ViewPolicy(mask_name=0.0, rename_some=0.0, rename_all=0.0, drop_words=0.5)
    every = set(view(shard, 0, PLAIN).words.tolist())
    views = [set(view(shard, 0, dropping, seed).words.tolist()) for seed in range(40)]
    assert all(words <= every for words in views)
    assert 0.3 < np.mean([len(words) / len(every) for words in views]) < 0.7
    gone = ViewPolicy(mask_name=0.0, rename_some=0.0, rename_all=0.0, drop_words=1.0)
    assert view(shard, 0, gone).words.shape == view(shard, 0, gone).weights.shape == (0,)


@pytest.mark.parametrize("budget", [3, 8, 16, 21, 47, 48, 49, 500])
def test_views_keep_to_the_budget(budget: int, shard: Shard) -> None:
    whole = view(shard, 0, PLAIN).tokens.tolist()
    found = view(shard, 0, PLAIN, budget=budget).tokens.tolist()
    assert len(found) == min(len(whole), budget)
    assert (found[0], found[-1]) == (CLS, SEP)
    if len(whole) > budget:
        head = (budget - 2) * 5 // 8
        assert found[1 : 1 + head] == whole[1 : 1 + head]
        assert found[1 + head : -1] == whole[len(whole) - 1 - (budget - 2 - head) : -1]


def test_a_view_is_a_function_of_its_generator(shard: Shard) -> None:
    policy = ViewPolicy()
    for unit in range(0, len(shard), 5):
        one, other = view(shard, unit, policy, 5), view(shard, unit, policy, 5)
        assert one.tokens.tolist() == other.tokens.tolist()
        assert one.words.tolist() == other.words.tolist()
    assert len({tuple(view(shard, 0, policy, seed).tokens.tolist()) for seed in range(20)}) > 3


# --- shards and batches ---


def test_a_shard_survives_its_file(shard: Shard, tmp_path: Path) -> None:
    shard.save(tmp_path / "a.npz")
    carry.pack_shard(tmp_path / "a.npz", tmp_path / "b.npz")
    for name in ("a.npz", "b.npz"):
        again = Shard.load(tmp_path / name)
        assert len(again) == len(shard)
        for field in dataclasses.fields(Shard):
            one, other = getattr(shard, field.name), getattr(again, field.name)
            assert one.dtype == other.dtype, field.name
            assert np.array_equal(one, other), field.name


def test_a_shard_of_another_version_is_refused(shard: Shard, tmp_path: Path) -> None:
    shard.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "b.npz", **{**arrays, "version": np.array(99)})
    with pytest.raises(TrainerError, match=r"shard of version 99; run `prepare` again"):
        Shard.load(tmp_path / "b.npz")


def test_batches_are_padded(shard: Shard) -> None:
    views = [view(shard, unit, PLAIN, budget=20 + unit) for unit in range(4)]
    empty = dataclasses.replace(views[0], words=np.zeros(0, np.int64), weights=np.zeros(0, np.float32))
    batch = collate([*views, empty])
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert batch.labels.tolist() == [0, 1, 2, 3, 4]
    for row, one in enumerate([*views, empty]):
        length, width = len(one.tokens), len(one.words)
        assert batch.input_ids[row, :length].tolist() == one.tokens.tolist()
        assert batch.attention_mask[row].tolist() == [1] * length + [0] * (batch.input_ids.shape[1] - length)
        assert not batch.input_ids[row, length:].any()
        assert batch.word_ids[row, :width].tolist() == one.words.tolist()
        assert not batch.word_weights[row, width:].any()
    alone = collate([empty])
    assert alone.word_ids.shape == (1, 1)
    assert not alone.word_weights.any()


class Recorder(Sampler):
    """A sampler that remembers which units it took."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.taken: list[int] = []

    def _view(self, unit: int, policy: ViewPolicy, rng: Generator, *, headless: bool = False) -> View:
        self.taken.append(unit)
        return super()._view(unit, policy, rng, headless=headless)


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(Batch))


def test_batches_are_decided_by_seed_and_step(shard: Shard) -> None:
    config = BatchConfig(pairs=8, budget=40)
    one, other = (Sampler(shard, view_vocabulary(), config, 3) for _ in range(2))
    forth = [one.batch(step) for step in range(4)]
    back = [other.batch(step) for step in reversed(range(4))][::-1]
    assert all(equal(a, b) for a, b in zip(forth, back, strict=True))
    assert not equal(forth[0], forth[1])
    assert not equal(forth[0], Sampler(shard, view_vocabulary(), config, 4).batch(0))


def test_pairs_share_a_label_and_differ_in_program(shard: Shard) -> None:
    sampler = Recorder(shard, view_vocabulary(), BatchConfig(pairs=8, budget=40), 3)
    across, kinds = [], set()
    for step in range(25):
        sampler.taken.clear()
        labels = sampler.batch(step).labels.tolist()
        assert len(labels) == len(sampler.taken) == 16
        assert len(set(labels)) == 8
        for left, right, label, same in zip(
            sampler.taken[::2], sampler.taken[1::2], labels[::2], labels[1::2], strict=True
        ):
            assert label == same
            kinds.add((int(shard.kind[left]), label >= 0))
            if label >= 0:
                assert shard.label[left] == shard.label[right] == label
                assert shard.program[left] != shard.program[right]
                across.append(bool(shard.language[left] != shard.language[right]))
            elif shard.kind[left] == DOC:
                assert shard.partner[left] == right
            else:
                assert left == right
                assert shard.label[left] == -1
    assert np.mean(across) > 0.8
    assert {(DOC, False), (1, False), (0, True)} <= kinds


def test_without_single_functions_all_pairs_come_from_classes() -> None:
    shard = synthetic_shard(classes=10, singles=0)
    labels = Sampler(shard, view_vocabulary(), BatchConfig(pairs=6), 0).batch(0).labels
    assert len(labels) == 12
    assert (labels >= 0).all()


def test_nothing_can_be_learned_without_a_class() -> None:
    with pytest.raises(TrainerError, match="no clone class of two programs"):
        Sampler(synthetic_shard(languages=1), view_vocabulary(), BatchConfig(), 0)


def test_one_class_is_enough() -> None:
    shard = synthetic_shard(classes=1)
    assert (Sampler(shard, view_vocabulary(), BatchConfig(pairs=4), 0).batch(0).labels >= 0).sum() == 2


# --- rate and measures ---


def test_the_rate_rises_stays_and_falls() -> None:
    config = TrainConfig(steps=100, warmup=10, decay_share=0.3)
    rates = [rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0
    assert rates[10:70] == [1.0] * 60
    assert rates[70] == 1.0
    assert rates[85] == pytest.approx(1 - math.sqrt(0.5))
    assert rates[99] == pytest.approx(1 - math.sqrt(29 / 30))
    assert rates[100] == 0.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[70:] == sorted(rates[70:], reverse=True)
    assert all(value > 0 for value in rates[:100])
    assert rate(0, TrainConfig(steps=1, warmup=0)) == pytest.approx(1.0)


def test_raising_the_steps_on_the_plateau_changes_nothing_before() -> None:
    short, long = TrainConfig(steps=100, warmup=10), TrainConfig(steps=1000, warmup=10)
    assert [rate(step, short) for step in range(70)] == [rate(step, long) for step in range(70)]


def test_the_rank_of_the_first_clone_by_hand() -> None:
    angles = np.array([0.0, 0.2, 0.1, 1.5, 0.3])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels, languages = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 1, 0, 0])
    # Row 0 asks rows 1 and 2: 2 is nearer, so rank 2. Row 1 asks 0, 3 and 4: 4 is first, rank 1. Row 2 asks 0, 3
    # and 4: 3 is last, rank 3. Row 3 asks 1 and 2: 1 is nearer, rank 2. Row 4 asks 1 and 2: 1 is first, rank 1.
    assert cross_language_mrr(vectors, labels, languages) == pytest.approx((1 / 2 + 1 + 1 / 3 + 1 / 2 + 1) / 5)
    assert math.isnan(cross_language_mrr(vectors, np.arange(5), languages))
    assert math.isnan(cross_language_mrr(vectors, labels, np.zeros(5)))


def test_validation_does_not_train(shard: Shard) -> None:
    model = tiny_encoder().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    metrics = validate(model, shard, view_vocabulary(), 48, 100)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)  # Or a run would depend on how often it is looked at.
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert len(metrics) == 9
    assert all(0 < value <= 1 for value in metrics.values())
    assert metrics == validate(model, shard, view_vocabulary(), 48, 100)


def test_units_are_encoded_in_their_order(shard: Shard) -> None:
    model = tiny_encoder().eval()
    units = np.array([9, 2, 14, 2])
    dense, lexical = encode_units(model, shard, units, view_vocabulary(), PLAIN, 48)
    assert dense.shape == (4, 32)
    assert lexical.shape == (4, 16)
    np.testing.assert_array_equal(lexical[1], lexical[3])
    alone = encode_units(model, shard, units[:1], view_vocabulary(), PLAIN, 48)
    np.testing.assert_allclose(lexical[0], alone[1][0], atol=1e-6)
    np.testing.assert_allclose(dense[0], alone[0][0], atol=3e-2)  # In bfloat16.


# --- training ---

STEPS = TrainConfig(
    steps=12,
    warmup=2,
    learning_rate=2e-3,
    lexicon_rate=1e-2,
    checkpoint_every=4,
    evaluate_every=5,
    bf16=False,
)
BATCHES = BatchConfig(pairs=6, budget=40)


def losses(folder: Path) -> dict[int, float]:
    """Step → loss; of a step done twice, the second time counts."""
    rows = [json.loads(line) for line in (folder / "steps.jsonl").read_text("utf-8").splitlines()]
    return {row["step"]: row["loss"] for row in rows}


def training(folder: Path, shard: Shard, config: TrainConfig, sampler: type[Sampler] = Sampler, seed: int = 0) -> Run:
    """A run that has not begun. `seed` decides the model, and everything that is drawn from the global generator."""
    run = Run(ContrastiveObjective(tiny_encoder(seed), config), config, folder, OneDevice(CPU))
    torch.manual_seed(99)
    run.resume()
    run.sampler = sampler(shard, view_vocabulary(), BATCHES, config.seed)  # type: ignore[attr-defined]
    return run


def finish(run: Run, shard: Shard) -> Encoder:
    def evaluate(model: Encoder) -> dict[str, float]:
        return validate(model, shard, view_vocabulary(), 40, 50)

    hooks = Hooks(export=lambda state: pack(run.model.config, state), evaluate=evaluate)
    run.train(run.sampler, hooks)  # type: ignore[attr-defined]
    return run.model


def test_thirty_steps_lower_the_loss(shard: Shard, tmp_path: Path) -> None:
    config = dataclasses.replace(STEPS, steps=30, evaluate_every=100, checkpoint_every=100)
    finish(training(tmp_path, shard, config), shard)
    curve = losses(tmp_path)
    assert list(curve) == list(range(1, 31))
    first, last = (np.mean([curve[s] for s in steps]) for steps in (range(1, 6), range(26, 31)))
    assert last < 0.75 * first
    rows = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text("utf-8").splitlines()]
    assert rows[-1]["score"] > 0.5
    assert all(row["tokens"] > 0 and row["gradient_norm"] > 0 for row in rows)
    trained = load_encoder(tmp_path / "best.pt")
    start = validate(tiny_encoder(), shard, view_vocabulary(), 40, 50)
    assert validate(trained, shard, view_vocabulary(), 40, 50)["masked_combined"] > start["masked_combined"]


class _KilledError(Exception):
    pass


class Dying(Sampler):
    """A sampler after whose eighth batch nothing more happens."""

    def batch(self, step: int) -> Batch:
        if step == 7:
            raise _KilledError
        return super().batch(step)


def test_a_resumed_run_is_the_whole_run(shard: Shard, tmp_path: Path) -> None:
    whole = finish(training(tmp_path / "whole", shard, STEPS), shard)
    with pytest.raises(_KilledError):
        finish(training(tmp_path / "parts", shard, STEPS, Dying), shard)
    assert max(losses(tmp_path / "parts")) == 7
    # Another start: everything must come from the checkpoint.
    resumed = training(tmp_path / "parts", shard, STEPS, seed=1)
    assert resumed.step == 4
    parts = finish(resumed, shard)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    one, other = (torch.load(tmp_path / f / "best.pt", weights_only=True)["state"] for f in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_does_nothing_more(shard: Shard, tmp_path: Path) -> None:
    config = dataclasses.replace(STEPS, steps=2)
    finish(training(tmp_path, shard, config), shard)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    finish(training(tmp_path, shard, config), shard)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_without_evaluation_keeps_no_best(shard: Shard, tmp_path: Path) -> None:
    run = training(tmp_path, shard, dataclasses.replace(STEPS, steps=1))
    run.train(run.sampler, Hooks(export=dict))  # type: ignore[attr-defined]
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "steps.jsonl"}


def test_looking_at_a_run_does_not_change_it(shard: Shard, tmp_path: Path) -> None:
    """Evaluation borrows the model for the averaged weights, and gives it back."""
    config = dataclasses.replace(STEPS, steps=4, evaluate_every=1)
    watched = finish(training(tmp_path / "watched", shard, config), shard)
    run = training(tmp_path / "alone", shard, config)
    run.train(run.sampler, Hooks(export=dict))  # type: ignore[attr-defined]
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


def test_the_average_follows_the_weights(shard: Shard, tmp_path: Path) -> None:
    """With c = min(ema, (1 + step) / (10 + step)): average ← c · average + (1 − c) · weight."""
    run = training(tmp_path, shard, dataclasses.replace(STEPS, steps=1))
    start = run.model.body.words.weight.detach().clone()
    run.train(run.sampler, Hooks(export=dict))  # type: ignore[attr-defined]
    expected = start.lerp(run.model.body.words.weight.detach(), 0.9)
    torch.testing.assert_close(run.average["body.words.weight"], expected)


# --- weights in files ---


def test_weights_survive_in_half_precision(tmp_path: Path) -> None:
    model = tiny_encoder(3)
    torch.save(pack(model.config, model.state_dict()), tmp_path / "a.pt")
    again = load_encoder(tmp_path / "a.pt")
    assert again.config == model.config
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value.half().float(), atol=0, rtol=0)


def test_a_pair_head_survives_its_file(tmp_path: Path) -> None:
    for hidden in (0, 5):
        head = PairHead(21, hidden)
        head.mean.fill_(0.5)
        head.scale.fill_(2.0)
        save_pair_head(head, tmp_path / "head.pt", {"metrics": {"p": 0.5}})
        again, record = load_pair_head(tmp_path / "head.pt")
        features = torch.randn(9, 21)
        assert torch.equal(head.eval()(features), again(features))
        assert record == {"metrics": {"p": 0.5}}
        assert again(features).shape == (9,)


def test_a_head_standardises_and_bounds_its_features() -> None:
    head = PairHead(2, 3).eval()
    head.mean.copy_(torch.tensor([1.0, 2.0]))
    head.scale.copy_(torch.tensor([2.0, 4.0]))
    other = PairHead(2, 3).eval()
    other.load_state_dict({**head.state_dict(), "mean": torch.zeros(2), "scale": torch.ones(2)})
    torch.testing.assert_close(head(torch.tensor([[3.0, 10.0]])), other(torch.tensor([[1.0, 2.0]])))
    torch.testing.assert_close(head(torch.tensor([[1e6, -1e6]])), other(torch.tensor([[8.0, -8.0]])))


def test_options_become_configurations() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_options(parser)
    given = "--steps 7 --no-bf16 --pairs 5 --ema 0.5 --rename-all 0.25".split()
    (stage,) = default_recipe(changes_of(parser.parse_args(given))).stages
    assert stage.train == TrainConfig(steps=7, bf16=False, ema=0.5)
    assert stage.batches == BatchConfig(pairs=5, policy=ViewPolicy(rename_all=0.25))
    assert changes_of(parser.parse_args([])) == {}


# --- from a folder, and from a folder that was carried away ---


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("training") / "data")


@pytest.fixture(scope="module")
def packed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("carried") / "pack"
    report = carry.pack_trainer(data, out)
    assert report["bytes"] == sum(size for size, _ in report["files"].values())
    for name, (size, digest) in report["files"].items():
        assert (out / name).stat().st_size == size
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    return out


def test_a_folder_is_all_it_takes(data: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(STEPS, steps=2)
    best = train_encoder(data, tmp_path / "out", config, BATCHES, validation_limit=20)
    assert best == tmp_path / "out" / "best.pt"
    assert load_encoder(best).config == CONFIG
    record = json.loads((tmp_path / "out/run.json").read_text("utf-8"))
    assert record["train"] == dataclasses.asdict(config)
    assert EncoderConfig.of(record["encoder"]) == CONFIG
    assert record["units"] == len(Shard.load(data / "train.npz"))


def test_what_is_carried(data: Path, packed: Path) -> None:
    assert {path.name for path in packed.iterdir()} == {"README.md", "configs", "data", "trainer"}
    assert not list(packed.rglob("__pycache__"))
    for name in ("valid.npz", "stand_ins.npz", "ids.json", "tokenizer.json", "lexicon.tsv"):
        assert (packed / "data" / name).read_bytes() == (data / name).read_bytes()
    vocabulary, expected = load_vocabulary(packed / "data"), view_vocabulary()
    assert np.array_equal(vocabulary.stand_in_tokens, expected.stand_in_tokens)
    assert (vocabulary.cls, vocabulary.name, vocabulary.size) == (expected.cls, expected.name, expected.size)


def test_the_lexicon_is_drawn_again_at_its_scale(data: Path, packed: Path) -> None:
    start, arrived = load_encoder(data / "start.pt"), load_encoder(packed / "data" / "start.pt")
    assert (packed / "data" / "start.pt").stat().st_size < (data / "start.pt").stat().st_size
    torch.testing.assert_close(
        arrived.lexicon.weight.norm(dim=1), start.lexicon.weight.norm(dim=1), rtol=2e-3, atol=1e-4
    )
    assert not torch.equal(arrived.lexicon.weight, start.lexicon.weight)
    again = load_encoder(packed / "data" / "start.pt")
    assert torch.equal(arrived.lexicon.weight, again.lexicon.weight)
    for name, value in start.state_dict().items():
        if not name.startswith("lexicon."):
            assert torch.equal(value, arrived.state_dict()[name])
    assert len(arrived.lexicon.weight) == WORDS


def test_what_cannot_be_carried_is_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"lacks train\.npz, valid\.npz.* run `polyclone-distill prepare"):
        carry.pack_trainer(tmp_path, tmp_path / "out")
    monkeypatch.setattr(carry, "MAX_BYTES", 1000)
    with pytest.raises(UsageError, match="more than 1,000; prepare fewer libraries"):
        carry.pack_trainer(data, tmp_path / "out")


#: `python -m trainer`, without the environment's variables and with only torch and numpy to be imported.
ALONE = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
for name in ("polyclone", "polyclone_distill", "polyclone_export", "transformers", "pyarrow", "sklearn",
             "tokenizers", "safetensors", "onnxruntime"):
    sys.modules[name] = None
sys.argv[0] = "trainer"
runpy.run_module("trainer", run_name="__main__", alter_sys=True)
"""


def alone(packed: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    settings = ["--no-bf16", "--pairs", "4", "--budget", "40", "--checkpoint-every", "2", "--evaluate-every", "3"]
    return subprocess.Popen(
        [sys.executable, "-I", "-c", ALONE, str(packed), str(packed / "data"), str(out), *settings, *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_carried_trainer_runs_alone_and_survives_a_kill(packed: Path, tmp_path: Path) -> None:
    """What it ends with is what an undisturbed run in this process ends with, to the bit."""
    config = TrainConfig(steps=6, bf16=False, checkpoint_every=2, evaluate_every=3)
    train_encoder(packed / "data", tmp_path / "whole", config, BatchConfig(pairs=4, budget=40))
    with alone(packed, tmp_path / "parts", "--steps", "6") as process:
        assert process.stderr is not None
        assert "started at step 0 of 6" in process.stderr.readline()
        assert any(" step 3 " in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGKILL)
    assert process.returncode in (-signal.SIGKILL, 0)
    with alone(packed, tmp_path / "parts", "--steps", "6") as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "resumed at step" in err
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, other = (torch.load(tmp_path / f / "best.pt", weights_only=True)["state"] for f in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
