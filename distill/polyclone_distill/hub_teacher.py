"""`--teacher hf:NAME`: what an encoder of Hugging Face makes of every training unit, kept as a file of vectors.

A name that is a folder is never looked up on the hub. No code of a model's author runs, and weights are safetensors
only. The trainer reads the file; it never sees the encoder, which has a vocabulary of its own.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from polyclone.errors import UsageError
from polyclone.values import ATOM_SEPARATOR

from .trainer.architecture import masked_mean
from .trainer.run import HUB
from .trainer.shards import DOC, Shard
from .trainer.vectors import SUFFIX, save_vectors

log = logging.getLogger(__name__)

#: A unit is read up to here, in the teacher's own tokens.
TOKENS = 256
_BATCH = 32
_WEIGHTS = "*.safetensors"
#: What decides a vector besides the weights: configuration and tokenizer.
_BESIDE = ("*.json", "*.txt", "*.model")


def resolve_teachers(teachers: Sequence[Path], data: Path, folder: Path) -> tuple[Path, ...]:
    """`teachers` with a file of vectors, made or found in `folder`, in place of every `hf:NAME`."""
    return tuple(
        embed_units(str(path).removeprefix(HUB), data, folder) if str(path).startswith(HUB) else path
        for path in teachers
    )


def embed_units(name: str, data: Path, folder: Path, *, tokens: int = TOKENS) -> Path:
    """The vectors that the encoder `name` (of the hub, or a folder) makes of the units of `data`, as a file.

    Effect: writes it to `folder`, under a name made of digests of model and texts, unless it is there. `UsageError`
    says what a model lacks, or that `data` has no texts.
    """
    if not name:
        raise UsageError(f"{HUB} needs a name or a folder, as in {HUB}microsoft/unixcoder-base.")
    model_folder = _folder_of(name)
    if not (data / "train.npz").exists():
        raise UsageError(f"{data} lacks train.npz; run `polyclone-distill prepare --out {data}` first.")
    shard = Shard.load(data / "train.npz")
    texts = unit_texts(data, shard)
    short = re.sub(r"[^\w.-]+", "-", name).strip("-.")[-40:]
    path = folder / f"teacher-{short}-{_digest(model_folder, texts, tokens)}{SUFFIX}"
    if path.exists():
        log.info("%s: the vectors are in %s", name, path)
        return path
    tokenizer, encoder = _load(model_folder, name)
    log.info("%s reads %d units, at most %d tokens of each", name, len(texts), tokens)
    vectors = mean_pooled(tokenizer, encoder, texts, _room(tokenizer, encoder, tokens))
    save_vectors(path, vectors, shard, name)
    return path


def unit_texts(data: Path, shard: Shard) -> list[str]:
    """The text of every unit of `shard`, in its order: code as words, documentation as it was written.

    `UsageError` if `data` has no `units.parquet`, or that of another shard.
    """
    source = data / "units.parquet"
    if not source.exists():
        raise UsageError(f"{source} does not exist, and a teacher of another kind needs the texts; run `prepare`.")
    columns = ["task", "split", "normalised", "qualified_name", "doc"]
    rows = pq.read_table(source, columns=columns).to_pylist()
    # `prepare` writes the units of the training split before those of the libraries, in the order of the shard.
    tasks = [row for row in rows if row["task"] is not None and row["split"] == "train"]
    units = [*tasks, *(row for row in rows if row["task"] is None)]
    documents = shard.kind == DOC
    if len(units) != int((~documents).sum()) or documents[: len(units)].any():
        raise UsageError(f"{source} and {data / 'train.npz'} are of different runs of `prepare`; run it again.")
    described = [units[int(partner)] for partner in shard.partner[documents]]
    return [
        *(as_words(row["normalised"]) for row in units),
        *(f"{row['qualified_name']} {row['doc']}".strip() for row in described),
    ]


def as_words(normalised: str) -> str:
    """A normalised unit as plain text: words, operators and literals apart, `(` behind what is called."""
    return " ".join(_word(atom) for atom in normalised.split(ATOM_SEPARATOR) if atom)


def _word(atom: str) -> str:
    kind, text = atom[0], atom[1:]
    if kind == "s":
        return f'"{text}"'
    return f"{text} (" if kind == "c" else text


def mean_pooled(tokenizer: Any, encoder: Any, texts: Sequence[str], tokens: int) -> NDArray[np.float16]:
    """Mean of the last states over the tokens that are no padding, as unit vectors float16 (n, width)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder.to(device).eval()
    # Short texts together: what is padded is read for nothing.
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out: NDArray[np.float16] | None = None
    done = 0
    for rows in _batches(order, _BATCH):
        given = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=tokens,
                          return_tensors="pt")  # fmt: skip
        ids, mask = given["input_ids"].to(device), given["attention_mask"].to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors = torch.nn.functional.normalize(masked_mean(states, mask), dim=-1, eps=1e-6).cpu().numpy()
        if out is None:
            out = np.zeros((len(texts), vectors.shape[1]), dtype=np.float16)
        out[rows] = vectors
        if (done + len(rows)) // 6400 > done // 6400:
            log.info("%d of %d units read", done + len(rows), len(texts))
        done += len(rows)
    return out if out is not None else np.zeros((0, 0), dtype=np.float16)


def _batches(order: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(order), size):
        yield list(order[start : start + size])


def _folder_of(name: str) -> Path:
    """The folder with the model's files; those of a hub name are fetched first."""
    if Path(name).is_dir():
        folder = Path(name)
    else:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(name, allow_patterns=[_WEIGHTS, *_BESIDE]))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f"there is no folder {name}, and the hub gives no such model ({reason});"
                " give a folder with config.json, tokenizer and *.safetensors."
            ) from error
    if not any(folder.glob(_WEIGHTS)):
        raise UsageError(
            f"{name} has no *.safetensors, and other formats may run code when they are read;"
            " load it elsewhere and save it with `save_pretrained(folder)`, then give that folder."
        )
    return folder


def _load(folder: Path, name: str) -> tuple[Any, Any]:
    """Tokenizer and encoder; of an encoder-decoder its encoder."""
    import transformers

    kinds: tuple[Any, Any] = transformers.AutoTokenizer, transformers.AutoModel
    try:
        tokenizer = kinds[0].from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model = kinds[1].from_pretrained(
            folder, trust_remote_code=False, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"{name} cannot be a teacher: {reason} Models that need code of their author are not loaded; give one"
            " that transformers knows, with its tokenizer."
        ) from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise UsageError(f"{name} has a tokenizer without a padding token; give another model.")
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer, model.get_encoder() if model.config.is_encoder_decoder else model


def _room(tokenizer: Any, encoder: Any, tokens: int) -> int:
    """At most `tokens`, and no more than tokenizer and model have positions for."""
    positions = getattr(encoder.config, "max_position_embeddings", None) or tokens
    # RoBERTa numbers its positions from behind that of the padding.
    taken = (encoder.config.pad_token_id or 0) + 1 if "roberta" in encoder.config.model_type else 0
    return max(8, min(tokens, int(tokenizer.model_max_length), positions - taken))


def _digest(folder: Path, texts: Sequence[str], tokens: int) -> str:
    """Of model and tokenizer, and of what is read."""
    told = hashlib.sha256(str(tokens).encode())
    for path in sorted({path for pattern in (_WEIGHTS, *_BESIDE) for path in folder.glob(pattern)}):
        told.update(path.name.encode())
        with path.open("rb") as file:
            told.update(hashlib.file_digest(file, "sha256").digest())
    for text in texts:
        told.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return told.hexdigest()[:16]
