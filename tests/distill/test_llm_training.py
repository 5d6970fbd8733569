"""Runs of tiny students from the first step to the saved folder: learning, resuming, merging, answering."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from polyclone.errors import UsageError
from polyclone_distill.cli import main
from polyclone_distill.llm.generate import GenerateOptions, conclude
from polyclone_distill.llm.loading import linear_names, load_model, load_tokenizer, merge
from polyclone_distill.llm.loop import learning_rate
from polyclone_distill.llm.options import HEADS, TrainOptions
from polyclone_distill.llm.predict import load_generator, predict, predictions_of
from polyclone_distill.llm.runs import CHECKPOINT, read_log, read_run
from polyclone_distill.llm.saved import load_student
from polyclone_distill.llm.score import score_pairs
from polyclone_distill.llm.sides import encode_pairs, normalised
from polyclone_distill.llm.tasks import difficulties_of, generate_task, head_task, order_of_step
from polyclone_distill.llm.train import build_head, train_student
from polyclone_distill.pairs.jsonl import write_pairs
from support.llm_students import made_pairs, made_traces, options_for, small_student

pytestmark = pytest.mark.usefixtures("one_thread")
PAIRS = made_pairs(16)
TRACES = made_traces(PAIRS)
VALID = made_pairs(8, seed=9)


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("students")
    return {name: small_student(folder / name, name) for name in ("qwen2", "phi3")}


@pytest.fixture(scope="module")
def runs(students: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """(architecture, head) → a finished run of four steps."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name, student in students.items():
        for head in HEADS:
            out = folder / f"{name}-{head}"
            train_student(PAIRS, VALID, TRACES, options_for(student, head), out)
            made[name, head] = out
    return made


class Killed(BaseException):
    """Ends a run where a kill would."""


def kill_at(step: int) -> Any:
    def hook(done: int, loss: float) -> None:
        if done == step:
            raise Killed

    return hook


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_log(run)]


# --- runs ---


@pytest.mark.parametrize("name", ["qwen2", "phi3"])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_of_every_architecture_leaves_a_run(
    runs: dict[tuple[str, str], Path], name: str, head: str
) -> None:
    run = runs[name, head]
    record = read_run(run)
    assert record.counts["examples"] == 16 and record.counts["trained parameters"] < record.counts["parameters"]
    assert len(losses(run)) == 4 and all(np.isfinite(losses(run)))
    assert (run / "adapter" / "adapter_model.safetensors").exists() and not (run / CHECKPOINT).exists()
    if head != "generate":
        assert load_student(run).architecture == name
        assert record.metrics["valid pairs"] == 8


@pytest.mark.parametrize("head", HEADS)
def test_a_run_that_is_killed_resumes_to_the_same_curve(students: dict[str, Path], tmp_path: Path, head: str) -> None:
    options = options_for(students["qwen2"], head, epochs=1.75, save_every=2)
    train_student(PAIRS, VALID, TRACES, options, tmp_path / "whole")
    with pytest.raises(Killed):
        train_student(PAIRS, VALID, TRACES, options, tmp_path / "cut", kill_at(5))
    assert len(losses(tmp_path / "cut")) == 5
    steps: list[int] = []
    train_student(PAIRS, VALID, TRACES, options, tmp_path / "cut", lambda step, loss: steps.append(step))
    assert steps == [5, 6, 7]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    one, two = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("whole", "cut"))
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def load_file(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file as load

    return dict(load(path))


def test_kill_9_and_the_same_command_again(students: dict[str, Path], tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    command = ["train", "llm", "--student", str(students["qwen2"]), "--head", "binary", "--batch", "4",
               "--pairs", str(tmp_path / "pairs.jsonl"), "--tokens-per-side", "40", "--epochs", "2",
               "--save-every", "2", "--lora-r", "4", "--threads", "1"]  # fmt: skip
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    code = (
        "import os, signal, sys, polyclone_distill.llm.loop as loop\n"
        "save = loop.save_checkpoint\n"
        "def once(folder, module, optimizer, step, options, data):\n"
        "    save(folder, module, optimizer, step, options, data)\n"
        "    if step == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "loop.save_checkpoint = once\n"
        "from polyclone_distill.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    cut = [*command, "--out", str(tmp_path / "cut")]
    done = subprocess.run([sys.executable, "-c", code, *cut], env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(UsageError, match="unfinished"):
        read_run(tmp_path / "cut")
    assert main(cut) == 0
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), rel=1e-6)


def test_a_run_is_resumed_with_the_same_options_and_data_only(students: dict[str, Path], tmp_path: Path) -> None:
    options = options_for(students["qwen2"], "binary")
    with pytest.raises(Killed):
        train_student(PAIRS, VALID, {}, options, tmp_path / "run", kill_at(3))
    with pytest.raises(UsageError, match="other batch"):
        train_student(PAIRS, VALID, {}, options.with_(batch=2), tmp_path / "run")
    with pytest.raises(UsageError, match="the training pairs"):
        train_student(PAIRS[:12], VALID, {}, options, tmp_path / "run")
    done = train_student(PAIRS, VALID, {}, options, tmp_path / "run")
    assert train_student(PAIRS, VALID, {}, options, tmp_path / "run") == done
    with pytest.raises(UsageError, match="finished run with other options"):
        train_student(PAIRS, VALID, {}, options.with_(seed=2), tmp_path / "run")


@pytest.mark.parametrize("name", ["qwen2", "phi3"])
def test_logits_of_prompts_are_not_needed(students: dict[str, Path], name: str) -> None:
    model, tokenizer = load_model(str(students[name]), causal=True), load_tokenizer(str(students[name]))
    whole = generate_task(PAIRS, TRACES, tokenizer, options_for(students[name], "generate"))
    head = model.get_output_embeddings()
    seen: list[int] = []
    head.register_forward_hook(lambda module, given, made: seen.append(made.shape[1]))
    rows, device = [0, 5, 9], torch.device("cpu")
    losses_of = [task.loss(model, rows, device) for task in (whole, replace(whole, shortens=True))]
    torch.testing.assert_close(losses_of[1], losses_of[0])
    longest = max(len(whole.ids[row]) for row in rows)
    assert seen == [longest, longest - min(len(whole.ids[row]) - whole.answers[row] for row in rows) + 1]


@pytest.mark.parametrize("head", ["generate", "binary"])
def test_a_divided_batch_is_the_same_step(students: dict[str, Path], tmp_path: Path, head: str) -> None:
    from polyclone_distill.llm.options import LoraOptions

    # Without noise, which differs between the divisions.
    quiet = {"lora": LoraOptions(r=4, alpha=8, dropout=0.0), "dropout": 0.0}
    curves = []
    for micro in (0, 1, 3):
        out = tmp_path / str(micro)
        train_student(PAIRS, [], TRACES, options_for(students["qwen2"], head, micro_batch=micro, **quiet), out)
        curves.append(losses(out))
    assert curves[1] == pytest.approx(curves[0], rel=1e-4) and curves[2] == pytest.approx(curves[0], rel=1e-4)


def test_several_processes_take_the_same_steps(students: dict[str, Path], tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    command = ["train", "llm", "--student", str(students["qwen2"]), "--head", "generate", "--target", "simple",
               "--pairs", str(tmp_path / "pairs.jsonl"), "--batch", "4", "--epochs", "1", "--tokens-per-side", "24",
               "--lora-r", "4", "--lora-dropout", "0", "--threads", "1"]  # fmt: skip
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    # Libraries are loaded once, before the processes part.
    code = (
        "import runpy, sys, peft, transformers, polyclone_distill.llm.train\n"
        "from accelerate import debug_launcher\n"
        "def run():\n"
        "    runpy.run_module('polyclone_distill', run_name='__main__')\n"
        "debug_launcher(run, num_processes=2)"
    )
    two = [sys.executable, "-c", code, *command, "--out", str(tmp_path / "two")]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(two, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"head": "generate", "gradient_checkpointing": True},
        {"head": "binary", "gradient_checkpointing": True},
        {"head": "generate", "bf16": True},
        {"head": "contrastive", "bf16": True},
        {"head": "generate", "tune": "full"},
        {"head": "contrastive", "tune": "full"},
        {"head": "binary", "tune": "head"},
        {"head": "binary", "layout": "sides"},
        {"head": "contrastive", "loss": "pair"},
        {"head": "generate", "order": "easy-first"},
        {"head": "generate", "target": "reasoning"},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()),
)
def test_every_option_trains_and_predicts(students: dict[str, Path], tmp_path: Path, changes: dict[str, Any]) -> None:
    options = options_for(students["phi3"], **changes)
    out = tmp_path / "run"
    train_student(PAIRS, VALID, TRACES, options, out)
    assert all(np.isfinite(losses(out)))
    found = predict(out, VALID[:3], GenerateOptions(new_tokens=3))
    assert {row.pair for row in found} == {pair.id for pair in VALID[:3]}
    if changes["head"] != "generate":
        assert all(row.verdict is not None and np.isfinite(row.score or 0.0) for row in found)


def test_gradient_checkpointing_changes_nothing_but_memory(students: dict[str, Path], tmp_path: Path) -> None:
    curves = []
    for on in (False, True):
        out = tmp_path / str(on)
        train_student(PAIRS, [], TRACES, options_for(students["qwen2"], "generate", gradient_checkpointing=on), out)
        curves.append(losses(out))
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)


def test_heads_learn(students: dict[str, Path], tmp_path: Path) -> None:
    """Pairs the student has seen are told apart after a few epochs."""
    pairs = made_pairs(24)
    for head, more in (("contrastive", {}), ("binary", {"layout": "sides"})):
        options = options_for(students["qwen2"], head, tune="full", epochs=16.0, batch=8, **more)
        train_student(pairs, [], {}, options, tmp_path / head)
        curve = losses(tmp_path / head)
        assert np.mean(curve[-4:]) < 0.8 * np.mean(curve[:4])


# --- LoRA ---


@pytest.mark.parametrize("name", ["qwen2", "phi3"])
def test_adapters_merge_reload_and_give_the_same_logits(
    runs: dict[tuple[str, str], Path], name: str, tmp_path: Path
) -> None:
    from peft import PeftModel

    run = runs[name, "generate"]
    record = read_run(run)
    tokenizer = load_tokenizer(record.base)
    ids = torch.tensor([tokenizer("def solve(values):\n    return values")["input_ids"]])
    base = load_model(record.base, causal=True).eval()
    with torch.no_grad():
        before = base(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(base, run / "adapter").eval()
        apart = adapted(input_ids=ids).logits
        merge(run, tmp_path / "merged")
        again = load_model(str(tmp_path / "merged"), causal=True).eval()(input_ids=ids).logits
    assert (apart - before).abs().max() > 1e-3, "the adapter must have learnt something"
    torch.testing.assert_close(again, apart, rtol=1e-4, atol=1e-5)
    assert load_tokenizer(str(tmp_path / "merged")).get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("name", ["qwen2", "phi3"])
def test_a_saved_head_gives_the_scores_of_the_trained_one(
    students: dict[str, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyclone_distill.llm import train as module

    for head, layout in (("contrastive", "joint"), ("binary", "joint"), ("binary", "sides")):
        kept: list[Any] = []
        monkeypatch.setattr(
            module, "build_head", lambda options, kept=kept: kept.append(build_head(options)) or kept[0]
        )
        options = options_for(students[name], head, layout=layout)
        out = tmp_path / f"{head}-{layout}"
        train_student(PAIRS, VALID, {}, options, out)
        student = load_student(out)
        joint = head == "binary" and layout == "joint"
        encoded = encode_pairs(normalised(VALID), student.tokenizer, 40, joint=joint)
        expected = score_pairs(kept[0], encoded).values
        np.testing.assert_allclose(score_pairs(student.module, encoded).values, expected, atol=1e-5)
        # Neither the size of a batch nor its padding decides.
        np.testing.assert_allclose(score_pairs(student.module, encoded, batch_size=1).values, expected, atol=1e-5)


def test_adapters_go_to_every_linear_layer_but_the_output(students: dict[str, Path]) -> None:
    names = {name: linear_names(load_model(str(student), causal=True)) for name, student in students.items()}
    assert set(names["qwen2"]) == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert set(names["phi3"]) == {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}


def test_a_base_whose_head_was_trained_merges_into_a_language_model(
    runs: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    merge(runs["qwen2", "binary"], tmp_path / "merged")
    assert load_model(str(tmp_path / "merged"), causal=True).lm_head is not None
    options = options_for(tmp_path / "merged", "contrastive")
    assert train_student(PAIRS, VALID, {}, options, tmp_path / "next").options == options


# --- answers ---


@pytest.mark.parametrize("name", ["qwen2", "phi3"])
def test_a_forced_conclusion_ends_every_silence(runs: dict[tuple[str, str], Path], name: str) -> None:
    found = predict(runs[name, "generate"], VALID, GenerateOptions(new_tokens=4))
    free = [row for row in found if row.system == "generate"]
    forced = [row for row in found if row.system == "forced conclusion"]
    assert [row.pair for row in free] == [row.pair for row in forced] == [pair.id for pair in VALID]
    assert any(row.verdict is None for row in free)
    assert all(row.verdict is not None for row in forced)
    assert all(b.tokens >= a.tokens and b.elapsed_s >= a.elapsed_s for a, b in zip(free, forced, strict=True))


def test_a_conclusion_does_not_depend_on_the_padding(runs: dict[tuple[str, str], Path]) -> None:
    run = runs["qwen2", "generate"]
    model, tokenizer = load_generator(run, read_run(run))
    rows = [tokenizer(text)["input_ids"] for text in ("Yes or No:", "def solve(values): return 1\nYes or No:")]
    together = conclude(model, tokenizer, rows)
    assert together == pytest.approx([conclude(model, tokenizer, [row])[0] for row in rows], abs=1e-4)


def test_predictions_are_kept_and_made_anew_when_anything_changes(
    runs: dict[tuple[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyclone_distill.llm import predict as module

    run, options = runs["qwen2", "contrastive"], GenerateOptions()
    opened: list[int] = []
    original = module.open_run

    def counted(*given: Any, **more: Any) -> Any:
        opened.append(1)
        return original(*given, **more)

    monkeypatch.setattr(module, "open_run", counted)
    monkeypatch.setattr(module, "_CHUNK", 3)
    first = predictions_of(run, VALID, "set", options)
    assert [row.pair for row in first] == [pair.id for pair in VALID] and len(opened) == 1
    # A call that was cut short goes on with the part that is missing.
    parts = sorted((run / "predictions").iterdir())
    assert len(parts) == 3
    parts[1].unlink()
    again = predictions_of(run, VALID, "set", options)
    assert [row.score for row in again] == pytest.approx([row.score for row in first]) and len(opened) == 2
    assert predictions_of(run, VALID, "set", options) == again and len(opened) == 2
    predictions_of(run, VALID[:4], "set", options)
    assert len(opened) == 3


# --- order ---


def test_the_order_is_a_function_of_seed_and_step(students: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(str(students["qwen2"])).backend_tokenizer.to_str()
    options = options_for(students["qwen2"], "binary")
    task = head_task(PAIRS, tokenizer, options)
    epoch = [row for step in range(4) for row in order_of_step(task, options, step)]
    assert sorted(epoch) == list(range(16))
    assert epoch != [row for step in range(4, 8) for row in order_of_step(task, options, step)]
    easy = options.with_(order="easy-first")
    hardness = [task.difficulty[row] for step in range(4) for row in order_of_step(task, easy, step)]
    assert hardness == sorted(hardness)


def test_ratings_and_lengths_do_not_mix() -> None:
    rated = [replace(pair, difficulty=float(i)) for i, pair in enumerate(PAIRS)]
    assert difficulties_of(rated) == [float(i) for i in range(16)]
    lengths = [float(len(pair.left.code) + len(pair.right.code)) for pair in PAIRS]
    assert difficulties_of(PAIRS) == difficulties_of([*rated[:-1], PAIRS[-1]]) == lengths


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    options = TrainOptions(student="x", head="binary", learning_rate=1.0, warmup=0.2)
    rates = [learning_rate(step, 10, options) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


# --- what is wrong is said ---


def test_four_bits_without_the_library_say_what_to_install(students: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="bitsandbytes"):
        load_model(str(students["qwen2"]), causal=True, four_bit=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"head": "both"},
        {"target": "poem"},
        {"tune": "half"},
        {"epochs": 0},
        {"batch": 0},
        {"head": "generate", "tune": "head"},
        {"tune": "full", "four_bit": True},
        {"tokens_per_side": 4},
    ],
)
def test_options_that_make_no_sense_are_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainOptions(**{"student": "x", "head": "binary", **changes})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--head", "generate"], "--traces"),
        (["--head", "contrastive"], "--valid"),
        (["--head", "binary", "--batch", "99"], "fewer than a batch"),
        (["--head", "binary", "--student", "no-folder-and/no-hub-name-%"], "cannot be loaded"),
        (["--head", "binary", "--lora-targets", "nonsense"], "LoRA"),
    ],
)
def test_a_command_that_cannot_work_says_why(
    students: dict[str, Path], tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    command = ["train", "llm", "--student", str(students["qwen2"]), "--pairs", str(tmp_path / "pairs.jsonl")]
    assert main([*command, "--out", str(tmp_path / "run"), *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_small_student_is_made_by_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    command = ["small-llm", "--architecture", "phi3", "--pairs", str(tmp_path / "pairs.jsonl"), "--hidden", "32",
               "--heads", "2", "--layers", "1", "--vocabulary", "400", "--context", "64", "--steps", "3"]  # fmt: skip
    assert main([*command, "--out", str(tmp_path / "small")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["architecture"] == "phi3" and report["tokens read"] == 3 * 8 * 64
    assert load_model(str(tmp_path / "small"), causal=True).config.model_type == "phi3"
    assert main([*command, "--out", str(tmp_path / "other"), "--architecture", "bert"]) == 2
