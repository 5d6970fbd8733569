"""Distillation methods: against plain loops, by hand, with everything masked; no gradient reaches a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from polyclone_distill.trainer import methods, tables
from polyclone_distill.trainer.batches import Sampler
from polyclone_distill.trainer.cross_encoder import CrossConfig, CrossEncoder
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.losses import Ratio, block_info_nce, info_nce
from polyclone_distill.trainer.model import Encoder
from polyclone_distill.trainer.objective import ContrastiveObjective
from polyclone_distill.trainer.settings import METHODS, BatchConfig, DistillConfig, TrainConfig, parse_methods
from polyclone_distill.trainer.shards import Shard
from polyclone_distill.trainer.tables import Table, teacher_table
from polyclone_distill.trainer.teaching import layer_pairs
from polyclone_distill.trainer.views import PLAIN
from support.training import TOKENS, synthetic_shard, tiny_encoder, view_vocabulary
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

TAU = 2.0


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(drawn(*shape, seed=seed), dim=-1)


def softmax(row: list[float], mask: list[bool], temperature: float) -> list[float]:
    weights = [math.exp(x / temperature) if kept else 0.0 for x, kept in zip(row, mask, strict=True)]
    return [weight / sum(weights) for weight in weights]


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def norm(a: list[float]) -> float:
    return math.sqrt(dot(a, a))


def minus(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def huber(gap: float) -> float:
    return gap * gap / 2 if abs(gap) < 1 else abs(gap) - 0.5


def correlation(a: list[float], b: list[float]) -> float:
    left = [x - sum(a) / len(a) for x in a]
    right = [x - sum(b) / len(b) for x in b]
    return dot(left, right) / (norm(left) * norm(right))


def angle(points: list[list[float]], i: int, j: int, k: int) -> float:
    a, b = minus(points[i], points[j]), minus(points[k], points[j])
    return dot(a, b) / (norm(a) * norm(b))


# --- plain references: the mean of the terms ---

S, T = drawn(5, 5, seed=1), drawn(5, 5, seed=2)
MASK = torch.tensor(
    [[True] * 5, [True, False, True, True, False], [True] * 5, [False] * 5, [True, True, True, False, True]]
)
U, V = unit(5, 3, seed=3), unit(5, 4, seed=4)
ROWS = torch.tensor([True, True, False, True, True])
KEPT = [0, 1, 3, 4]
LABELS = torch.tensor([0, 0, 1, 2, 2])
TOKENS_S, TOKENS_T = drawn(2, 6, 3, seed=5), drawn(2, 6, 4, seed=6)
PRESENT = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
WIDE_S, WIDE_T = drawn(3, 5, 4, seed=7), drawn(3, 5, 4, seed=8)


def plain_kd() -> float:
    rows = []
    for s, t, m in zip(S.tolist(), T.tolist(), MASK.tolist(), strict=True):
        if any(m):
            p, q = softmax(t, m, TAU), softmax(s, m, TAU)
            rows.append(TAU**2 * math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a))
    return sum(rows) / len(rows)


def plain_max_softmax() -> float:
    rows = []
    for s, t, m in zip(S.tolist(), T.tolist(), MASK.tolist(), strict=True):
        if any(m):
            p, q = softmax(t, m, 1.0), softmax(s, m, 1.0)
            rows.append(-max(p) * math.log(q[p.index(max(p))]))
    return sum(rows) / len(rows)


def plain_dist() -> float:
    """On a full mask: a column with one entry has no correlation."""
    p = [softmax(row, [True] * 5, TAU) for row in T.tolist()]
    q = [softmax(row, [True] * 5, TAU) for row in S.tolist()]
    rows = [1 - correlation(a, b) for a, b in zip(q, p, strict=True)]
    columns = [1 - correlation([r[c] for r in q], [r[c] for r in p]) for c in range(5)]
    return 1.5 * sum(rows) / 5 + 0.5 * sum(columns) / 5


def plain_rkd_distance() -> float:
    def relative(points: list[list[float]]) -> dict[tuple[int, int], float]:
        found = {(i, j): norm(minus(points[i], points[j])) for i, j in permutations(KEPT, 2)}
        mean = sum(found.values()) / len(found)
        return {pair: value / mean for pair, value in found.items()}

    s, t = relative(U.tolist()), relative(V.tolist())
    return sum(huber(s[pair] - t[pair]) for pair in s) / len(s)


def plain_rkd_angle() -> float:
    s, t = U.tolist(), V.tolist()
    terms = [huber(angle(s, i, j, k) - angle(t, i, j, k)) for i, j, k in permutations(KEPT, 3)]
    return sum(terms) / len(terms)


def plain_hint() -> float:
    terms = []
    for s, t, present in zip(WIDE_S.tolist(), WIDE_T.tolist(), [[1, 1, 1, 0, 0], [1] * 5, [0] * 5], strict=True):
        terms += [0.5 * dot(d, d) / 4 for a, b, m in zip(s, t, present, strict=True) if m for d in [minus(a, b)]]
    return sum(terms) / len(terms)


def plain_patient() -> float:
    terms = []
    for s, t in zip(WIDE_S.tolist(), WIDE_T.tolist(), strict=True):
        for row in KEPT:
            gap = minus([x / norm(s[row]) for x in s[row]], [x / norm(t[row]) for x in t[row]])
            terms.append(dot(gap, gap))
    return sum(terms) / len(terms)


def plain_contextual(window: int = 2) -> float:
    pairs, triples = [], []
    for s, t, present in zip(TOKENS_S.tolist(), TOKENS_T.tolist(), PRESENT.tolist(), strict=True):
        kept = [i for i, there in enumerate(present) if there]
        for i, j in permutations(kept, 2):
            if abs(i - j) <= window:
                cosines = [dot(x[i], x[j]) / (norm(x[i]) * norm(x[j])) for x in (s, t)]
                pairs.append((cosines[0] - cosines[1]) ** 2)
        for i, j, k in permutations(kept, 3):
            if abs(i - j) <= window and abs(k - j) <= window:
                triples.append((angle(s, i, j, k) - angle(t, i, j, k)) ** 2)
    return sum(pairs) / len(pairs) + sum(triples) / len(triples)


def plain_contrastive() -> float:
    rows = []
    teacher = unit(5, 3, seed=9).tolist()
    for i in KEPT:
        scores = {j: dot(U.tolist()[i], teacher[j]) / 0.5 for j in KEPT if j == i or LABELS[j] != LABELS[i]}
        rows.append(-scores[i] + math.log(sum(math.exp(x) for x in scores.values())))
    return sum(rows) / len(rows)


def plain_similarity() -> float:
    s, t = U.tolist(), V.tolist()
    terms = [(dot(s[i], s[j]) - dot(t[i], t[j])) ** 2 for i, j in permutations(KEPT, 2)]
    return sum(terms) / len(terms)


def plain_margin() -> float:
    s, t = S.tolist(), T.tolist()
    terms = [((s[0][i] - s[1][i]) - (t[0][i] - t[1][i])) ** 2 for i in KEPT]
    return sum(terms) / len(terms)


HINTED = torch.tensor([[1, 1, 1, 0, 0], [1] * 5, [0] * 5])
Loss = Callable[[Tensor, Tensor, Tensor], Ratio]

#: Name → (student, teacher, mask, loss of the three, plain mean).
CASES: dict[str, tuple[Tensor, Tensor, Tensor, Loss, Callable[[], float]]] = {
    "kd": (S, T, MASK, lambda s, t, m: methods.kd(s, t, TAU, m), plain_kd),
    "max_softmax": (S, T, MASK, methods.max_softmax, plain_max_softmax),
    "dist": (S, T, torch.ones_like(MASK), lambda s, t, m: methods.dist(s, t, TAU, 1.5, 0.5, m), plain_dist),
    "rkd_distance": (U, V, ROWS, methods.rkd_distance, plain_rkd_distance),
    "rkd_angle": (U, V, ROWS, methods.rkd_angle, plain_rkd_angle),
    "hint": (WIDE_S, WIDE_T, HINTED, methods.hint, plain_hint),
    "patient": (WIDE_S, WIDE_T, ROWS, methods.patient, plain_patient),
    "contextual": (TOKENS_S, TOKENS_T, PRESENT, lambda s, t, m: methods.contextual(s, t, m, 2), plain_contextual),
    "contrastive": (
        U,
        unit(5, 3, seed=9),
        ROWS,
        lambda s, t, m: methods.contrastive(s, t, 0.5, LABELS, m),
        plain_contrastive,
    ),
    "similarity": (U, V, ROWS, methods.similarity, plain_similarity),
    "margin_mse": (S, T, ROWS, lambda s, t, m: methods.margin_mse((s[0], s[1]), (t[0], t[1]), m), plain_margin),
}


@pytest.mark.parametrize("name", CASES)
def test_a_method_is_what_its_paper_says(name: str) -> None:
    student, teacher, mask, loss, plain = CASES[name]
    found = loss(student, teacher, mask)
    assert found.mean().item() == pytest.approx(plain(), rel=1e-5)
    assert found.total.item() == pytest.approx(plain() * found.terms.item(), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_student_learns_and_the_teacher_does_not(name: str) -> None:
    student, teacher, mask, loss, _ = CASES[name]
    s, t = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    loss(s, t, mask).mean().backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()
    assert s.grad.abs().max() > 1e-6
    assert t.grad is None


@pytest.mark.parametrize("name", CASES)
def test_where_all_is_masked_there_is_no_loss(name: str) -> None:
    student, teacher, mask, loss, _ = CASES[name]
    s = student.clone().requires_grad_()
    found = loss(s, teacher, torch.zeros_like(mask))
    assert (found.mean().item(), found.terms.item()) == (0.0, 0.0)
    found.mean().backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert not s.grad.any()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"max_softmax", "contrastive"}))
def test_a_student_like_its_teacher_has_nothing_to_learn(name: str) -> None:
    _, teacher, mask, loss, _ = CASES[name]
    assert loss(teacher, teacher, mask).mean().item() == pytest.approx(0.0, abs=1e-9)


def test_values_by_hand() -> None:
    both = torch.ones(1, 2, dtype=torch.bool)
    s, t = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    # p = (3/4, 1/4), q = (1/2, 1/2).
    assert methods.kd(s, t, 1.0, both).mean().item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert methods.max_softmax(s, t, both).mean().item() == pytest.approx(0.75 * math.log(2))
    # Rows that fall together and rows that fall apart.
    rise, fall = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    full = torch.ones(2, 2, dtype=torch.bool)
    assert methods.dist(rise, rise, 1.0, 1.0, 1.0, full).mean().item() == pytest.approx(0.0, abs=1e-6)
    assert methods.dist(rise, fall, 1.0, 1.0, 1.0, full).mean().item() == pytest.approx(4.0)
    # A right angle against a straight one: three corners each.
    corner, line = (
        torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]),
        torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]),
    )
    every = torch.ones(3, dtype=torch.bool)
    cosine = math.sqrt(0.5)
    expected = (huber(0.0 - -1.0) + 2 * huber(cosine - 1.0)) / 3
    assert methods.rkd_angle(corner, line, every).mean().item() == pytest.approx(expected, rel=1e-5)
    # Distances 1, 1, √2 over their mean, against 1, 1, 2 over theirs.
    a, b = (2 + math.sqrt(2)) / 3, 4 / 3
    expected = (2 * huber(1 / a - 1 / b) + huber(math.sqrt(2) / a - 2 / b)) / 3
    assert methods.rkd_distance(corner, line, every).mean().item() == pytest.approx(expected, rel=1e-5)
    assert methods.hint(torch.ones(1, 1, 2), torch.zeros(1, 1, 2), torch.ones(1, 1)).mean().item() == 0.5
    opposite = methods.patient(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[-1.0, 0.0]]]), torch.ones(1))
    assert opposite.mean().item() == pytest.approx(4.0)
    crossed = methods.similarity(torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.ones(2).bool())
    assert crossed.mean().item() == pytest.approx(1.0)
    own = methods.contrastive(torch.eye(2), torch.eye(2), 1.0, torch.tensor([0, 1]), torch.ones(2).bool())
    assert own.mean().item() == pytest.approx(math.log(math.e + 1) - 1)
    margins = methods.margin_mse(
        (torch.tensor([3.0]), torch.tensor([1.0])), (torch.tensor([1.0]), torch.tensor([2.0])), torch.ones(1)
    )
    assert margins.mean().item() == pytest.approx(9.0)


def test_contextual_by_hand() -> None:
    """Two tokens: one pair each way, cosine 0 against 1, and no triple."""
    crossed, same = torch.eye(2)[None], torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])
    found = methods.contextual(crossed, same, torch.ones(1, 2), 10)
    assert found.mean().item() == pytest.approx(1.0)
    assert found.terms.item() == 2.0


def test_fine_tuning_is_the_contrastive_loss() -> None:
    vectors, labels = unit(6, 4), torch.tensor([0, 0, 1, 1, 2, 3])
    assert torch.equal(methods.fine_tuning(vectors, labels, 0.1).total, info_nce(vectors, labels, 0.1).total)


# --- softmax per language pair ---


def test_one_softmax_for_each_language() -> None:
    vectors = unit(7, 4, seed=1)
    labels, languages = torch.tensor([0, 0, 0, 1, 1, 2, 0]), torch.tensor([0, 1, 1, 0, 1, 2, 0])
    points, terms = vectors.tolist(), []
    for i in range(7):
        for language in range(3):
            inside = [j for j in range(7) if j != i and languages[j] == language]
            positives = [j for j in inside if labels[j] == labels[i]]
            if positives:
                total = math.log(sum(math.exp(dot(points[i], points[j]) / 0.2) for j in inside))
                terms.append(-sum(dot(points[i], points[j]) / 0.2 - total for j in positives) / len(positives))
    found = block_info_nce(vectors, labels, languages, 0.2)
    assert found.terms.item() == len(terms)
    assert found.mean().item() == pytest.approx(sum(terms) / len(terms))
    one = block_info_nce(vectors, labels, torch.zeros(7, dtype=torch.long), 0.2)
    assert one.mean().item() == pytest.approx(info_nce(vectors, labels, 0.2).mean().item())


def test_blocks_without_a_positive_have_no_loss() -> None:
    vectors = unit(3, 4).requires_grad_()
    found = block_info_nce(vectors, torch.arange(3), torch.tensor([0, 1, 2]), 0.1)
    assert (found.mean().item(), found.terms.item()) == (0.0, 0.0)
    found.mean().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert not vectors.grad.any()


# --- sums of methods, on a batch ---


def objective(methods_given: str, **student: object) -> ContrastiveObjective:
    teacher = tiny_encoder(1, layers=3, width=48, heads=4)
    judge = CrossEncoder(CrossConfig(vocabulary=TOKENS, layers=1, width=16, heads=2, feed_forward=16, embedding=8))
    distill = DistillConfig(methods=parse_methods([methods_given]))
    config = TrainConfig(bf16=False)
    return ContrastiveObjective(tiny_encoder(0, dropout=0.0, **student), config, distill, [teacher], judge)


BATCH = Sampler(synthetic_shard(), view_vocabulary(), BatchConfig(pairs=6, budget=40), 1).batch(0)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_a_student_on_a_batch(name: str) -> None:
    made = objective(name)
    loss, parts = made(BATCH)
    assert all(part.terms > 0 for part in parts.values())
    if name != "ft":
        assert loss.item() == pytest.approx(parts[name].mean().item(), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in made.model.parameters())
    outside = [p for module in (*made._teachers, *made._judges) for p in module.parameters()]
    assert all(p.grad is None and not p.requires_grad for p in outside)
    trained = {id(p) for p in made.parameters()}
    assert not any(id(p) in trained for p in outside)


def test_a_sum_is_weighted() -> None:
    alone = {name: objective(name)(BATCH)[0].item() for name in ("ft", "kd", "similarity")}
    both = objective("ft:0.5,kd:2,similarity")(BATCH)[0].item()
    assert both == pytest.approx(0.5 * alone["ft"] + 2 * alone["kd"] + alone["similarity"], rel=1e-5)


def test_two_teachers_are_one_mean() -> None:
    student, config = tiny_encoder(0, dropout=0.0), TrainConfig(bf16=False)
    teachers = [tiny_encoder(seed) for seed in (1, 2)]
    distill = DistillConfig(methods=(("kd", 1.0),))
    alone = [ContrastiveObjective(student, config, distill, [t])(BATCH)[0].item() for t in teachers]
    both = ContrastiveObjective(student, config, distill, teachers)(BATCH)[0].item()
    assert both == pytest.approx(sum(alone) / 2, rel=1e-5)


@pytest.mark.parametrize("architecture", ["modernbert", "bigru", "conv", "static"])
def test_students_of_another_kind_learn_too(architecture: str) -> None:
    given = "ft,kd,dist,rkd_distance,contrastive" + ("" if architecture == "static" else ",pkd,ckd,fitnets")
    made = objective(given, architecture=architecture)
    loss, _ = made(BATCH)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.model.parameters())


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (2, 6, [(1, 3), (2, 6)]),
        (3, 3, [(1, 1), (2, 2), (3, 3)]),
        (1, 4, [(1, 4)]),
        (4, 2, [(1, 1), (2, 1), (3, 2), (4, 2)]),
    ],
)
def test_layers_pair_up(student: int, teacher: int, expected: list[tuple[int, int]]) -> None:
    assert layer_pairs(student, teacher) == expected


def test_methods_are_read_from_words() -> None:
    assert parse_methods(["ft,kd:0.5", "dist"]) == (("ft", 1.0), ("kd", 0.5), ("dist", 1.0))
    for words, message in (
        ("magic", "unknown method 'magic'; choose from ft, kd"),
        ("kd:much", "weight of method kd is 'much'; write a number"),
        ("kd:0", "must be positive"),
    ):
        with pytest.raises(TrainerError, match=message):
            parse_methods([words])


def test_what_a_method_lacks_is_told() -> None:
    student, config = tiny_encoder(), TrainConfig()
    for names, message in (("kd", "method kd needs --teacher"), ("margin_mse", "needs --pair-teacher")):
        with pytest.raises(TrainerError, match=message):
            ContrastiveObjective(student, config, DistillConfig(methods=parse_methods([names])))
    with pytest.raises(TrainerError, match=r"the teacher knows 50 tokens and the student 200: run `prepare"):
        ContrastiveObjective(student, config, DistillConfig(), [tiny_encoder(vocabulary=50)])
    with pytest.raises(TrainerError, match="static student has no layers"):
        objective("pkd", architecture="static")


# --- a teacher that has read every unit once ---


def test_a_table_holds_what_the_teacher_makes_of_plain_units(tmp_path: Path) -> None:
    shard, teacher = synthetic_shard(), tiny_encoder(1).eval()
    table = teacher_table(teacher, shard, view_vocabulary(), 60, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert len(table.dense) == len(table.lexical) == len(shard)
    again = teacher_table(teacher, shard, view_vocabulary(), 60, tmp_path)
    assert torch.equal(table.dense, again.dense) and torch.equal(table.lexical, again.lexical)
    assert [*tmp_path.iterdir()] == [kept]
    teacher_table(tiny_encoder(2), shard, view_vocabulary(), 60, tmp_path)
    teacher_table(teacher, shard, view_vocabulary(), 50, tmp_path)
    assert len([*tmp_path.iterdir()]) == 3
    plain = BatchConfig(pairs=6, budget=60, policy=PLAIN)
    batch = Sampler(shard, view_vocabulary(), plain, 1).batch(0)
    looked = table.look_up(teacher, batch)
    # Some views of single functions are not plain.
    rows = batch.labels >= 0
    read = teacher(batch.input_ids, batch.attention_mask, batch.word_ids, batch.word_weights)
    torch.testing.assert_close(looked.combined[rows], read[rows], atol=2e-2, rtol=0)  # In bfloat16.
    assert looked.known.all()


def test_a_table_grows_by_what_is_asked_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, teacher = synthetic_shard(), tiny_encoder(1).eval()
    whole = teacher_table(teacher, shard, view_vocabulary(), 60, tmp_path / "whole")
    monkeypatch.setattr(tables, "CHUNK", 3)
    asked: list[list[int]] = []
    real = tables.encode_units

    def counted(model: Encoder, shard: Shard, units: np.ndarray, *rest: Any) -> Any:
        asked.append(units.tolist())
        if len(asked) == 2:
            raise KeyboardInterrupt  # As if killed while it reads the second chunk.
        return real(model, shard, units, *rest)

    monkeypatch.setattr(tables, "encode_units", counted)
    units = np.array([9, 1, 5, 5, 3, 7])
    with pytest.raises(KeyboardInterrupt):
        teacher_table(teacher, shard, view_vocabulary(), 60, tmp_path, units)
    part = teacher_table(teacher, shard, view_vocabulary(), 60, tmp_path, units)
    assert asked == [[1, 3, 5], [7, 9], [7, 9]]
    assert np.flatnonzero(part.place.numpy() >= 0).tolist() == [1, 3, 5, 7, 9]
    grown = teacher_table(teacher, shard, view_vocabulary(), 60, tmp_path, np.array([0, 9]))
    assert asked[3:] == [[0]]
    for table in (part, grown):
        for unit in np.flatnonzero(table.place.numpy() >= 0).tolist():
            row = table.dense[table.place[unit]].float()
            torch.testing.assert_close(row, whole.dense[unit].float(), atol=2e-2, rtol=0)  # Other batches, bfloat16.
    batch = Sampler(shard, view_vocabulary(), BatchConfig(pairs=6, budget=60), 1).batch(0)
    assert grown.look_up(teacher, batch).known.tolist() == [u in (0, 1, 3, 5, 7, 9) for u in batch.units.tolist()]


def test_mutants_are_unknown_to_such_a_teacher() -> None:
    shard, teacher = synthetic_shard(), tiny_encoder(1)
    table = Table(torch.randn(len(shard), 32), torch.randn(len(shard), 16), torch.arange(len(shard)))
    config = BatchConfig(pairs=5, budget=60, classes=1.0, mutants=1.0)
    batch = Sampler(shard, view_vocabulary(), config, 1).batch(0)
    assert batch.units.tolist()[10:] == [-1] * 5
    assert table.look_up(teacher, batch).known.tolist() == [True] * 10 + [False] * 5
    for name, expected in (("kd", 10), ("contrastive", 10), ("similarity", 90), ("rkd_distance", 90)):
        distill = DistillConfig(methods=((name, 1.0),), teacher_view="plain")
        made = ContrastiveObjective(tiny_encoder(), TrainConfig(bf16=False), distill, [teacher], None, [table])
        _, parts = made(batch)
        assert parts[name].terms.item() == expected
    distill = DistillConfig(methods=(("pkd", 1.0),), teacher_view="plain")
    with pytest.raises(TrainerError, match="has no states of views; set teacher_view = same"):
        ContrastiveObjective(tiny_encoder(), TrainConfig(), distill, [teacher], None, [table])
