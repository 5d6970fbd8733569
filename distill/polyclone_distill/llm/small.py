"""Small students made from nothing: a real architecture of a few million parameters, a tokenizer of its own.

For trying every step of a distillation on any machine. The folder is what `save_pretrained` writes, so it loads
through the same code as a name on the hub.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from polyclone.encode.prompts import JOINT, render
from polyclone.errors import UsageError
from torch import Tensor, nn

from ..pairs.values import Pair
from ..traces.prompts import LATEST, prompt_of
from .checkpoint import describe, remove_checkpoint
from .conversation import FORCED
from .loop import train
from .losses import answer_loss
from .options import TrainOptions
from .sides import normalised

log = logging.getLogger(__name__)

ARCHITECTURES = ("qwen2", "phi3")
END = "<|endoftext|>"
#: (special tokens, chat template) in the form of the published models.
_CHAT: Mapping[str, tuple[tuple[str, ...], str]] = {
    "qwen2": (
        ("<|im_start|>", "<|im_end|>"),
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    ),
    "phi3": (
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallOptions:
    """The shape of a small student and how long it reads code before it is one."""

    architecture: str = "qwen2"
    vocabulary: int = 4096
    hidden: int = 192
    layers: int = 4
    heads: int = 4
    positions: int = 2048
    context: int = 256
    steps: int = 300
    batch: int = 8
    learning_rate: float = 2e-3
    seed: int = 1

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UsageError(f"unknown architecture {self.architecture!r}; choose from {', '.join(ARCHITECTURES)}.")
        if self.hidden % (2 * self.heads) or min(self.layers, self.heads, self.hidden) < 1:
            raise UsageError("the width must be a multiple of twice the number of heads, and nothing may be 0.")


def make_small(pairs: Sequence[Pair], extra: Sequence[str], options: SmallOptions, out: Path) -> dict[str, Any]:
    """Tokenizer, weights and a little language modelling on `pairs` and the texts `extra`. Effect: writes `out`.

    Give training pairs only: what is read here counts as seen.
    """
    if (out / "config.json").exists():
        return dict(json.loads((out / "small.json").read_text("utf-8")))
    texts = [*_pair_texts(pairs), *extra]
    tokenizer = make_tokenizer(texts, options)
    model = make_model(tokenizer, options)
    work = out.with_name(out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    task = text_task(texts, tokenizer, options)
    losses: list[float] = []
    if options.steps:
        per_epoch = max(1, task.size // options.batch)
        run = TrainOptions(
            student=options.architecture,
            head="generate",
            tune="full",
            epochs=options.steps / per_epoch,
            batch=options.batch,
            learning_rate=options.learning_rate,
            seed=options.seed,
        )
        model = train(model, task, run, work, lambda step, loss: losses.append(loss))
    report = {
        "architecture": options.architecture,
        **describe(model),
        "vocabulary": len(tokenizer),
        "texts": len(texts),
        "tokens read": options.steps * options.batch * options.context,
        "last loss": losses[-1] if losses else None,
    }
    work.joinpath("small.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    tokenizer.save_pretrained(work)
    model.config.use_cache = True
    model.save_pretrained(work, safe_serialization=True)
    remove_checkpoint(work)
    if out.exists():
        shutil.rmtree(out)
    work.rename(out)
    return report


def make_tokenizer(texts: Iterable[str], options: SmallOptions) -> Any:
    """Byte-level BPE over `texts`, with the chat format of the architecture."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    hub: Any = importlib.import_module("transformers")
    chat, template = _CHAT[options.architecture]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary,
        special_tokens=[END, *chat],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator((text.encode("utf-8", "replace").decode() for text in texts), trainer)
    tokenizer: Any = hub.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=END,
        pad_token=END,
        model_max_length=options.positions,
        additional_special_tokens=list(chat),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


def make_model(tokenizer: Any, options: SmallOptions) -> Any:
    """A causal language model with random weights and tied embeddings."""
    hub: Any = importlib.import_module("transformers")
    common: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": options.hidden,
        "intermediate_size": 8 * options.hidden // 3 // 8 * 8,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "num_key_value_heads": options.heads,
        "max_position_embeddings": options.positions,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(options.seed)
    if options.architecture == "qwen2":
        model = hub.Qwen2ForCausalLM(hub.Qwen2Config(**common))
    else:
        phi = hub.Phi3Config(**common, original_max_position_embeddings=options.positions)
        model = hub.Phi3ForCausalLM(phi)
    match_attention(model)
    return model


@torch.no_grad()
def match_attention(model: Any) -> None:
    """Effect: keys start as queries do, so that every head first attends to tokens like its own.

    Pretrained models show this structure; starting from it spares a small one most of the reading (Trockman &
    Kolter 2023, "Mimetic initialization of self-attention layers", §3).
    """
    width = int(model.config.hidden_size)
    for layer in model.model.layers:
        attention = layer.self_attn
        if hasattr(attention, "qkv_proj"):
            attention.qkv_proj.weight[:width] *= _SHARPER
            attention.qkv_proj.weight[width : 2 * width] = attention.qkv_proj.weight[:width]
        else:
            attention.q_proj.weight.mul_(_SHARPER)
            attention.k_proj.weight.copy_(attention.q_proj.weight)


#: How much larger than usual queries and keys start: at the usual scale attention would be all but uniform.
_SHARPER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTask:
    """Running text in windows of one length."""

    windows: Tensor
    """int64 (n, context)."""

    @property
    def size(self) -> int:
        return len(self.windows)

    @property
    def difficulty(self) -> Sequence[float]:
        return [0.0] * len(self.windows)

    @property
    def counts(self) -> Mapping[str, int]:
        return {"windows": len(self.windows)}

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.windows.numpy().tobytes()).hexdigest()[:16]

    def weight(self, rows: Sequence[int]) -> float:
        return float(len(rows) * (self.windows.shape[1] - 1))

    def loss(self, module: nn.Module, rows: Sequence[int], device: torch.device) -> Tensor:
        ids = self.windows[list(rows)].to(device)
        return answer_loss(module(input_ids=ids, use_cache=False).logits, ids)[0]


def text_task(texts: Sequence[str], tokenizer: Any, options: SmallOptions) -> TextTask:
    """`texts` one after the other, each ended by the end token; what does not fill a window is left out."""
    ids: list[int] = []
    for text in texts:
        whole = text.encode("utf-8", "replace").decode()
        ids += [*tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"], tokenizer.eos_token_id]
    count = len(ids) // options.context
    if count < options.batch:
        raise UsageError(f"{len(ids):,} tokens of text are too few to learn from; give more pairs.")
    return TextTask(windows=torch.tensor(ids[: count * options.context]).view(count, options.context))


def _pair_texts(pairs: Sequence[Pair]) -> list[str]:
    """Pairs in turn as atoms in the frame of the heads, and as source in the prompt of the generate head."""
    prompt = prompt_of(LATEST)
    texts = []
    for number, (pair, (left, right)) in enumerate(zip(pairs, normalised(pairs), strict=True)):
        if number % 2:
            texts.append(f"{prompt.messages(pair)[1]['content']}{FORCED}")
        else:
            texts.append(f"{JOINT[0]}{render(left)}{JOINT[1]}{render(right)}{JOINT[2]}")
    return texts
