"""What students read and write: budgets per side, targets, verdicts, the two words of a forced conclusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from polyclone.errors import UsageError
from polyclone_distill.llm.conversation import Prompter, student_verdict, target_text, verdict_tokens
from polyclone_distill.llm.loading import load_tokenizer
from polyclone_distill.llm.sides import encode_pairs, normalised
from polyclone_distill.llm.tasks import generate_task
from polyclone_distill.pairs.values import Pair, Side
from support.llm_students import made_pairs, made_traces, options_for, small_student
from support.llm_teacher import five_parts


@pytest.fixture(scope="module", params=["qwen2", "phi3"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("student") / request.param
    return load_tokenizer(str(small_student(folder, request.param, steps=0)))


def long_pair(left: int, right: int) -> Pair:
    """Programs of so many lines, each of which names itself and its line."""
    sides = [
        Side(id=name, problem=name, language=language, code="".join(f"{name}{i} = {i}\n" for i in range(lines)))
        for name, language, lines in (("left", "python", left), ("right", "ruby", right))
    ]
    return Pair(id="long", left=sides[0], right=sides[1], label=True, kind="clone")


def test_the_second_program_is_seen_however_long_the_first_is(tokenizer: Any) -> None:
    prompter = Prompter(tokenizer, 40, "full")
    alone = prompter.prompt(long_pair(3, 3))
    long = prompter.prompt(long_pair(500, 3))
    text = tokenizer.decode(long.ids)
    assert all(f"right{i}" in text for i in range(3))
    # Both ends of the first one are there, its middle is not.
    assert "left0" in text and "left499" in text and "left250" not in text
    assert long.cut[0] > 0 and long.cut[1] == 0 and alone.cut == (0, 0)
    both = prompter.prompt(long_pair(500, 500))
    assert len(both.ids) - len(prompter.prompt(long_pair(0, 0)).ids) <= 80


def test_the_prompt_is_in_the_format_of_the_student(tokenizer: Any) -> None:
    text = tokenizer.decode(Prompter(tokenizer, 40, "full").prompt(long_pair(1, 1)).ids)
    assert text.endswith(("<|im_start|>assistant\n", "<|assistant|>\n"))
    assert "five keys" in text and "Program 2 (Ruby)" in text
    assert "five keys" not in tokenizer.decode(Prompter(tokenizer, 40, "simple").prompt(long_pair(1, 1)).ids)


def test_heads_see_both_sides_within_their_budgets(tokenizer: Any) -> None:
    text = tokenizer.backend_tokenizer.to_str()
    pairs = [long_pair(400, 2), long_pair(2, 400), long_pair(2, 2)]
    for joint in (True, False):
        encoded = encode_pairs(normalised(pairs), text, 40, joint=joint)
        assert encoded.cut_pairs == 2
        assert max(encoded.tokens) <= 2 * 40 + 64
    row = tokenizer.decode(encode_pairs(normalised(pairs), text, 40, joint=True).joint[0])
    assert "right1" in row and "left0" in row and "left399" in row


@pytest.mark.parametrize(
    ("text", "target", "verdict"),
    [
        (five_parts("Yes."), "full", True),
        (five_parts("No."), "full", False),
        # A verdict outside the conclusion is none.
        ("Yes, clones.", "full", None),
        (five_parts("Hard to say.", similarity="Yes"), "full", None),
        # It broke off, but the conclusion had begun.
        (five_parts("No, they differ.")[:-4], "full", False),
        ('{"functionality": "Yes', "full", None),
        ("<think>Yes!</think>\nNo.", "reasoning", False),
        ("<think>Yes! Yes!", "reasoning", None),
        ("Yes", "simple", True),
        ("no, since", "conclusion", False),
        ("Well, yes", "conclusion", None),
        ("", "simple", None),
    ],
)
def test_a_verdict_is_read_from_the_conclusion_alone(text: str, target: str, verdict: bool | None) -> None:
    assert student_verdict(text, target) is verdict


def test_targets_are_read_back_as_their_verdict() -> None:
    pairs = made_pairs(4)
    traces = made_traces(pairs)
    for pair in pairs:
        for target in ("full", "reasoning", "conclusion", "simple"):
            text = target_text(target, traces[pair.id], pair)
            assert text is not None
            assert student_verdict(text, target) is pair.label
    assert target_text("full", None, pairs[0]) is None
    assert target_text("simple", None, pairs[0]) == "Yes"


def test_yes_and_no_have_tokens_of_their_own(tokenizer: Any) -> None:
    yes, no = verdict_tokens(tokenizer)
    assert yes and no and not set(yes) & set(no)
    words = {tokenizer.decode([i]).strip().lower() for i in (*yes, *no)}
    assert all(word and ("yes".startswith(word) or "no".startswith(word)) for word in words)


def test_a_tokenizer_that_cannot_tell_them_apart_is_an_error() -> None:
    class Blind:
        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [7]}

        def decode(self, ids: list[int]) -> str:
            return "?"

    with pytest.raises(UsageError, match="Yes and No"):
        verdict_tokens(Blind())


# --- examples of the generate head ---


def test_only_the_answer_is_learnt(tokenizer: Any, tmp_path: Path) -> None:
    pairs = made_pairs(6)
    traces = made_traces(pairs)
    task = generate_task(pairs, traces, tokenizer, options_for(tmp_path, "generate"))
    for pair, ids, length in zip(pairs, task.ids, task.answers, strict=True):
        assert ids[-1] == tokenizer.eos_token_id
        answer = tokenizer.decode(ids[-length:-1])
        assert answer == target_text("full", traces[pair.id], pair)
        assert answer not in tokenizer.decode(ids[:-length])


def test_what_is_left_out_is_counted(tokenizer: Any, tmp_path: Path) -> None:
    pairs = made_pairs(6)
    traces = made_traces(pairs, wrong=(0, 3))
    del traces[pairs[5].id]
    counts = {
        correctness: generate_task(
            pairs, traces, tokenizer, options_for(tmp_path, "generate", correctness=correctness)
        ).counts
        for correctness in ("any", "correct", "incorrect")
    }
    assert {name: count["examples"] for name, count in counts.items()} == {"any": 5, "correct": 3, "incorrect": 2}
    assert counts["any"]["without a usable trace"] == 1
    assert counts["correct"]["of the other correctness"] == 2
    short = generate_task(pairs, traces, tokenizer, options_for(tmp_path, "generate", answer_tokens=20))
    assert short.counts["with an answer over the budget"] == 5 and short.size == 0
