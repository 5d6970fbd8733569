"""Students by hub name or from a folder: tokenizer, body, language model; LoRA; 4-bit bases.

A name that is a folder is never looked up on the hub. No remote code runs, and weights are safetensors only.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from polyclone.errors import UsageError

from .options import LoraOptions, TrainOptions


def load_tokenizer(name: str) -> Any:
    """A fast tokenizer with a padding token. `UsageError` if there is none under that name."""
    import transformers

    auto: Any = transformers.AutoTokenizer
    try:
        tokenizer = auto.from_pretrained(name, trust_remote_code=False, **_local(name))
    except (OSError, ValueError) as error:
        raise UsageError(_absent(name, error)) from error
    if not tokenizer.is_fast:
        raise UsageError(f"{name} has no tokenizer.json, and a student needs one; choose another student.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer_json(tokenizer: Any) -> str:
    """The content of its `tokenizer.json`."""
    return str(tokenizer.backend_tokenizer.to_str())


def load_model(name: str, *, causal: bool, four_bit: bool = False, bf16: bool = False) -> Any:
    """A decoder with (`causal`) or without its language-model head, on the CPU, or on the GPU if it is 4-bit."""
    import transformers

    kind: Any = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
    more: dict[str, Any] = {"dtype": torch.bfloat16 if bf16 else torch.float32}
    if four_bit:
        more |= {"quantization_config": _four_bit(bf16), "device_map": {"": torch.cuda.current_device()}}
    try:
        model = kind.from_pretrained(name, trust_remote_code=False, use_safetensors=True, **more, **_local(name))
    except (OSError, ValueError) as error:
        raise UsageError(_absent(name, error)) from error
    model.config.use_cache = False
    return model


def prepare_for_training(model: Any, options: TrainOptions, *, causal: bool) -> Any:
    """`model` with what `options.tune` leaves trainable. Effect: changes `model`."""
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if options.four_bit:
        import peft

        ready: Any = peft.prepare_model_for_kbit_training
        model = ready(model, use_gradient_checkpointing=options.gradient_checkpointing)
    if options.tune == "lora":
        return add_lora(model, options.lora, causal=causal)
    model.requires_grad_(options.tune == "full")
    return model


def add_lora(model: Any, options: LoraOptions, *, causal: bool) -> Any:
    """`model` frozen, with adapters. `UsageError` if no module has the names that were asked for."""
    from peft import LoraConfig, TaskType, get_peft_model

    targets: str | list[str] = list(options.targets)
    if options.targets == ("all-linear",):
        targets = linear_names(model)
    config = LoraConfig(
        r=options.r,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets,
        bias="none",
        task_type=TaskType.CAUSAL_LM if causal else TaskType.FEATURE_EXTRACTION,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise UsageError(f"LoRA finds no place: {error}") from error


def linear_names(model: Any) -> list[str]:
    """Names of the linear layers of the body, without the language-model head: `q_proj`, …, `down_proj`.

    The language-model head is left out by name, since a tied one would change the embedding.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    found = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    return sorted(found)


def base_folder(name: str) -> Path:
    """The folder in which the weights of `name` lie; for a hub name, in the hub's cache."""
    if Path(name).is_dir():
        return Path(name).resolve()
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, local_files_only=True))


def merge(run: Path, out: Path) -> None:
    """Effect: writes the model of a run with its adapters merged to `out`, as a folder that loads like any other.

    Of a run with a head only the body is written, as a language model with the base's own output layer.
    """
    from peft import PeftModel

    from .runs import read_run

    record = read_run(run)
    if not (run / "adapter").is_dir():
        raise UsageError(f"{run} has no adapter to merge; it was trained with --tune {record.options.tune}.")
    model = load_model(record.base, causal=True)
    tokenizer = load_tokenizer(record.base)
    inner = model if record.options.head == "generate" else model.base_model
    merged = PeftModel.from_pretrained(inner, run / "adapter").merge_and_unload()
    if inner is not model:
        setattr(model, model.base_model_prefix, merged)
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)


def _four_bit(bf16: bool) -> Any:
    """NF4 with double quantisation (Dettmers et al. 2023). `UsageError` without what it needs."""
    if find_spec("bitsandbytes") is None:
        raise UsageError("--four-bit needs bitsandbytes: pip install bitsandbytes, or leave the option out.")
    if not torch.cuda.is_available():
        raise UsageError("--four-bit needs an NVIDIA GPU, and none is visible; leave the option out.")
    import transformers

    config: Any = transformers.BitsAndBytesConfig
    return config(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if bf16 else torch.float32,
    )


def _local(name: str) -> dict[str, bool]:
    return {"local_files_only": True} if Path(name).is_dir() else {}


def _absent(name: str, error: Exception) -> str:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{name} cannot be loaded ({first}); give a hub name or a folder with config.json and safetensors."
