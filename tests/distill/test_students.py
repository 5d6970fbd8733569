"""Architectures: that padding never matters, that graphs compute the same, that names tell the size."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from polyclone_distill.trainer.architecture import RmsNorm
from polyclone_distill.trainer.convolution import ConvolutionBlock
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.model import Encoder, EncoderConfig, upgrade_state
from polyclone_distill.trainer.recurrent import mirror, reorder
from polyclone_distill.trainer.run import load_encoder, pack
from polyclone_distill.trainer.settings import config_names, load_recipe
from polyclone_distill.trainer.starting import principal, start_student
from polyclone_distill.trainer.students import ARCHITECTURES
from polyclone_distill.trainer.transformer import rotary, rotate
from support.training import CONFIG, TOKENS, WORDS, tiny_encoder, write_data

pytestmark = pytest.mark.usefixtures("one_thread")

#: Other widths than the teacher's, a narrow embedding, and a lexicon whose rare words share rows.
CHANGES = {"embedding": 16, "lexicon_rows": 100, "kernel": 3}


def tiny(architecture: str) -> Encoder:
    changes = {} if architecture == "minilm" else CHANGES
    return tiny_encoder(architecture=architecture, **changes).eval()


def inputs(batch: int, length: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Token ids, mask, word ids and weights; every row but the first is shorter by its number."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, TOKENS, (batch, length), generator=generator)
    mask = (torch.arange(length)[None, :] < length - torch.arange(batch)[:, None]).long()
    words = torch.randint(1, WORDS, (batch, 7), generator=generator)
    return ids * mask, mask, words, torch.rand((batch, 7), generator=generator)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_padding_does_not_matter(architecture: str) -> None:
    model = tiny(architecture)
    ids, mask, words, weights = inputs(3, 11)
    together = model(ids, mask, words, weights)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    for row in range(3):
        length = int(mask[row].sum())
        alone = model(
            ids[row : row + 1, :length], mask[row : row + 1, :length], words[row : row + 1], weights[row : row + 1]
        )
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)
    noisy = torch.where(mask.bool(), ids, torch.full_like(ids, 99))
    torch.testing.assert_close(model(noisy, mask, words, weights), together, atol=1e-6, rtol=0)


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"static"}))
def test_order_matters(architecture: str) -> None:
    model = tiny(architecture)
    ids, mask, _, _ = inputs(1, 12)
    assert (model.dense(ids, mask) - model.dense(ids.flip(1), mask)).abs().max() > 1e-4


def test_order_does_not_matter_to_a_bag() -> None:
    model = tiny("static")
    ids, mask, _, _ = inputs(1, 12)
    torch.testing.assert_close(model.dense(ids, mask), model.dense(ids.flip(1), mask), atol=1e-6, rtol=0)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_states_are_those_of_the_layers(architecture: str) -> None:
    model = tiny(architecture)
    ids, mask, _, _ = inputs(2, 9)
    states = model.body.states(ids, mask)
    assert len(states) == (2 if architecture == "static" else model.config.layers + 1)
    assert {tuple(state.shape) for state in states} == {(2, 9, model.config.width)}
    torch.testing.assert_close(model.pooled(states[-1], mask), model.dense(ids, mask))
    assert model.body.scores(states[-1][0]).shape == (9, TOKENS)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_graph_computes_the_same(architecture: str, tmp_path: Path) -> None:
    """Exported from a batch of two, run with one and three rows, short and long."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from polyclone_export.graphs import export_encoder

    model = tiny(architecture)
    path = tmp_path / "encoder.onnx"
    export_encoder(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    for batch in (1, 3):
        for length in (5, 41):
            given = inputs(batch, length, seed=length)
            feed = dict(zip(names, (tensor.numpy() for tensor in given), strict=True))
            with torch.no_grad():
                expected = model(*given).numpy()
            np.testing.assert_allclose(session.run(None, feed)[0], expected, atol=2e-6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_weights_carry_their_architecture(architecture: str, tmp_path: Path) -> None:
    model = tiny(architecture)
    torch.save(pack(model.config, model.state_dict()), tmp_path / "best.pt")
    again = load_encoder(tmp_path / "best.pt").eval()
    assert again.config == model.config
    given = inputs(2, 9)
    torch.testing.assert_close(again(*given), model(*given), atol=5e-3, rtol=0)


def test_weights_of_before_there_were_architectures_load(tmp_path: Path) -> None:
    model = tiny("minilm")
    old = {name.removeprefix("body."): value for name, value in model.state_dict().items()}
    new_fields = {"architecture", "embedding", "kernel", "lexicon_rows"}
    config = {key: value for key, value in dataclasses.asdict(model.config).items() if key not in new_fields}
    torch.save({"config": config, "state": old}, tmp_path / "old.pt")
    again = load_encoder(tmp_path / "old.pt")
    assert again.config == model.config
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert upgrade_state(model.state_dict()).keys() == model.state_dict().keys()


def test_the_way_back_starts_at_the_end_of_each_unit() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    assert mirror(mask).tolist() == [[2, 1, 0, 3], [3, 2, 1, 0], [0, 1, 2, 3]]
    x = torch.arange(12.0).reshape(3, 4, 1)
    assert torch.equal(reorder(reorder(x, mirror(mask)), mirror(mask)), x)


def test_a_rotation_depends_on_the_distance_alone() -> None:
    cos, sin = rotary(10, 8, torch.device("cpu"))
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    turned_q = rotate(q.expand(1, 1, 10, 8), cos, sin)[0, 0]
    turned_k = rotate(k.expand(1, 1, 10, 8), cos, sin)[0, 0]
    dots = turned_q @ turned_k.T
    for distance in range(-5, 6):
        torch.testing.assert_close(dots.diagonal(distance), dots.diagonal(distance)[0].expand(10 - abs(distance)))
    torch.testing.assert_close(dots[0, 0], q @ k)


def test_a_convolution_is_the_same_in_training_and_after() -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(dataclasses.replace(tiny("conv").config, dropout=0.0))
    x, mask = torch.randn(3, 9, block.mix.in_channels), (torch.arange(9) < torch.tensor([[9], [4], [1]])).float()
    results = []
    for training in (True, False):
        read = x.clone().requires_grad_()
        block.zero_grad()
        out = block.train(training)(read, mask.unsqueeze(-1))
        out.square().sum().backward()
        results.append([out.detach(), read.grad, *(p.grad.clone() for p in block.parameters() if p.grad is not None)])
    assert len(results[0]) == 2 + sum(1 for _ in block.parameters())
    for trained, judged in zip(*results, strict=True):
        torch.testing.assert_close(trained, judged)


def test_a_norm_by_hand() -> None:
    norm = RmsNorm(2, eps=0.0)
    torch.testing.assert_close(norm(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / (12.5**0.5))


def test_rare_words_share_rows() -> None:
    model = tiny("conv")
    rows = model.rows(torch.arange(WORDS))
    assert rows[:62].tolist() == list(range(62))  # Five eighths of a hundred rows have one word each.
    assert set(rows[62:].tolist()) == set(range(62, 100))
    assert torch.equal(tiny("minilm").rows(torch.arange(WORDS)), torch.arange(WORDS))


@pytest.mark.parametrize("name", [name for name in config_names() if re.search(r"-[\d.]+m(-|$)", name)])
def test_a_name_tells_the_size(name: str) -> None:
    """Within four in a hundred, at the sizes of the usual vocabularies."""
    recipe = load_recipe(name)
    config = EncoderConfig(**{"vocabulary": 12_000, "lexicon": 32_768, **recipe.encoder})
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Encoder(config).parameters())
    found = re.search(r"-([\d.]+)m(-|$)", name)
    assert found is not None
    assert parameters == pytest.approx(float(found[1]) * 1e6, rel=0.04)
    assert recipe.about
    assert name.startswith(("teacher", config.architecture))


def test_every_size_of_the_study_is_there() -> None:
    names = set(config_names())
    assert {f"modernbert-{size}" for size in ("30m", "15m", "7m", "3m", "1.5m")} <= names
    for architecture in ("bigru", "conv", "static"):
        assert {f"{architecture}-{size}" for size in ("7m", "3m", "1.5m")} <= names


# --- starts ---


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("starts") / "data")


def test_a_pretrained_start_loses_layers_in_between(data: Path) -> None:
    whole = load_encoder(data / "start.pt")
    assert start_student(data, {}, "minilm", 1).config == CONFIG
    one = start_student(data, {"layers": 1, "lexical_share": 0.5}, "minilm", 1)
    assert one.config.layers == 1
    assert float(one.share) == 0.5
    name = "body.blocks.0.up.weight"
    assert torch.equal(one.state_dict()[name], whole.state_dict()[name])
    with pytest.raises(TrainerError, match=r"other sizes \(width\); set start"):
        start_student(data, {"width": 64}, "minilm", 1)
    with pytest.raises(TrainerError, match="layers: 5 of 2"):
        start_student(data, {"layers": 5}, "minilm", 1)


def test_a_start_from_tables_keeps_what_words_mean(data: Path) -> None:
    whole = load_encoder(data / "start.pt")
    sizes = {"architecture": "conv", "width": 24, "heads": 4, "lexical_width": 8, "embedding": 12}
    model = start_student(data, sizes, "tables", 1)
    torch.testing.assert_close(
        model.lexicon.weight.norm(dim=1), whole.lexicon.weight.norm(dim=1), rtol=1e-4, atol=1e-5
    )
    other = start_student(data, sizes, "random", 1)
    table = "body.tokens.table.weight"
    assert not torch.equal(model.state_dict()[table], other.state_dict()[table])
    assert torch.equal(model.state_dict()["body.blocks.0.out.weight"], other.state_dict()["body.blocks.0.out.weight"])


def test_principal_components_keep_distances() -> None:
    source = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) @ torch.randn(3, 9)
    target = torch.randn(50, 4) * 0.1
    made = principal(source, target)
    ratio = torch.pdist(made[:, :3]) / torch.pdist(source)
    torch.testing.assert_close(ratio, ratio[0].expand_as(ratio), rtol=1e-3, atol=1e-5)
    wide = principal(source, torch.full((50, 12), 0.5))
    assert (wide[:, 9:] == 0.5).all()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"architecture": "lstm"}, "unknown architecture 'lstm'; choose from bigru"),
        ({"architecture": "modernbert", "heads": 3}, "must be a multiple of 6"),
        ({"architecture": "conv", "kernel": 4}, "kernel 4 is even"),
        ({"depth": 3}, "field that encoders lack"),
    ],
)
def test_wrong_sizes_are_told(sizes: dict[str, object], message: str, data: Path) -> None:
    with pytest.raises(TrainerError, match=message):
        start_student(data, sizes, "random", 1)
