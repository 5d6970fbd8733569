"""Students of two layers, pairs of made-up problems, traces of a teacher that knows the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from polyclone_distill.llm.options import LoraOptions, TrainOptions
from polyclone_distill.llm.small import SmallOptions, make_small
from polyclone_distill.pairs.values import CLONE, RANDOM, Pair, Side
from polyclone_distill.traces.answer import Answer, parse_answer
from polyclone_distill.traces.report import Trace

from support.llm_corpus import Problem, problems, solution
from support.llm_teacher import reasoned

SIZE = {"vocabulary": 420, "hidden": 32, "layers": 2, "heads": 2, "context": 64, "batch": 4, "steps": 2}


@cache
def made_pairs(count: int = 24, seed: int = 1, languages: tuple[str, str] = ("python", "java")) -> tuple[Pair, ...]:
    """Clones and others in turn, each pair of other problems."""
    given = problems(2 * count, seed)
    return tuple(
        _pair(given[2 * i], given[2 * i if i % 2 == 0 else 2 * i + 1], languages, clone=i % 2 == 0)
        for i in range(count)
    )


def _pair(left: Problem, right: Problem, languages: tuple[str, str], *, clone: bool) -> Pair:
    sides = []
    for problem, language in zip((left, right), languages, strict=True):
        code = solution(problem, language, 0)
        sides.append(Side(id=f"{problem.name}-{language}", problem=problem.name, language=language, code=code))
    kind = CLONE if clone else RANDOM
    return Pair(id=f"{sides[0].id}~{sides[1].id}", left=sides[0], right=sides[1], label=clone, kind=kind)


def made_traces(pairs: Sequence[Pair], *, wrong: Sequence[int] = ()) -> dict[str, Trace]:
    """A usable trace for every pair; those at `wrong` have the other verdict."""
    traces = {}
    for number, pair in enumerate(pairs):
        text = reasoned(pair.left.code, pair.right.code, pair.label != (number in wrong))
        answer = parse_answer(text)
        assert isinstance(answer, Answer)
        traces[pair.id] = Trace(
            pair=pair.id,
            label=pair.label,
            languages=pair.languages,
            reasoning="They loop.",
            text=text,
            answer=answer,
            completion_tokens=50,
        )
    return traces


def small_student(folder: Path, architecture: str = "qwen2", **changes: Any) -> Path:
    """Effect: a student folder."""
    options = SmallOptions(**{"architecture": architecture, **SIZE, **changes})
    pairs = made_pairs(12)
    make_small(pairs, [trace.text for trace in made_traces(pairs).values()], options, folder)
    return folder


def options_for(student: Path, head: str, **changes: Any) -> TrainOptions:
    """A run of a few steps."""
    given = {
        "student": str(student),
        "head": head,
        "batch": 4,
        "epochs": 1.0,
        "learning_rate": 5e-3,
        "tokens_per_side": 40,
        "answer_tokens": 400,
        "dimension": 16,
        "lora": LoraOptions(r=4, alpha=8),
        "save_every": 2,
        **changes,
    }
    return TrainOptions(**given)
