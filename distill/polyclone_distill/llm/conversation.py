"""What the generate head reads and writes: the prompt with a token budget per side, the target, the verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polyclone import languages
from polyclone.errors import UsageError
from polyclone.tokenizer import fit

from ..pairs.values import Pair
from ..traces.answer import Answer, parse_answer, split_reasoning, verdict_of
from ..traces.prompts import LATEST, prompt_of
from ..traces.report import Trace

#: Stand where the code goes while the prompt is framed; no program holds them.
_LEFT, _RIGHT = "\u241eleft\u241e", "\u241eright\u241e"
_ASK = (
    "Do these two programs solve the same problem? Answer Yes or No.\n"
    "{left_language}:\n{left_code}\n{right_language}:\n{right_code}\n"
)
_WORDS = ("Yes", "No")
_CONCLUSION = re.compile(r'"conclusion"\s*:\s*"([^"\\]{1,80})')
FORCED = "\nFinal Answer (Yes or No):"
"""What is appended where a free answer has no verdict (Khajezade et al. 2026)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """Token ids of a prompt and how many tokens of each side were cut."""

    ids: tuple[int, ...]
    cut: tuple[int, int]


class Prompter:
    """Pairs → prompts in the student's own chat format, or plain if it has none."""

    def __init__(self, tokenizer: Any, tokens_per_side: int, target: str) -> None:
        self._tokenizer, self._room = tokenizer, tokens_per_side
        self._simple = target in ("simple", "conclusion")
        self._frames: dict[str, list[list[int]]] = {}

    def prompt(self, pair: Pair) -> Prompted:
        """Each side is cut in its middle to the budget, never the prompt at its end."""
        sides = [self._ids(side.code.strip("\n")) for side in (pair.left, pair.right)]
        kept = [fit(ids, self._room) for ids in sides]
        before, between, after = self._frame(pair)
        cut = (len(sides[0]) - len(kept[0]), len(sides[1]) - len(kept[1]))
        return Prompted(ids=(*before, *kept[0], *between, *kept[1], *after), cut=cut)

    def _frame(self, pair: Pair) -> list[list[int]]:
        if pair.languages not in self._frames:
            text = self._text(pair)
            head, _, rest = text.partition(_LEFT)
            middle, _, tail = rest.partition(_RIGHT)
            self._frames[pair.languages] = [self._ids(part) for part in (head, middle, tail)]
        return self._frames[pair.languages]

    def _text(self, pair: Pair) -> str:
        names = [languages.resolve(side.language).display_name for side in (pair.left, pair.right)]
        if self._simple:
            places = {"left_language": names[0], "right_language": names[1], "left_code": _LEFT, "right_code": _RIGHT}
            messages = [{"role": "user", "content": _ASK.format(**places)}]
        else:
            prompt = prompt_of(LATEST)
            content = prompt.user.replace("{left_language}", names[0]).replace("{right_language}", names[1])
            content = content.replace("{left_code}", _LEFT).replace("{right_code}", _RIGHT)
            messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": content}]
        if getattr(self._tokenizer, "chat_template", None):
            made = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return str(made)
        return "\n".join(message["content"] for message in messages) + "\n"

    def _ids(self, text: str) -> list[int]:
        whole = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"])


def target_text(target: str, trace: Trace | None, pair: Pair) -> str | None:
    """What the student shall write, or None if there is no usable trace for it.

    `full`: the five parts; `reasoning`: the teacher's thoughts, then the conclusion; `conclusion`: that alone;
    `simple`: Yes or No by the label, which needs no trace.
    """
    if target == "simple":
        return "Yes" if pair.label else "No"
    if trace is None or trace.answer is None:
        return None
    conclusion = trace.answer.parts["conclusion"]
    if target == "conclusion":
        return conclusion
    if target == "reasoning":
        return f"<think>\n{trace.reasoning}\n</think>\n{conclusion}" if trace.reasoning else None
    return trace.answer.to_json()


def student_verdict(text: str, target: str) -> bool | None:
    """The verdict of a free answer, read from its conclusion alone; None is silence.

    Of an answer in five parts that breaks off, a conclusion that was begun counts.
    """
    _, answer = split_reasoning(text)
    if target != "full":
        return verdict_of(answer)
    parsed = parse_answer(answer)
    if isinstance(parsed, Answer):
        return parsed.verdict
    begun = _CONCLUSION.findall(answer)
    return verdict_of(begun[-1]) if begun else None


def verdict_tokens(tokenizer: Any) -> tuple[Sequence[int], Sequence[int]]:
    """First token ids of every spelling of Yes and of No after `FORCED`, without those that both share.

    `UsageError` if nothing is left to tell them apart.
    """
    yes, no = ({_first_own(tokenizer, word) for word in (w, w.lower(), f" {w}", f" {w.lower()}")} for w in _WORDS)
    if not yes - no or not no - yes:
        raise UsageError("the student's tokenizer has no tokens of their own for Yes and No; use another student.")
    return sorted(yes - no), sorted(no - yes)


def _first_own(tokenizer: Any, word: str) -> int:
    """The first token of `word` that is more than white space."""
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    return next((int(i) for i in ids if tokenizer.decode([i]).strip()), int(ids[0]))
