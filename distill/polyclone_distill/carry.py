"""`bundle-trainer`: shards, start and trainer in one small folder, for a machine with torch and no network.

The trainer package is copied as it stands; it imports torch and numpy only. The random part of the start (the
lexicon, which is two thirds noise) is left out and drawn again from its scales on arrival.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.errors import UsageError

from . import trainer
from .trainer.settings import config_folder
from .trainer.shards import SHARD_VERSION, Shard

NEEDED = ("train.npz", "valid.npz", "stand_ins.npz", "ids.json", "start.pt", "tokenizer.json", "lexicon.tsv")
MAX_BYTES = 60 * 1000 * 1000
#: What of a long unit travels. A run with a larger `--budget` than this sees no more.
CARRIED_TOKENS, CARRIED_WORDS = 254, 200

_README = """# Training without a network

    python -m trainer data OUT --steps 60                                  # a smoke run
    python -m trainer data OUT --steps 6000 --pairs 512 --budget 256       # on an accelerator
    python -m trainer data TEACHER --config teacher-80m                    # a recipe of configs/
    python -m trainer data OUT --config conv-3m --teacher TEACHER --method ft,kd

Needs torch and numpy. A run resumes from `OUT/checkpoint.pt`; the best weights are in `OUT/best.pt`, in half
precision. Bring `best.pt` and `steps.jsonl` back; `polyclone-export bundle --encoder best.pt` takes it from there.
"""


def pack_trainer(data: Path, out: Path) -> dict[str, Any]:
    """Effect: replaces the folder `out`. Returns sizes and digests; `UsageError` if it would exceed 60 MB."""
    missing = [name for name in NEEDED if not (data / name).exists()]
    if missing:
        raise UsageError(f"{data} lacks {', '.join(missing)}; run `polyclone-distill prepare --out {data}` first.")
    if out.exists() and (out.resolve() == data.resolve() or not (out / "trainer").is_dir()) and any(out.iterdir()):
        raise UsageError(f"{out} holds something else than a packed trainer; give an empty or a new folder.")
    shutil.rmtree(out, ignore_errors=True)
    (out / "data").mkdir(parents=True)
    package = Path(trainer.__file__).parent
    shutil.copytree(package, out / "trainer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(config_folder(), out / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("valid.npz", "stand_ins.npz", "ids.json", "tokenizer.json", "lexicon.tsv"):
        shutil.copy(data / name, out / "data" / name)
    pack_shard(data / "train.npz", out / "data" / "train.npz")
    _pack_start(data / "start.pt", out / "data" / "start.pt")
    (out / "README.md").write_text(_README, "utf-8")
    files = sorted(path for path in out.rglob("*") if path.is_file())
    total = sum(path.stat().st_size for path in files)
    if total > MAX_BYTES:
        raise UsageError(f"The folder would have {total:,} bytes, more than {MAX_BYTES:,}; prepare fewer libraries.")
    return {
        "bytes": total,
        "files": {
            str(path.relative_to(out)): [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
            for path in files
        },
    }


def pack_shard(source: Path, target: Path) -> None:
    """Effect: writes the shard with the middle of long units left out, as the views of a run would do anyway."""
    shard = Shard.load(source)
    tokens = _kept(shard.token_offsets, CARRIED_TOKENS)
    words = _kept(shard.word_offsets, CARRIED_WORDS)
    cut = dataclasses.replace(
        shard,
        tokens=shard.tokens[tokens],
        token_owner=shard.token_owner[tokens],
        token_start=shard.token_start[tokens],
        token_offsets=_offsets(shard.token_offsets, CARRIED_TOKENS),
        words=shard.words[words],
        word_owner=shard.word_owner[words],
        word_offsets=_offsets(shard.word_offsets, CARRIED_WORDS),
    )
    # LZMA takes a minute and a fifth off; `numpy.load` reads it like any other archive.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        fields = {field.name: getattr(cut, field.name) for field in dataclasses.fields(cut)}
        for name, array in {"version": np.array(SHARD_VERSION), **fields}.items():
            buffer = BytesIO()
            np.save(buffer, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", buffer.getvalue())


def _kept(offsets: NDArray[np.int64], room: int) -> NDArray[np.bool_]:
    """Mask over flat values: the first five eighths and the last three of each unit longer than `room`."""
    lengths = np.diff(offsets)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    left = np.repeat(lengths, lengths) - place
    head = room * 5 // 8
    return np.asarray((np.repeat(lengths, lengths) <= room) | (place < head) | (left <= room - head))


def _offsets(offsets: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.minimum(np.diff(offsets), room))]).astype(np.int64)


def _pack_start(source: Path, target: Path) -> None:
    import torch

    saved = torch.load(source, map_location="cpu", weights_only=True)
    lexicon = saved["state"].pop("lexicon.weight").float()
    saved["lexicon_scale"] = lexicon.norm(dim=1).half()
    torch.save(saved, target)
