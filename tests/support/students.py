"""Language-model students that are real but tiny: random weights, LoRA that changes them, a trained tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from polyclone.encode.prompts import JOINT, PROMPT_VERSION, SINGLE, render
from polyclone.normalise import NORMALISER_VERSION
from polyclone_distill.llm.heads import Body
from polyclone_distill.llm.saved import StudentRecord, build, save_student

TARGETS = {"qwen2": ["q_proj", "v_proj"], "phi3": ["qkv_proj", "o_proj"]}
BUDGET = 160
DIMENSION = 24


def text_tokenizer(units: tuple[str, ...], size: int = 400) -> str:
    """The `tokenizer.json` of byte-level BPE over the given units: every text has tokens, none is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*map(render, units), *SINGLE, *JOINT], trainer)
    return str(tokenizer.to_str())


def decoder(architecture: str, *, lora: bool = True, seed: int = 0) -> Any:
    """A Qwen2 or Phi-3 body of two layers, with adapters that change what it gives."""
    from peft import LoraConfig, get_peft_model
    from transformers import Phi3Config, Phi3Model, Qwen2Config, Qwen2Model

    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "vocab_size": 400, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "use_cache": False,
    }  # fmt: skip
    model: Any = Qwen2Model(Qwen2Config(**sizes)) if architecture == "qwen2" else Phi3Model(Phi3Config(**sizes))
    # Larger than what a model begins with, so that texts differ and adapters show.
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.15)
    if not lora:
        return model
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules=TARGETS[architecture]))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return tuned


def tiny_run(
    folder: Path, architecture: str, head: str, tokenizer: str, *, layout: str | None = None, **changes: Any
) -> Path:
    """The folder of a run, as training leaves it. `changes` replace fields of its record."""
    fields: dict[str, Any] = {
        "head": head,
        "token_budget": BUDGET,
        "normaliser_version": NORMALISER_VERSION,
        "prompt_version": PROMPT_VERSION,
        "layout": layout,
        "dimension": DIMENSION if head == "contrastive" else None,
    }
    record = StudentRecord(**{**fields, **changes})
    torch.manual_seed(1)
    module = build(Body(decoder(architecture)), record)
    if head == "binary":
        # A wide spread of logits, so that a verdict means something.
        binary = module.head.head if layout == "joint" else module.head  # type: ignore[union-attr]
        with torch.no_grad():
            binary.output.weight.mul_(20.0)  # type: ignore[union-attr]
    save_student(folder, record, module.eval(), tokenizer)
    return folder
