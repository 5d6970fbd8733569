"""Encoders of Hugging Face as teachers: tiny random ones made on the spot; their vectors, and what refuses them."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from polyclone.errors import UsageError
from polyclone.values import ATOM_SEPARATOR
from polyclone_distill import cli
from polyclone_distill.hub_teacher import as_words, embed_units, mean_pooled, resolve_teachers, unit_texts
from polyclone_distill.trainer.batches import Sampler
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.objective import ContrastiveObjective
from polyclone_distill.trainer.run import Materials, run_recipe
from polyclone_distill.trainer.settings import BatchConfig, DistillConfig, Recipe, Stage, TrainConfig, parse_methods
from polyclone_distill.trainer.shards import DOC, Shard
from polyclone_distill.trainer.vectors import load_vectors, save_vectors
from support.training import synthetic_shard, tiny_encoder, view_vocabulary, write_data
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "if", "return", "for", "x", "y", "sum", "(", "=", "+", "1"]
SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS), "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0,
}  # fmt: skip


def save_encoder(folder: Path, architecture: str = "bert", *, safe: bool = True) -> Path:
    """Effect: writes a random encoder with its tokenizer, as `save_pretrained` does."""
    torch.manual_seed(0)
    words = Tokenizer(WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    if architecture == "t5":
        config: Any = transformers.T5Config(
            vocab_size=len(WORDS), d_model=24, d_kv=12, d_ff=32, num_layers=2, num_heads=2, pad_token_id=0
        )
        model: Any = transformers.T5Model(config)
    else:
        kinds = {"bert": transformers.BertConfig, "roberta": transformers.RobertaConfig}
        model = transformers.AutoModel.from_config(kinds[architecture](**SIZES))
    model.save_pretrained(folder, safe_serialization=safe)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("models") / "bert")


def write_units(folder: Path) -> Path:
    """Effect: the texts of the shard that `write_data` writes, besides units that it has not."""
    shard = Shard.load(folder / "train.npz")
    rows = []
    for position in np.flatnonzero(shard.kind != DOC).tolist():
        task = f"t{shard.label[position]}" if shard.label[position] >= 0 else None
        rows.append(_row(task, "train", ["kif", "ix", f"n{position}"], f"unit{position}", "sum of x"))
    rows.insert(3, _row("other", "test", ["kreturn", "iy"], "unseen", ""))
    pq.write_table(pa.Table.from_pylist(rows), folder / "units.parquet")
    return folder


def _row(task: str | None, split: str, atoms: list[str], name: str, doc: str) -> dict[str, Any]:
    text = ATOM_SEPARATOR.join(atoms)
    return {"task": task, "split": split, "normalised": text, "qualified_name": name, "doc": doc}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_units(write_data(tmp_path / "data"))


def test_a_unit_as_words() -> None:
    atoms = ["kif", "isumTo", "o<=", "n10", "cgetItem", "sa b", "kreturn"]
    assert as_words(ATOM_SEPARATOR.join(atoms)) == 'if sumTo <= 10 getItem ( "a b" return'
    assert as_words("") == ""


def test_texts_stand_in_the_order_of_the_shard(data: Path) -> None:
    shard = Shard.load(data / "train.npz")
    texts = unit_texts(data, shard)
    assert len(texts) == len(shard)
    assert texts[5] == "if x 5"
    documented = np.flatnonzero(shard.kind == DOC)
    assert [texts[i] for i in documented] == [f"unit{shard.partner[i]} sum of x" for i in documented]


def test_padding_counts_for_nothing(bert: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    encoder = transformers.AutoModel.from_pretrained(bert).eval()
    texts = ["if x", "return x + y + 1 for sum ( x = y )", "sum"]
    together = mean_pooled(tokenizer, encoder, texts, 40).astype(np.float32)
    with torch.no_grad():
        for text, found in zip(texts, together, strict=True):
            states = encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            mean = torch.nn.functional.normalize(states.mean(0), dim=0)
            np.testing.assert_allclose(found, mean.numpy(), atol=2e-3)


@pytest.mark.parametrize("architecture", ["roberta", "t5"])
def test_other_encoders(architecture: str, data: Path, tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / architecture, architecture)
    shard = Shard.load(data / "train.npz")
    teacher = load_vectors(embed_units(str(folder), data, tmp_path / "kept"), shard)
    assert teacher.vectors.shape == (len(shard), 24)
    np.testing.assert_allclose(teacher.vectors.float().norm(dim=1), 1.0, atol=2e-3)


def test_a_text_longer_than_the_model_is_cut(data: Path, tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "roberta", "roberta")
    long = _row("t", "train", ["ix"] * 100, "long", "")
    rows = pq.read_table(data / "units.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist([{**long, "task": rows[0]["task"]}, *rows[1:]]), data / "units.parquet")
    assert embed_units(str(folder), data, tmp_path / "kept").exists()


def test_units_are_read_once(bert: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = embed_units(str(bert), data, tmp_path / "kept")
    stamp = first.stat().st_mtime_ns
    assert "reads" in caplog.text
    assert resolve_teachers([Path(f"hf:{bert}"), Path("run")], data, tmp_path / "kept") == (first, Path("run"))
    assert first.stat().st_mtime_ns == stamp
    # Another model or another text is another file.
    other = save_encoder(tmp_path / "other", "roberta")
    assert embed_units(str(other), data, tmp_path / "kept") != first
    rows = pq.read_table(data / "units.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist([{**rows[0], "normalised": "iy"}, *rows[1:]]), data / "units.parquet")
    assert embed_units(str(bert), data, tmp_path / "kept") != first


def test_a_student_learns_from_it(bert: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "encoder", "--data", data, "--out", tmp_path / "run", "--teacher", f"hf:{bert}"]
    arguments += ["--method", "ft,kd,max_softmax,dist,rkd_distance,rkd_angle,contrastive,similarity", "--steps", 2]
    arguments += ["--pairs", 4, "--budget", 32, "--teacher-cache", tmp_path / "kept", "--mutants", 0.5]
    assert cli.main([str(argument) for argument in arguments]) == 0
    (row, _) = (json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text("utf-8").splitlines())
    assert {"kd", "max_softmax", "dist", "rkd_distance", "rkd_angle", "contrastive", "similarity"} <= set(row)
    assert all(np.isfinite(value) for value in row.values())
    (kept,) = (tmp_path / "kept").glob("teacher-*.npz")
    # The file alone is a teacher, too: that is what a machine without transformers is given.
    recipe = Recipe(
        stages=(Stage(train=TrainConfig(steps=1, evaluate_every=1), batches=BatchConfig(pairs=4, budget=32)),),
        distill=DistillConfig(methods=parse_methods(["similarity"])),
    )
    assert run_recipe(recipe, tmp_path / "second", Materials(data=data, teachers=(kept,))).exists()
    recorded = json.loads((tmp_path / "second" / "run.json").read_text("utf-8"))["digests"]
    assert f"kept/{kept.name}" in recorded


def test_vectors_teach_what_a_table_of_the_same_vectors_teaches(tmp_path: Path) -> None:
    """Beside a plain reference: the loss is the mean squared gap between two matrices of cosines."""
    shard, student = synthetic_shard(), tiny_encoder().eval()
    vectors = torch.nn.functional.normalize(torch.randn(len(shard), 8), dim=1).half()
    save_vectors(tmp_path / "v.npz", vectors.numpy(), shard, "given")
    teacher = load_vectors(tmp_path / "v.npz", shard)
    batch = Sampler(shard, view_vocabulary(), BatchConfig(pairs=5, budget=60, classes=1.0, mutants=1.0), 1).batch(0)
    made = ContrastiveObjective(
        student, TrainConfig(bf16=False), DistillConfig(methods=(("similarity", 1.0),)), [teacher]
    )
    _, parts = made(batch)
    rows = [i for i, unit in enumerate(batch.units.tolist()) if unit >= 0]
    with torch.no_grad():
        mine = student(batch.input_ids, batch.attention_mask, batch.word_ids, batch.word_weights)
    yours = vectors[batch.units.clamp(min=0)].float()
    gaps = [float((mine[i] @ mine[j] - yours[i] @ yours[j]) ** 2) for i in rows for j in rows if i != j]
    assert parts["similarity"].mean().item() == pytest.approx(sum(gaps) / len(gaps), rel=1e-4)


def test_methods_of_layers_are_refused(tmp_path: Path) -> None:
    shard = synthetic_shard()
    save_vectors(tmp_path / "v.npz", np.zeros((len(shard), 8), np.float16), shard, "org/name")
    teacher = load_vectors(tmp_path / "v.npz", shard)
    for method in ("fitnets", "pkd", "ckd"):
        with pytest.raises(TrainerError, match=rf"method {method} compares layers, and the teacher org/name gives"):
            ContrastiveObjective(tiny_encoder(), TrainConfig(), DistillConfig(methods=((method, 1.0),)), [teacher])


def test_vectors_of_other_data_are_refused(tmp_path: Path) -> None:
    shard = synthetic_shard()
    save_vectors(tmp_path / "v.npz", np.zeros((len(shard), 8), np.float16), shard, "given")
    with pytest.raises(TrainerError, match="other training data"):
        load_vectors(tmp_path / "v.npz", synthetic_shard(seed=3))
    (tmp_path / "w.npz").write_bytes(b"no archive")
    with pytest.raises(TrainerError, match="holds no vectors"):
        load_vectors(tmp_path / "w.npz", shard)
    recipe = Recipe(stages=(Stage(),), distill=DistillConfig())
    data = write_data(tmp_path / "data")
    with pytest.raises(TrainerError, match="is read by `polyclone-distill train encoder`"):
        run_recipe(recipe, tmp_path / "run", Materials(data=data, teachers=(Path("hf:name"),)))


def test_what_cannot_be_a_teacher(data: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = save_encoder(tmp_path / "pickled", safe=False)
    with pytest.raises(UsageError, match=r"has no \*.safetensors, and other formats may run code"):
        embed_units(str(pickled), data, tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="there is no folder org/absent, and the hub gives no such model"):
        embed_units("org/absent", data, tmp_path)
    with pytest.raises(UsageError, match="needs a name or a folder"):
        embed_units("", data, tmp_path)
    own_code = save_encoder(tmp_path / "own")
    config = json.loads((own_code / "config.json").read_text("utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Model", "AutoConfig": "mine.Config"}}
    (own_code / "config.json").write_text(json.dumps(config), "utf-8")
    (own_code / "mine.py").write_text("raise SystemExit('this must not run')\n", "utf-8")
    with pytest.raises(UsageError, match="cannot be a teacher"):
        embed_units(str(own_code), data, tmp_path)
    shard = dataclasses.replace(Shard.load(data / "train.npz"))
    (data / "units.parquet").unlink()
    with pytest.raises(UsageError, match=r"units.parquet does not exist"):
        unit_texts(data, shard)
    write_units(data)
    rows = pq.read_table(data / "units.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist(rows[:-1]), data / "units.parquet")
    with pytest.raises(UsageError, match="different runs of `prepare`"):
        unit_texts(data, shard)
