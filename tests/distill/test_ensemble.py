"""Encoders side by side: as one, as a recipe, as a graph."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from polyclone.encode.onnx import INPUTS, OUTPUT
from polyclone.encode.runtime import session
from polyclone_distill.cli import main
from polyclone_distill.default_bundle import _what_counts, _without_steps
from polyclone_distill.trainer.architecture import EncoderConfig
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.joining import join
from polyclone_distill.trainer.model import Encoder
from polyclone_distill.trainer.run import Materials, run_recipe
from polyclone_distill.trainer.settings import Recipe, load_recipe, parse_recipe
from polyclone_distill.trainer.starting import load_encoder, pack
from polyclone_export.graphs import export_encoder
from polyclone_export.parity import run_graph
from support.training import TOKENS, WORDS, tiny_encoder, write_data

pytestmark = pytest.mark.usefixtures("one_thread")

CONV = {"architecture": "conv", "width": 24, "embedding": 8, "kernel": 3, "lexical_width": 8}


def members() -> tuple[Encoder, Encoder]:
    return tiny_encoder(1).eval(), tiny_encoder(2, **CONV).eval()


def feed() -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(3)
    mask = (torch.arange(9) < torch.tensor([[9], [4], [7], [2], [9]])).long()
    return {
        "input_ids": torch.randint(5, TOKENS, (5, 9), generator=chance),
        "attention_mask": mask,
        "word_ids": torch.randint(1, WORDS, (5, 6), generator=chance),
        "word_weights": torch.rand((5, 6), generator=chance),
    }


def test_cosines_add_up_by_their_shares() -> None:
    one, other = members()
    joined = join([one, other], [0.7, 0.3]).eval()
    given = feed()
    tokens, words = (given["input_ids"], given["attention_mask"]), (given["word_ids"], given["word_weights"])
    with torch.no_grad():
        found = joined(*tokens, *words)
        first, second, lexical = one.dense(*tokens), other.dense(*tokens), one.lexical(*words)
    assert found.shape == (5, joined.dimension) == (5, 32 + 24 + 16)
    share = float(one.share)
    expected = (1 - share) * (0.7 * first @ first.T + 0.3 * second @ second.T) + share * lexical @ lexical.T
    torch.testing.assert_close(found @ found.T, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(joined.dense(*tokens).norm(dim=1), torch.ones(5))


@pytest.mark.parametrize(
    ("shares", "message"),
    [([1.0], "as many positive shares"), ([0.7, 0.4], "add up to one"), ([1.5, -0.5], "positive")],
)
def test_wrong_shares_are_told(shares: list[float], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        join(members(), shares)


def test_what_cannot_be_joined_is_told() -> None:
    one, other = members()
    with pytest.raises(TrainerError, match="two or more"):
        join([one], [1.0])
    with pytest.raises(TrainerError, match="same tokens"):
        join([one, tiny_encoder(0, vocabulary=TOKENS + 1)], [0.5, 0.5])
    with pytest.raises(TrainerError, match="cannot be a member"):
        join([one, join([one, other], [0.5, 0.5])], [0.5, 0.5])
    with pytest.raises(TrainerError, match=r"\[\[members\]\]"):
        tiny_encoder(0, architecture="ensemble")


def test_the_command_writes_what_an_export_reads(tmp_path: Path) -> None:
    paths = [tmp_path / "one.pt", tmp_path / "other" / "best.pt"]
    paths[1].parent.mkdir()
    for path, encoder in zip(paths, members(), strict=True):
        torch.save(pack(encoder.config, encoder.state_dict()), path)
    (tmp_path / "other" / "run.json").write_text('{"start": "random"}', "utf-8")
    out = tmp_path / "new" / "both.pt"
    assert main(["ensemble", *map(str, paths), "--shares", "0.6", "0.4", "--out", str(out)]) == 0
    joined = load_encoder(out).eval()
    assert [config.architecture for config in joined.config.members] == ["minilm", "conv"]
    assert EncoderConfig.of(json.loads(json.dumps(dataclasses.asdict(joined.config)))) == joined.config
    record = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert record["shares"] == [0.6, 0.4]
    assert [start.split(" ")[0] for start in record["starts"]] == ["sentence-transformers/all-MiniLM-L6-v2", "random"]
    given = feed()
    export_encoder(joined, tmp_path / "graph.onnx")
    graph = session((tmp_path / "graph.onnx").read_bytes(), "here")
    found = run_graph(graph, {name: value.numpy() for name, value in given.items()}, OUTPUT)
    with torch.no_grad():
        expected = joined(*(given[name] for name in INPUTS)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def small(share: float = 0.4, **train: object) -> Recipe:
    """The tiny start, and a convolution beside it."""
    recipe = parse_recipe({"train": {"steps": 2, "warmup": 1, "bf16": False, **train}}, "own", {"pairs": 4})
    conv = dataclasses.replace(recipe, name="conv", start="tables", encoder=CONV)
    both = parse_recipe({"members": [{"config": "conv-10m", "share": share}]}, "both", {})
    return dataclasses.replace(
        recipe, members=tuple(dataclasses.replace(member, recipe=conv) for member in both.members)
    )


def test_a_recipe_trains_its_members_and_joins_them(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    told: list[tuple[int, int]] = []
    given = Materials(data=data, validation_limit=12, show=lambda row: told.append((row["stage"], row["step"])))
    best = run_recipe(small(), out, given)
    assert list(dict.fromkeys(told)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    joined = load_encoder(best)
    own, conv = load_encoder(out / "own" / "best.pt"), load_encoder(out / "member-conv" / "best.pt")
    assert joined.config.members == (own.config, conv.config)
    assert joined.config.shares == (0.6, 0.4)
    torch.testing.assert_close(joined.lexicon.weight, own.lexicon.weight)
    record = json.loads((out / "best.json").read_text("utf-8"))
    assert 0.0 < record["metrics"]["plain_combined"] <= 1.0
    before = (out / "member-conv" / "checkpoint.pt").stat().st_mtime_ns
    again = run_recipe(small(), out, Materials(data=data, validation_limit=12))
    assert (out / "member-conv" / "checkpoint.pt").stat().st_mtime_ns == before
    for name, value in load_encoder(again).state_dict().items():
        torch.testing.assert_close(value, joined.state_dict()[name])


def test_members_leave_a_share_and_have_names_of_their_own() -> None:
    tables = [{"config": "conv-10m", "share": 0.6}, {"config": "conv-7m", "share": 0.6}]
    with pytest.raises(TrainerError, match=r"shares of its members add up to 1\.2"):
        parse_recipe({"members": tables}, "mine", {})
    with pytest.raises(TrainerError, match="called alike"):
        parse_recipe({"members": [{**tables[0], "share": 0.2}] * 2}, "mine", {})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"config": "conv-10m"}, "a member is given as"),
        ({"config": "conv-10m", "share": 1.0}, "between 0 and 1"),
        ({"config": "conv-10m", "share": 0.4, "weight": 1}, r"field of \[\[members\]\]: weight"),
        ({"config": "nowhere", "share": 0.4}, "no configuration 'nowhere'"),
    ],
)
def test_a_wrong_member_is_told(table: dict[str, object], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        parse_recipe({"members": [table]}, "mine", {})


def test_members_are_not_nested(tmp_path: Path) -> None:
    inner = tmp_path / "inner.toml"
    inner.write_text('[[members]]\nconfig = "conv-10m"\nshare = 0.4\n', "utf-8")
    with pytest.raises(TrainerError, match="has members itself"):
        parse_recipe({"members": [{"config": str(inner), "share": 0.4}]}, "mine", {})


def test_steps_of_a_member_may_change_on_the_way() -> None:
    def key(recipe: Recipe) -> object:
        return _without_steps(_what_counts(json.loads(json.dumps(dataclasses.asdict(recipe), default=dict))))

    table = {"members": [{"config": "conv-10m", "share": 0.4}]}
    longer, other = parse_recipe(table, "mine", {"steps": 9}), parse_recipe(table, "mine", {"pairs": 9})
    assert key(parse_recipe(table, "mine", {})) == key(longer) != key(other)
    assert longer.members[0].recipe.stages[-1].train.steps == 9
    assert "members" not in json.dumps(key(load_recipe("conv-10m")))
