"""`bundle-trainer`: shards, start and trainer in one small folder, for a machine with torch and no network.

The trainer package is copied as it stands; it imports torch and numpy only. The random part of the start (the
lexicon, which is two thirds noise) is left out and drawn again from its scales on arrival.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from polyclone.errors import UsageError

from . import trainer
from .trainer.shards import Shard

NEEDED = ("train.npz", "valid.npz", "stand_ins.npz", "ids.json", "start.pt", "tokenizer.json", "lexicon.tsv")
MAX_BYTES = 60 * 1000 * 1000

_README = """# Training without a network

    python -m trainer data OUT --steps 60                                  # a smoke run
    python -m trainer data OUT --steps 6000 --pairs 512 --budget 256       # on an accelerator

Needs torch and numpy. A run resumes from `OUT/checkpoint.pt`; the best weights are in `OUT/best.pt`, in half
precision. Bring `best.pt` and `steps.jsonl` back; `polyclone-export bundle --encoder best.pt` takes it from there.
"""


def pack_trainer(data: Path, out: Path) -> dict[str, Any]:
    """Effect: replaces the folder `out`. Returns sizes and digests; `UsageError` if it would exceed 60 MB."""
    missing = [name for name in NEEDED if not (data / name).exists()]
    if missing:
        raise UsageError(f"{data} lacks {', '.join(missing)}; run `polyclone-distill prepare --out {data}` first.")
    shutil.rmtree(out, ignore_errors=True)
    (out / "data").mkdir(parents=True)
    package = Path(trainer.__file__).parent
    shutil.copytree(package, out / "trainer", ignore=shutil.ignore_patterns("__pycache__"))
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
    """Effect: writes the shard with bzip2, a fifth smaller than deflate; `Shard.load` reads it all the same."""
    import zipfile
    from io import BytesIO

    Shard.load(source)
    with np.load(source, allow_pickle=False) as arrays, zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2) as archive:
        for name in arrays.files:
            buffer = BytesIO()
            np.save(buffer, arrays[name], allow_pickle=False)
            archive.writestr(f"{name}.npy", buffer.getvalue())


def _pack_start(source: Path, target: Path) -> None:
    import torch

    saved = torch.load(source, map_location="cpu", weights_only=True)
    lexicon = saved["state"].pop("lexicon.weight").float()
    saved["lexicon_scale"] = lexicon.norm(dim=1).half()
    torch.save(saved, target)
