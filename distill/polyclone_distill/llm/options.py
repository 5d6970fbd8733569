"""What a training run of a language-model student is asked to do. Values only; checked once, when they are made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polyclone.errors import UsageError

GENERATE, BINARY, CONTRASTIVE = "generate", "binary", "contrastive"
HEADS = (GENERATE, BINARY, CONTRASTIVE)
TARGETS = ("full", "reasoning", "conclusion", "simple")
TUNES = ("lora", "full", "head")
LOSSES = ("sides", "pair")
CORRECTNESS = ("any", "correct", "incorrect")
ORDERS = ("shuffled", "easy-first")
LAYOUTS = ("joint", "sides")
_CHOICES = {
    "head": HEADS,
    "target": TARGETS,
    "tune": TUNES,
    "loss": LOSSES,
    "correctness": CORRECTNESS,
    "order": ORDERS,
    "layout": LAYOUTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Low-rank adapters (Hu et al. 2021). The defaults are those of Khajezade et al. 2026."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = ("all-linear",)
    """Names of modules, or `all-linear`: every linear layer of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """One run. What stands in the run's `run.json`, and what must not change when it is resumed."""

    student: str
    """A hub name, or a folder that `save_pretrained` or `small-llm` wrote."""
    head: str
    tune: str = "lora"
    """`lora`: adapters and head; `full`: everything; `head`: the head alone."""
    lora: LoraOptions = LoraOptions()
    four_bit: bool = False
    bf16: bool = False
    gradient_checkpointing: bool = False
    epochs: float = 5.0
    batch: int = 8
    """Examples of one step, over all processes."""
    micro_batch: int = 0
    """Examples at a time on one device; 0 takes the whole batch. Contrastive steps are never divided."""
    learning_rate: float = 1e-4
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises; it then falls to 0 in a straight line."""
    weight_decay: float = 0.01
    clip: float = 1.0
    tokens_per_side: int = 1024
    """No side of a pair gets more tokens; what is cut is taken from its middle and counted."""
    answer_tokens: int = 1024
    """`generate`: longer answers are left out of training and counted."""
    target: str = "full"
    correctness: str = "any"
    """Which traces train `generate`: `any`, or only those whose verdict is the label, or is not."""
    layout: str = "joint"
    """`binary`: both programs in one prompt, or each read apart (`sides`)."""
    dropout: float = 0.1
    dimension: int = 256
    """`contrastive`: length of the vectors."""
    temperature: float = 0.07
    loss: str = "sides"
    """`contrastive`: `sides` compares programs (InfoNCE with several positives); `pair` is the paper's variant."""
    order: str = "shuffled"
    seed: int = 1
    save_every: int = 100
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}; choose from {', '.join(known)}.")
        for name in ("epochs", "batch", "learning_rate", "tokens_per_side", "answer_tokens", "dimension",
                     "temperature", "save_every"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise UsageError(f"{name.replace('_', ' ')} must be more than 0.")
        if not 0.0 <= self.warmup < 1.0 or not 0.0 <= self.dropout < 1.0:
            raise UsageError("warm-up and dropout must lie in 0…1, 1 excluded.")
        if self.tune == "head" and self.head == GENERATE:
            raise UsageError("the generate head is the body itself; there is no head to tune alone.")
        if self.tune == "full" and self.four_bit:
            raise UsageError("a 4-bit base cannot be trained whole; use LoRA with it.")
        if self.tokens_per_side < 16:
            raise UsageError("a side needs at least 16 tokens.")

    @property
    def micro(self) -> int:
        whole = self.micro_batch == 0 or self.head == CONTRASTIVE
        return self.batch if whole else min(self.micro_batch, self.batch)

    def with_(self, **changes: object) -> TrainOptions:
        return replace(self, **changes)  # type: ignore[arg-type]
