"""A binary head calibrated on pairs that a search proposes: what its probabilities mean, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from polyclone.verify import FEATURES
from polyclone_distill.cli import main
from polyclone_distill.judge import JudgeConfig, Pairs, Pool, read_pool
from polyclone_distill.llm.calibrate import calibrate_on_retrieved, judge_logits
from polyclone_distill.llm.saved import CALIBRATED_ON, load_student, read_record
from polyclone_distill.llm.train import train_student
from support.llm_students import made_pairs, options_for, small_student

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = JudgeConfig(draws=12, libraries=100, distractors=12)


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """A run of four steps with a binary head."""
    options = options_for(small_student(tmp_path / "student"), "binary", layout="sides")
    train_student(made_pairs(16), made_pairs(8, seed=9), {}, options, tmp_path / "judge")
    return tmp_path / "judge"


def test_probabilities_are_those_of_retrieved_pairs(judge: Path, bundle: Path, prepared: Path) -> None:
    before = read_record(judge)
    assert before.data[CALIBRATED_ON] == "validation pairs"
    figures = calibrate_on_retrieved(judge, bundle, prepared, CONFIG, 8)
    after = read_record(judge)
    assert after.data == {**before.data, CALIBRATED_ON: "retrieved pairs"}
    assert after.metrics == {**before.metrics, "retrieved pairs": figures}
    assert after.calibration is not None and after.calibration != before.calibration
    assert 0.0 < figures["prevalence"] < 0.5 and figures["left out of the judgement"] > 0
    # What the curve promises on the whole is how often these pairs are clones, not how often those of training were.
    held = held_logits(judge, bundle, prepared)
    promised = np.interp(held, after.calibration["logits"], after.calibration["probabilities"]).mean()
    assert promised == pytest.approx(figures["prevalence"], abs=0.1)
    assert calibrate_on_retrieved(judge, bundle, prepared, CONFIG, 8) == figures


def held_logits(judge: Path, bundle: Path, prepared: Path) -> np.ndarray:
    """Of the pairs that calibration reads."""
    from polyclone.index import quantise
    from polyclone.model import load_model
    from polyclone_distill.cross_judge import top_of_draws
    from polyclone_distill.judge import draw_pairs

    model = load_model(bundle)
    pool = read_pool(prepared, CONFIG, model.min_atoms)
    codes = quantise(model.encode_normalised(pool.normalised))
    pairs = top_of_draws(draw_pairs(pool, codes, model, 1, CONFIG), 8)
    return judge_logits(load_student(judge), 40, pool, pairs)


def test_a_pair_has_one_logit_however_often_it_is_drawn(judge: Path, prepared: Path) -> None:
    pool: Pool = read_pool(prepared, CONFIG, min_atoms=12)
    left, right = np.array([0, 3, 0, 2, 3]), np.array([1, 4, 1, 5, 4])
    pairs = Pairs(np.zeros((5, len(FEATURES)), np.float32), np.zeros(5, np.int64), np.arange(5), left, right)
    student = load_student(judge)
    found = judge_logits(student, 40, pool, pairs)
    assert found[0] == found[2] and found[1] == found[4]
    alone = [judge_logits(student, 40, pool, pairs.take(np.array([row])))[0] for row in range(5)]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert len(set(found.tolist())) == 3


def test_the_command_and_what_it_refuses(
    judge: Path, bundle: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["calibrate-llm", "--bundle", str(bundle), "--data", str(prepared), "--threads", "1"]
    small = ["--draws", "12", "--libraries", "100", "--judged", "20"]
    assert main([*given, "--run", str(judge), *small]) == 0
    assert json.loads(capsys.readouterr().out)["average_precision"] > 0.0
    contrastive = tmp_path / "contrastive"
    options = options_for(tmp_path / "student", "contrastive")
    train_student(made_pairs(16), made_pairs(8, seed=9), {}, options, contrastive)
    for run, flags, said in (
        (contrastive, [], "judges no pairs"),
        (tmp_path / "nowhere", [], "no student"),
        (judge, ["--draws", "1"], "--draws must be at least 2"),
    ):
        assert main([*given, "--run", str(run), *flags]) == 2
        assert said in capsys.readouterr().err
