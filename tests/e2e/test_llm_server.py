"""A Qwen2 student from nothing to the editor: trained, exported with proof, served by the real language server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from polyclone.artifact import Bundle, load_bundle
from polyclone.encode.prompts import PromptTokenizer, canonical
from polyclone.extract import extract
from polyclone_distill import cli as distill
from polyclone_distill.llm.saved import load_student
from polyclone_distill.pairs.jsonl import write_pairs
from polyclone_export import cli as export
from support.editor import Editor, real_process
from support.llm_corpus import problems, solution
from support.llm_students import made_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

NAME = "tiny-qwen2"
SHAPE = {"vocabulary": 420, "hidden": 32, "layers": 2, "heads": 2, "context": 64, "batch": 4, "steps": 4}
TRAINING = {"tokens-per-side": 64, "batch": 4, "epochs": 2, "learning-rate": 5e-3, "dimension": 24, "lora-r": 4}
SUFFIXES = {"python": "py", "java": "java", "rust": "rs", "ruby": "rb"}


def run(main: Callable[[Sequence[str]], int], *words: object, **options: object) -> None:
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    assert main([*map(str, words), *flags]) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Head → what `polyclone-distill train llm` left. Both heads start from one small Qwen2."""
    folder = tmp_path_factory.mktemp("students")
    pairs, valid = folder / "train.jsonl", folder / "valid.jsonl"
    write_pairs(pairs, made_pairs(24))
    write_pairs(valid, made_pairs(24, seed=9))
    run(distill.main, "small-llm", pairs=pairs, out=folder / "base", architecture="qwen2", **SHAPE)
    for head in ("binary", "contrastive"):
        run(distill.main, "train", "llm", student=folder / "base", head=head, pairs=pairs, valid=valid,
            out=folder / head, **TRAINING)  # fmt: skip
    return {head: folder / head for head in ("binary", "contrastive")}


@pytest.fixture(scope="module")
def bundle(runs: dict[str, Path], prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What `polyclone-export` made of both heads, in float32."""
    out = tmp_path_factory.mktemp("bundle") / NAME
    run(export.main, "bundle", "--no-int8", encoder=runs["contrastive"], judge=runs["binary"], data=prepared,
        name=NAME, out=out)  # fmt: skip
    return load_bundle(out)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three problems that training has not seen, each solved in four languages."""
    for problem in problems(3, seed=77):
        for language, suffix in SUFFIXES.items():
            path = tmp_path / "work" / f"{problem.name}_{language}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(solution(problem, language, 0), encoding="utf-8")
    return tmp_path / "work"


def judged_in_torch(run: Path, bundle: Bundle, pair: tuple[str, str]) -> float:
    """The probability that the trained student itself gives a pair of normalised functions."""
    student = load_student(run)
    assert student.architecture == "qwen2"
    ids, _ = PromptTokenizer(student.tokenizer, student.record.token_budget).joint(*canonical(*pair))
    rows = torch.from_numpy(ids)[None]
    with torch.no_grad():
        logit = student.module(rows, torch.ones_like(rows)).numpy()
    llm = bundle.manifest.llm
    assert llm is not None and llm.judge is not None
    return float(llm.judge.apply(logit.astype(np.float32))[0])


async def clones_of_first_function(editor: Editor, path: Path) -> dict[str, Any]:
    uri = editor.open(path, "python")
    answer: dict[str, Any] = await editor.request(
        "polyclone/findClones", {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 4}}
    )
    return answer


@pytest.mark.asyncio
async def test_a_trained_qwen2_student_answers_in_the_editor(
    runs: dict[str, Path], bundle: Bundle, workspace: Path, tmp_path: Path
) -> None:
    environment = {"POLYCLONE_CACHE_DIR": str(tmp_path / "cache")}
    async with real_process("--stdio", environment=environment) as editor:
        editor.settings = {"model": bundle.location, "jobs": 1, "minProbability": 0.02}
        await editor.initialize([workspace])
        assert (await editor.ready())["state"] == "ready"
        status = await editor.status()
        served = {name: status["model"][name] for name in ("name", "kind", "digest")}
        assert served == {"name": NAME, "kind": "llm", "digest": bundle.digest}
        target = workspace / "p00000_python.py"
        answer = await clones_of_first_function(editor, target)
        await editor.quit()
    assert answer["matches"]
    (function, *_) = extract(target.read_bytes(), "python", target.name).functions
    for match in answer["matches"]:
        assert "judged by the language model" in match["reasons"]
        other = match["function"]
        path = next(path for path in workspace.iterdir() if other["uri"].endswith(path.name))
        found = extract(path.read_bytes(), other["language"], path.name).functions
        (text,) = [f.normalised for f in found if f.qualified_name == other["qualifiedName"]]
        expected = judged_in_torch(runs["binary"], bundle, (function.normalised, text))
        assert match["probability"] == pytest.approx(expected, abs=0.002)
