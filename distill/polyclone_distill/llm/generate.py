"""Free answers, greedily, and the forced conclusion where one has no verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..pairs.values import Pair
from .conversation import FORCED, Prompter, student_verdict, verdict_tokens
from .options import TrainOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One pair's free answer, and what a forced conclusion makes of it."""

    text: str
    verdict: bool | None
    prompt_tokens: int
    new_tokens: int
    elapsed_s: float
    """Share of its batch."""
    forced: bool | None = None
    """The verdict after `FORCED`, of an answer without one."""
    forced_margin: float | None = None
    """log p(Yes) − log p(No)."""
    forced_tokens: int = 0
    forced_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """How answers are drawn. The paper allows 3,000 new tokens, 1,500 before a forced conclusion."""

    new_tokens: int = 1500
    batch: int = 8
    force: bool = True


@torch.no_grad()
def answer_pairs(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], train: TrainOptions, options: GenerateOptions
) -> list[Answered]:
    """One answer a pair, in order. Pairs of like length share a batch, padded on the left."""
    model.eval()
    prompter = Prompter(tokenizer, train.tokens_per_side, train.target)
    prompts = [list(prompter.prompt(pair).ids) for pair in pairs]
    found: dict[int, Answered] = {}
    order = sorted(range(len(pairs)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), options.batch):
        rows = order[start : start + options.batch]
        group = [prompts[row] for row in rows]
        answers = _generate(model, tokenizer, group, options.new_tokens, train.target)
        if options.force:
            answers = _force(model, tokenizer, group, answers)
        found.update(zip(rows, answers, strict=True))
    return [found[row] for row in range(len(pairs))]


def _generate(model: Any, tokenizer: Any, prompts: list[list[int]], new_tokens: int, target: str) -> list[Answered]:
    ids, mask = _left_padded(prompts, int(tokenizer.pad_token_id), model.device)
    started = time.monotonic()
    made = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=new_tokens,
        do_sample=False,
        use_cache=True,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    each = (time.monotonic() - started) / len(prompts)
    answers = []
    for prompt, row in zip(prompts, made[:, ids.shape[1] :].tolist(), strict=True):
        new = row[: row.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in row else row
        text = tokenizer.decode(new, skip_special_tokens=True)
        answers.append(
            Answered(
                text=text,
                verdict=student_verdict(text, target),
                prompt_tokens=len(prompt),
                new_tokens=len(new),
                elapsed_s=each,
            )
        )
    return answers


def _force(model: Any, tokenizer: Any, prompts: list[list[int]], answers: list[Answered]) -> list[Answered]:
    silent = [i for i, answer in enumerate(answers) if answer.verdict is None]
    if not silent:
        return answers
    tail = list(tokenizer(FORCED, add_special_tokens=False)["input_ids"])
    rows = [[*prompts[i], *tokenizer(answers[i].text, add_special_tokens=False)["input_ids"], *tail] for i in silent]
    started = time.monotonic()
    margins = conclude(model, tokenizer, rows)
    each = (time.monotonic() - started) / len(silent)
    for i, row, margin in zip(silent, rows, margins, strict=True):
        old = answers[i]
        answers[i] = Answered(
            text=old.text,
            verdict=None,
            prompt_tokens=old.prompt_tokens,
            new_tokens=old.new_tokens,
            elapsed_s=old.elapsed_s,
            forced=margin > 0.0,
            forced_margin=margin,
            forced_tokens=len(row),
            forced_s=each,
        )
    return answers


@torch.no_grad()
def conclude(model: Any, tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[float]:
    """log p(Yes) − log p(No) of the next token after each row, over every spelling of either word."""
    yes, no = verdict_tokens(tokenizer)
    ids, mask = _left_padded([list(row) for row in rows], int(tokenizer.pad_token_id), model.device)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=_positions(mask), use_cache=False).logits[:, -1]
    margins = logits[:, list(yes)].float().logsumexp(1) - logits[:, list(no)].float().logsumexp(1)
    return [float(margin) for margin in margins]


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """Positions that do not count padding on the left."""
    return (mask.cumsum(1) - 1).clamp(min=0)


def _left_padded(rows: list[list[int]], pad_id: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (length - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask
