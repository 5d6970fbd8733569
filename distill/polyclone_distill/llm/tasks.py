"""What a head trains on, step by step: a `Task` holds the examples and turns some of them into a loss.

The sum over the micro-batches of a step, divided by the step's weight, is the step's loss; so dividing a batch
changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..pairs.values import REJECTED, Pair, Side
from ..traces.report import Trace
from .conversation import Prompter, target_text
from .heads import JointJudge, masked_mean
from .losses import IGNORED, answer_loss, info_nce, pair_cosine_loss, supervised_contrastive
from .options import TrainOptions
from .sides import Encoded, Rows, encode_pairs, normalised, pad

#: Of the cosine of a pair, in the loss beside InfoNCE.
PAIR_TEMPERATURE = 0.1
#: Weight of the contrastive loss over pair vectors beside the binary one (Khajezade et al. 2026).
PAIR_SUPCON = 0.1


class Task(Protocol):
    """Examples of one head."""

    @property
    def size(self) -> int: ...

    @property
    def difficulty(self) -> Sequence[float]:
        """Of each example; larger is harder."""
        ...

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def digest(self) -> str:
        """Of everything that is trained on."""
        ...

    def weight(self, rows: Sequence[int]) -> float:
        """What the sum over `rows` is divided by."""
        ...

    def loss(self, module: nn.Module, rows: Sequence[int], device: torch.device) -> Tensor:
        """Scalar: the summed loss of `rows`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateTask:
    """Prompts with answers; only the answers are learnt."""

    ids: list[list[int]]
    answers: list[int]
    """Tokens at the end of each row that are the answer."""
    difficulty: list[float]
    counts: Mapping[str, int]
    pad_id: int
    shortens: bool = False
    """Whether the model can leave out the logits of what stands before the answers: with a vocabulary of 150,000
    they would take more memory than the weights."""

    @property
    def size(self) -> int:
        return len(self.ids)

    @property
    def digest(self) -> str:
        return _digest(str(self.ids))

    def weight(self, rows: Sequence[int]) -> float:
        return float(sum(self.answers[row] for row in rows))

    def loss(self, module: nn.Module, rows: Sequence[int], device: torch.device) -> Tensor:
        length = max(len(self.ids[row]) for row in rows)
        ids = torch.full((len(rows), length), self.pad_id)
        labels = torch.full((len(rows), length), IGNORED)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            own = torch.tensor(self.ids[row])
            ids[i, : len(own)], mask[i, : len(own)] = own, 1
            labels[i, len(own) - self.answers[row] : len(own)] = own[-self.answers[row] :]
        # From the token before the first answer on.
        kept = 1 + length - min(len(self.ids[row]) - self.answers[row] for row in rows) if self.shortens else length
        more = {"logits_to_keep": kept} if self.shortens else {}
        logits = module(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **more).logits
        return answer_loss(logits, labels[:, -kept:].to(device))[0]


def generate_task(
    pairs: Sequence[Pair], traces: Mapping[str, Trace], tokenizer: Any, options: TrainOptions
) -> GenerateTask:
    """Pairs with a usable trace of the wanted correctness. What is left out is counted by reason."""
    prompter = Prompter(tokenizer, options.tokens_per_side, options.target)
    end = [tokenizer.eos_token_id]
    ids: list[list[int]] = []
    answers: list[int] = []
    kept: list[Pair] = []
    left_out = {"without a usable trace": 0, "of the other correctness": 0, "with an answer over the budget": 0}
    cut = 0
    for pair in pairs:
        trace = traces.get(pair.id)
        text = target_text(options.target, trace, pair)
        if text is None:
            left_out["without a usable trace"] += 1
            continue
        if options.correctness != "any" and (trace is None or trace.correct != (options.correctness == "correct")):
            left_out["of the other correctness"] += 1
            continue
        answer = [*tokenizer(text, add_special_tokens=False)["input_ids"], *end]
        if len(answer) > options.answer_tokens:
            left_out["with an answer over the budget"] += 1
            continue
        prompt = prompter.prompt(pair)
        cut += any(prompt.cut)
        ids.append([*prompt.ids, *answer])
        answers.append(len(answer))
        kept.append(pair)
    counts = {"examples": len(ids), "examples with a cut side": cut, **left_out}
    return GenerateTask(
        ids=ids, answers=answers, difficulty=difficulties_of(kept), counts=counts, pad_id=int(tokenizer.pad_token_id)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTask:
    """Encoded pairs with labels and problems, for the binary and the contrastive head."""

    encoded: Encoded
    labels: list[int]
    problems: list[tuple[int, int]]
    difficulty: list[float]
    counts: Mapping[str, int]
    options: TrainOptions

    @property
    def size(self) -> int:
        return len(self.labels)

    @property
    def digest(self) -> str:
        parts = (*self.encoded.joint, *self.encoded.left, *self.encoded.right)
        return _digest(repr([row.tolist() for row in parts]) + repr(self.labels))

    def weight(self, rows: Sequence[int]) -> float:
        return float(len(rows))

    def loss(self, module: nn.Module, rows: Sequence[int], device: torch.device) -> Tensor:
        labels = torch.tensor([self.labels[row] for row in rows], device=device)
        if self.options.head == "contrastive":
            compare = self._pairs if self.options.loss == "pair" else self._sides
            return compare(module, rows, labels, device) * len(rows)
        inputs = (self.encoded.joint,) if self.encoded.joint else (self.encoded.left, self.encoded.right)
        logits = module(*(tensor for part in inputs for tensor in batch(part, rows, device)))
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="sum")

    def _pairs(self, module: nn.Module, rows: Sequence[int], labels: Tensor, device: torch.device) -> Tensor:
        logits, vectors = module(*batch(self.encoded.joint, rows, device))
        judged = F.binary_cross_entropy_with_logits(logits.float(), labels.float())
        return judged + PAIR_SUPCON * supervised_contrastive(vectors, labels, self.options.temperature)

    def _sides(self, module: nn.Module, rows: Sequence[int], labels: Tensor, device: torch.device) -> Tensor:
        both = self.encoded.left + self.encoded.right
        n = len(self.encoded.left)
        vectors = module(*batch(both, [*rows, *(row + n for row in rows)], device))
        left, right = vectors[: len(rows)], vectors[len(rows) :]
        classes = torch.tensor([self.problems[row] for row in rows], device=device)
        pull = info_nce(left, right, classes[:, 0], classes[:, 1], self.options.temperature)
        return pull + pair_cosine_loss(left, right, labels, PAIR_TEMPERATURE)


class PairVectors(nn.Module):
    """A judge of joint prompts that also gives the pair's vector: what the paper's contrastive loss compares."""

    def __init__(self, judge: JointJudge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """input_ids, attention_mask int64 (b, t) → logits (b,), vectors (b, d) of unit length."""
        states = self.judge.body(input_ids, attention_mask)
        logits: Tensor = self.judge.head(states, attention_mask)
        return logits, F.normalize(masked_mean(states, attention_mask), dim=-1)


def head_task(pairs: Sequence[Pair], tokenizer: str, options: TrainOptions) -> HeadTask:
    """Every pair, its sides cut to their budget."""
    joint = reads_jointly(options)
    encoded = encode_pairs(normalised(pairs), tokenizer, options.tokens_per_side, joint=joint)
    number: dict[str, int] = {}

    def problem(pair: Pair, side: Side) -> int:
        # A rejected submission solves nothing, not even the problem it was handed in for.
        wrong = pair.kind == REJECTED and side is pair.right
        return number.setdefault(side.id if wrong else side.problem or side.id, len(number))

    return HeadTask(
        encoded=encoded,
        labels=[int(pair.label) for pair in pairs],
        problems=[(problem(pair, pair.left), problem(pair, pair.right)) for pair in pairs],
        difficulty=difficulties_of(pairs),
        counts={"examples": len(pairs), "examples with a cut side": encoded.cut_pairs},
        options=options,
    )


def reads_jointly(options: TrainOptions) -> bool:
    """Whether both programs stand in one prompt."""
    return options.layout == "joint" if options.head == "binary" else options.loss == "pair"


def batch(rows: Rows, wanted: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask int64 (n, t) of the wanted rows, padded on the right."""
    ids, mask = pad([rows[row] for row in wanted])
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def difficulties_of(pairs: Sequence[Pair]) -> list[float]:
    """Of each pair: its problem's rating if all pairs have one, else the length of both programs.

    Most problems have no rating, and ratings do not compare with lengths.
    """
    rated = [pair.difficulty for pair in pairs if pair.difficulty is not None]
    return rated if len(rated) == len(pairs) else [float(len(p.left.code) + len(p.right.code)) for p in pairs]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def order_of_step(task: Task, options: TrainOptions, step: int) -> list[int]:
    """Rows of step `step` (from 0). A function of seed and step alone, so a resumed run sees the same.

    Every epoch is a new permutation; with `easy-first` each example comes in order of difficulty, the first
    epoch strictly, later ones shuffled.
    """
    per_epoch = max(1, task.size // options.batch)
    epoch, position = divmod(step, per_epoch)
    if options.order == "easy-first" and epoch == 0:
        order = np.argsort(np.array(task.difficulty), kind="stable")
    else:
        order = np.random.default_rng((options.seed, epoch)).permutation(task.size)
    rows = order[position * options.batch : (position + 1) * options.batch]
    return [int(row) for row in rows]


def steps_of(task: Task, options: TrainOptions) -> int:
    """Steps of the whole run. A rest smaller than a batch waits for the next epoch's shuffle."""
    return max(1, round(options.epochs * max(1, task.size // options.batch)))
