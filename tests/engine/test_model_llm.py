"""Bundles of kind `llm`: vectors and verdicts behind the same model, by tokens, within a time budget, all counted."""

from __future__ import annotations

import builtins
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.api import scan
from polyclone.artifact import ENCODER, HALF, JUDGE, LLM_TOKENIZER, load_bundle
from polyclone.cli import main
from polyclone.encode.batching import group
from polyclone.encode.judge import PairJudge, judge_feed
from polyclone.encode.llm import LlmEncoder
from polyclone.encode.prompts import PROMPT_VERSION, PromptTokenizer, canonical, pad, render
from polyclone.errors import ModelError
from polyclone.extract import extract_snippet
from polyclone.live import LiveWorkspace
from polyclone.model import load_model
from polyclone.rerank import Allowance, Reranker
from polyclone.values import ATOM_SEPARATOR
from polyclone.workspace import Options
from support.bundles import (
    DIMENSION,
    JUDGE_SPEC,
    gpu_answers,
    judge_graph,
    llm_bundle,
    text_encoder_graph,
    text_tokenizer_json,
    tiny_bundle,
)
from support.polyglot import SUBJECTS, TOTAL_ABOVE, framed, source

UNITS = [extract_snippet(code, language).normalised for language, code in TOTAL_ABOVE.items()]
UNITS += [extract_snippet(source("python", subject, 7), "python").normalised for subject in SUBJECTS[:6]]
#: No two alike.
DISTINCT = [extract_snippet(source("python", subject, 7), "python").normalised for subject in SUBJECTS[:12]]
UNITS += ["", "kreturn", ATOM_SEPARATOR.join(["itotal"] * 2000), "i\ud800 half a character"]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llm_bundle(tmp_path_factory.mktemp("llm"))


# --- prompts ---


def test_atoms_are_spelled_as_words() -> None:
    unit = ATOM_SEPARATOR.join(["kif", "itotal", "o==", "cgetUser", "n31", 'ssay "hi"', "o["])
    assert render(unit) == 'if total == getUser( 31 "say \\"hi\\"" ['
    assert render("") == ""


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from("abcdefg"), max_size=60), st.lists(st.sampled_from("abcdefg"), max_size=60))
def test_a_pair_fits_its_budget_and_what_is_cut_is_counted(left: list[str], right: list[str]) -> None:
    tokenizer = PromptTokenizer(text_tokenizer_json().decode(), 48)
    a, b = (ATOM_SEPARATOR.join(f"i{word}" for word in words) for words in (left, right))
    frame, _ = tokenizer.joint("", "")
    ids, cut = tokenizer.joint(a, b)
    assert len(ids) <= 48
    assert len(ids) - len(frame) + cut == len(left) + len(right)
    room = 48 - len(frame)
    if len(left) + len(right) <= room:
        assert cut == 0
    else:
        assert len(ids) == 48  # Neither side leaves room unused that the other could fill.


def test_a_budget_without_room_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a budget of 16 tokens leaves no room beside a prompt of \d+"):
        PromptTokenizer(text_tokenizer_json().decode(), 16)


def test_limits_that_a_tokenizer_brings_along_do_not_count() -> None:
    """They would cut text unseen."""
    raw = json.loads(text_tokenizer_json())
    raw["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    limited = PromptTokenizer(json.dumps(raw), 128)
    free = PromptTokenizer(text_tokenizer_json().decode(), 128)
    assert limited.single(UNITS[0])[0].tolist() == free.single(UNITS[0])[0].tolist()


def test_rows_are_padded_on_either_side() -> None:
    rows = [np.array([5, 6, 7]), np.array([8])]
    ids, mask = pad(rows)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    ids, mask = pad(rows, left=True)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


# --- batches ---


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 300), max_size=40), st.integers(1, 1000))
def test_batches_hold_everything_once_and_within_their_tokens(lengths: list[int], most: int) -> None:
    groups = group(lengths, most)
    assert sorted(i for members in groups for i in members) == list(range(len(lengths)))
    for members in groups:
        padded = len(members) * max(lengths[i] for i in members)
        assert padded <= most or len(members) == 1
    firsts = [lengths[members[0]] for members in groups]
    assert firsts == sorted(firsts, reverse=True)
    assert [len(members) for members in group(lengths, None)] == [1] * len(lengths)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_vector_does_not_depend_on_its_company(threads: int, llm: Path) -> None:
    encoder = LlmEncoder(load_bundle(llm), threads=threads)
    together = encoder.encode(UNITS)
    for row, unit in enumerate(UNITS):
        assert encoder.encode([unit]).vectors[0].tobytes() == together.vectors[row].tobytes()
    np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1.0, atol=1e-5)
    assert encoder.encode([]).vectors.shape == (0, DIMENSION)


def test_batches_give_the_same_up_to_rounding_and_count_what_is_cut(llm: Path) -> None:
    alone = LlmEncoder(load_bundle(llm)).encode(UNITS)
    told: list[int] = []
    encoder = LlmEncoder(load_bundle(llm), batch_tokens=600)
    together = encoder.encode(UNITS, advance=told.append)
    np.testing.assert_allclose(together.vectors, alone.vectors, atol=1e-5)
    assert together.cut.tolist() == alone.cut.tolist()
    long = UNITS.index(ATOM_SEPARATOR.join(["itotal"] * 2000))
    frame = len(encoder.tokenizer.single("")[0])
    assert together.cut[long] == 2000 - (encoder.tokenizer.budget - frame)
    assert sum(told) == len(UNITS)
    assert max(told) > 1


@pytest.mark.parametrize("layout", ["joint", "sides"])
def test_verdicts_in_batches_are_those_of_pairs_alone(layout: str, tmp_path: Path) -> None:
    bundle = load_bundle(llm_bundle(tmp_path, judge={**JUDGE_SPEC, "layout": layout}))
    pairs = list(zip(UNITS, UNITS[::-1], strict=True))
    alone = PairJudge(bundle).logits(pairs)
    together = PairJudge(bundle, batch_tokens=900).logits(pairs)
    np.testing.assert_allclose(together.values, alone.values, rtol=1e-4, atol=1e-4)
    assert together.cut.tolist() == alone.cut.tolist()
    assert alone.cut.any()
    back = PairJudge(bundle).logits([(b, a) for a, b in pairs])
    assert back.values.tobytes() == alone.values.tobytes()


# --- the model ---


def test_a_language_model_serves_vectors_and_verdicts(llm: Path) -> None:
    model = load_model(llm)
    assert model.info.kind == "llm"
    codes = [(code, language) for language, code in TOTAL_ABOVE.items()]
    assert model.encode(codes).shape == (14, DIMENSION)
    forth = model.pair_probability(codes, codes[::-1])
    assert forth.tolist() == model.pair_probability(codes[::-1], codes).tolist()
    done = model.verification
    assert done is not None
    assert (done.asked, done.verified, done.unverified) == (28, 28, 0)


def test_a_compact_encoder_may_have_a_judge(tmp_path: Path) -> None:
    compact = load_model(tiny_bundle(tmp_path / "compact"))
    judged = load_model(llm_bundle(tmp_path / "judged", encoder="compact"))
    assert compact.verification is None
    codes = [(TOTAL_ABOVE[name], name) for name in ("python", "go")]
    assert judged.encode(codes).tobytes() == compact.encode(codes).tobytes()
    assert judged.pair_probability(codes[:1], codes[1:]) != compact.pair_probability(codes[:1], codes[1:])


def test_without_a_judge_the_pair_head_decides(tmp_path: Path) -> None:
    model = load_model(llm_bundle(tmp_path, judge=None))
    assert model.verification is None
    codes = [(TOTAL_ABOVE[name], name) for name in ("python", "go")]
    assert 0.0 < model.pair_probability(codes[:1], codes[1:])[0] < 1.0


def workspace(folder: Path) -> Path:
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text(TOTAL_ABOVE["python"])
    (folder / "code" / "b.go").write_text(framed("go", TOTAL_ABOVE["go"]))
    return folder / "code"


@pytest.mark.parametrize(("factor", "found"), [(100.0, 1), (-100.0, 0)])
def test_the_judge_has_the_last_word_in_a_scan(factor: float, found: int, tmp_path: Path) -> None:
    """The very same vectors and pair head; the logits are the other way round."""
    plain = load_bundle(llm_bundle(tmp_path / "plain"))
    code = [(TOTAL_ABOVE[name], name) for name in ("python", "go")]
    units = [extract_snippet(*one).normalised for one in code]
    (logit,) = PairJudge(plain).logits([(units[0], units[1])]).values
    sign = factor if logit > 0 else -factor
    model = load_model(llm_bundle(tmp_path / "judged", files={JUDGE: judge_graph("joint", sign)}))
    result = scan([workspace(tmp_path)], model=model)
    assert len(result.matches) == found
    if found:
        kinds = {reason.kind: reason for reason in result.matches[0].reasons}
        assert kinds["judge"].text == "judged by the language model"
        assert result.matches[0].probability == 0.999


# --- time ---


class Clock:
    """Time that passes only while something is judged: one second a run."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timed(llm: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], tuple[Reranker, Clock]]:
    def make(budget_s: float) -> tuple[Reranker, Clock]:
        clock = Clock()
        model = load_model(llm)
        lexicon_owner = model.verifier
        assert isinstance(lexicon_owner, Reranker)
        judge = lexicon_owner._judge
        run = judge.graph.run

        def slow(feed: Any) -> Any:
            clock.now += 1.0
            return run(feed)

        monkeypatch.setattr(judge.graph, "run", slow)
        lexicon_owner._clock = clock
        lexicon_owner._allowance = Allowance(budget_s, 0.25, clock)
        return lexicon_owner, clock

    return make


def features_of(model_path: Path, verifier: Reranker, rows: int) -> Any:
    from polyclone.index import quantise

    assert len(set(DISTINCT)) == len(DISTINCT) == 12
    vectors = LlmEncoder(load_bundle(model_path)).encode(DISTINCT).vectors
    judged = verifier.prepare(quantise(vectors), DISTINCT)
    left = np.zeros(rows, np.int64)
    return verifier.features(judged, left, np.arange(1, rows + 1))


def test_time_that_is_up_is_counted_and_told(
    llm: Path, timed: Callable[[float], tuple[Reranker, Clock]], caplog: pytest.LogCaptureFixture
) -> None:
    verifier, _ = timed(3.0)
    features = features_of(llm, verifier, 10)
    base = super(Reranker, verifier).probabilities(np.asarray(features))
    with caplog.at_level(logging.WARNING):
        found = verifier.probabilities(features)
    done = verifier.verification
    assert (done.asked, done.verified, done.unverified) == (10, 3, 7)
    assert done.elapsed_s == 3.0
    assert "7 of 10 probable pairs were not verified by the language model: its time was up" in caplog.text
    best = np.argsort(-base, kind="stable")
    assert found[best[3:]].tolist() == base[best[3:]].tolist()
    texts = [reason.text for reason in verifier.reasons(DISTINCT[0], DISTINCT[1 + int(best[-1])], 0.9)]
    assert texts[-1] == "not verified by the language model: its time was up"
    texts = [reason.text for reason in verifier.reasons(DISTINCT[0], DISTINCT[1 + int(best[0])], 0.9)]
    assert texts[-1] == "judged by the language model"


def test_who_asks_again_gets_further_and_pays_nothing_twice(
    llm: Path, timed: Callable[[float], tuple[Reranker, Clock]]
) -> None:
    verifier, clock = timed(4.0)
    features = features_of(llm, verifier, 10)
    verifier.probabilities(features)
    assert verifier.verification.verified == 4
    verifier.probabilities(features)  # A quarter of the four seconds that passed came back.
    assert verifier.verification.verified == 4 + 4 + 1
    clock.now += 100.0
    whole = verifier.probabilities(features)
    clock.now += 100.0
    before = clock.now
    assert verifier.probabilities(features).tolist() != []
    assert verifier.probabilities(features).tolist() == verifier.probabilities(features).tolist()
    assert len(whole) == 10
    assert clock.now - before <= 10.0


def test_a_scan_says_how_many_pairs_were_not_verified(llm: Path, tmp_path: Path) -> None:
    code = workspace(tmp_path)
    none, enough = (scan([code], model=load_model(llm, judge_budget_s=budget)) for budget in (0.0, 30.0))
    assert (none.unverified, enough.unverified) == (1, 0)


def test_what_was_not_verified_is_no_verdict_to_keep(llm: Path, tmp_path: Path) -> None:
    """Whoever opens the workspace again has time for what there was none for, reported or not."""
    code, index = workspace(tmp_path), tmp_path / "index"
    options = Options(min_probability=1.0)
    counts = []
    for budget in (0.0, 30.0, 0.0):
        with LiveWorkspace(
            load_model(llm, judge_budget_s=budget), options=options, index_file=index, isolate=False
        ) as space:
            space.open([code])
            counts.append(space.snapshot.result.unverified)
            space.save()
    assert counts == [1, 0, 0]


def test_an_improbable_pair_is_not_worth_the_time(tmp_path: Path) -> None:
    model = load_model(llm_bundle(tmp_path, judge={**JUDGE_SPEC, "least_probability": 1.0}))
    codes = [(code, language) for language, code in TOTAL_ABOVE.items()]
    model.pair_probability(codes, codes[::-1])
    done = model.verification
    assert done is not None
    assert done.asked == 0


def test_an_allowance_recovers_up_to_its_capacity() -> None:
    clock = Clock()
    allowance = Allowance(10.0, 0.5, clock)
    allowance.spend(10.0)
    assert allowance.left() == 0.0
    clock.now = 4.0
    assert allowance.left() == 2.0
    clock.now = 1000.0
    assert allowance.left() == 10.0


def test_a_part_of_the_features_is_judged_by_the_pair_head(llm: Path) -> None:
    """It does not know its units any more; a wrong pair must not be judged in their place."""
    model = load_model(llm)
    assert isinstance(model.verifier, Reranker)
    features = features_of(llm, model.verifier, 6)
    part = features[2:4]
    expected = super(Reranker, model.verifier).probabilities(np.asarray(part))
    assert model.verifier.probabilities(part).tolist() == expected.tolist()
    assert model.verifier.verification.asked == 0


def test_the_order_of_sides_is_one() -> None:
    assert canonical("b", "a") == canonical("a", "b") == ("a", "b")
    tokenizer = PromptTokenizer(text_tokenizer_json().decode(), 64)
    for layout in ("joint", "sides"):
        one, other = (judge_feed([pair], layout, tokenizer)[0] for pair in (("ia", "ib"), ("ib", "ia")))
        assert all((one[name] == other[name]).all() for name in one)


# --- what does not fit ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "compact"}, "only a bundle of kind llm describes a language model"),
        ({"llm": None}, "only a bundle of kind llm describes a language model"),
        ({"llm": 3}, "is not valid"),
        ({"llm": {"prompt_version": PROMPT_VERSION, "encoder": "huge"}}, "encoder 'huge' is unknown"),
        ({"llm": {"prompt_version": PROMPT_VERSION, "encoder": "compact"}}, "without any language model"),
        ({"llm": {"encoder": "llm"}}, "is not valid .*prompt_version"),
    ],
    ids=["compact", "nothing", "a number", "unknown encoder", "no model", "no version"],
)
def test_a_description_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        load_bundle(llm_bundle(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "stacked"}, "layout 'stacked' is unknown"),
        ({"token_budget": 3}, "absurd"),
        ({"least_probability": 1.5}, "absurd"),
        ({"logits": [1.0, 0.0, 2.0]}, "not an ascending curve"),
        ({"logits": []}, "not an ascending curve"),
    ],
    ids=str,
)
def test_a_judge_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    spec = {"prompt_version": PROMPT_VERSION, "encoder": "llm", "judge": {**JUDGE_SPEC, **changes}}
    with pytest.raises(ModelError, match=message):
        load_bundle(llm_bundle(tmp_path, llm=spec))


def test_other_prompts_are_refused(tmp_path: Path) -> None:
    spec = {"prompt_version": PROMPT_VERSION + 1, "encoder": "llm", "judge": JUDGE_SPEC}
    with pytest.raises(ModelError, match=r"was trained on prompts of version 2, this polyclone writes version 1"):
        load_model(llm_bundle(tmp_path, llm=spec))


def test_a_missing_graph_or_tokenizer_is_told(tmp_path: Path) -> None:
    for name in (JUDGE, LLM_TOKENIZER):
        folder = llm_bundle(tmp_path / name)
        raw = (folder / "manifest.json").read_text("utf-8")
        content = json.loads(raw)
        del content["files"][name]
        (folder / "manifest.json").write_text(json.dumps(content), "utf-8")
        with pytest.raises(ModelError, match=f"the manifest lists no {name}"):
            load_bundle(folder)


def test_a_tokenizer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the tokenizer cannot be read .*Export the bundle again"):
        load_model(llm_bundle(tmp_path, files={LLM_TOKENIZER: b"{}"}))


def test_without_the_tokenizers_package_the_message_names_it(llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModelError, match=r"needs the package tokenizers: pip install tokenizers"):
        load_model(llm)


@pytest.mark.parametrize("graph", [judge_graph("sides"), text_encoder_graph()], ids=["other layout", "an encoder"])
def test_a_judge_that_does_not_fit_is_refused(graph: bytes, tmp_path: Path) -> None:
    judge = PairJudge(load_bundle(llm_bundle(tmp_path, files={JUDGE: graph})))
    with pytest.raises(ModelError, match=r"judge\.onnx reads .*expected .*logit.*Export the bundle again"):
        judge.logits([(UNITS[0], UNITS[1])])


def test_a_bundle_without_a_judge_has_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no binary head"):
        PairJudge(load_bundle(llm_bundle(tmp_path, judge=None)))


# --- the command line ---


def test_the_command_line_tells_what_it_is(llm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "info", "--model", str(llm)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "kind llm" in out
    assert "language model encoder: llm, prompts of version 1" in out
    assert "judge reads a pair as joint, 256 tokens, from p = 0.05 on" in out
    assert main(["model", "verify", "--model", str(llm)]) == 0
    assert "is sound: 7 files match their digests" in capsys.readouterr().out
    assert main(["model", "bench", "--functions", "2", "--model", str(llm)]) == 0
    assert "pairs verified in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("band", "said"), [([0.25, 0.5], "unsure from p = 0.2500 to 0.5000"), ([0.5, 0.5], "unsure at no probability")]
)
def test_the_command_line_tells_where_it_is_unsure(
    band: list[float], said: str, llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = json.loads(load_bundle(llm).manifest.to_json())["calibration"]
    folder = llm_bundle(tmp_path, calibration={**calibration, "unsure": band})
    assert main(["model", "info", "--model", str(folder)]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert main(["model", "info", "--model", str(llm)]) == 0
    assert "unsure" not in capsys.readouterr().out


def test_a_judge_that_fails_is_not_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = llm_bundle(tmp_path, files={JUDGE: judge_graph("joint", float("nan"))})
    assert main(["model", "verify", "--model", str(folder)]) == 2
    assert "judge.onnx fails" in capsys.readouterr().err


# --- devices ---


def test_another_device_has_another_cache_key_and_graph(tmp_path: Path) -> None:
    half = {HALF[ENCODER]: text_encoder_graph()}
    bundle = load_bundle(llm_bundle(tmp_path, files=half))
    there = bundle.on("cuda")
    assert (bundle.graph_name(ENCODER), there.graph_name(ENCODER)) == (ENCODER, HALF[ENCODER])
    assert there.graph_name(JUDGE) == JUDGE
    assert bundle.encoder_digest != there.encoder_digest
    assert there.on("cpu").encoder_digest == bundle.encoder_digest


def test_a_fallback_runs_the_graph_of_the_cpu(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if gpu_answers():
        pytest.skip("a GPU answers here")
    path = llm_bundle(tmp_path, files={HALF[ENCODER]: text_encoder_graph()})
    with caplog.at_level(logging.WARNING):
        model = load_model(path, device="cuda")
    assert model.provider == "CPUExecutionProvider"
    assert "running on the CPU instead" in caplog.text
    assert model.bundle.encoder_digest == load_bundle(path).encoder_digest
