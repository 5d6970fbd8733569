"""A student that no file holds in float32, from random weights to a bundle that the engine loads, at full size.

    python tests/support/large_student.py FOLDER [--layers N] [--int4]

Qwen2 with the vocabulary of Qwen2.5-Coder, width 3072, and as many layers as asked for: 0.47 billion parameters, and
0.1 a layer. Prints seconds, the most memory that the process of each step held, and sizes. It is a proof of size:
compared is on 14 functions only, and the bounds of the rounded graph are wide, because a ranking by random weights
means nothing; those of float32 are the usual ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

BUDGET, DIMENSION = 96, 256


def make(folder: Path, layers: int) -> None:
    """Effect: the run in `run/`, tiny prepared data in `prepared/`."""
    import torch
    from polyclone.encode.prompts import PROMPT_VERSION
    from polyclone.normalise import NORMALISER_VERSION
    from polyclone_distill.llm.heads import Body
    from polyclone_distill.llm.saved import StudentRecord, build, save_student
    from polyclone_distill.prepare import prepare
    from polyclone_export.samples import probes
    from transformers import Qwen2Config, Qwen2Model

    from support.corpus import exercises, libraries, write_rows
    from support.students import text_tokenizer

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=3072,
        intermediate_size=8192,
        num_hidden_layers=layers,
        num_attention_heads=24,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        use_cache=False,
    )
    record = StudentRecord(
        head="contrastive",
        token_budget=BUDGET,
        normaliser_version=NORMALISER_VERSION,
        prompt_version=PROMPT_VERSION,
        dimension=DIMENSION,
    )
    module = build(Body(Qwen2Model(config)), record).eval()
    save_student(folder / "run", record, module, text_tokenizer(probes().units))
    tasks = write_rows(folder / "tasks.parquet", exercises())
    repositories = write_rows(folder / "repositories.parquet", libraries())
    prepare([tasks], [repositories], folder / "prepared", jobs=1, layers=1)
    print(json.dumps({"parameters": sum(value.numel() for value in module.parameters())}))


def export(folder: Path, precision: str) -> None:
    """Effect: the bundle in `out/`."""
    from polyclone_export import bundle, parity
    from polyclone_export.samples import Sample

    whole = bundle.probes()
    rows = range(0, 42, 3)
    few = Sample(
        units=tuple(whole.units[i] for i in rows),
        classes=tuple(whole.classes[i] for i in rows),
        languages=tuple(whole.languages[i] for i in rows),
    )
    bundle.probes = lambda: few  # type: ignore[assignment]
    bundle.read_sample = lambda _: Sample(units=(), classes=(), languages=())

    wide = dataclasses.replace(
        parity.BOUNDS[precision], least_cosine=0.5, most_difference=1.0, most_loss=1.0, most_changed=1.0
    )
    parity.BOUNDS[precision] = wide
    recipe = bundle.Recipe(encoder=folder / "run", prepared=folder / "prepared", int4=precision == "int4")
    manifest = bundle.write_bundle(recipe, folder / "out")
    print(json.dumps(manifest.parity, indent=1))


def load(folder: Path) -> None:
    """What a person does with it: loads it, and finds the nearest of a few functions."""
    from polyclone.model import load_model

    from support.polyglot import TOTAL_ABOVE

    model = load_model(folder / "out")
    vectors = model.encode([(code, language) for language, code in list(TOTAL_ABOVE.items())[:4]])
    print(json.dumps({"vectors": vectors.shape, "provider": model.provider}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--layers", type=int, default=2, metavar="N")
    parser.add_argument("--int4", action="store_true")
    parser.add_argument("--step", choices=("make", "export", "load"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    precision = "int4" if options.int4 else "int8"
    steps = {
        "make": lambda: make(options.folder, options.layers),
        "export": lambda: export(options.folder, precision),
        "load": lambda: load(options.folder),
    }
    if options.step:
        steps[options.step]()
        print(json.dumps({"peak_mb": _peak_mb()}))
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for step in steps:
        if step == "make" and (options.folder / "prepared").exists():
            continue
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *sys.argv, "--step", step], stdout=subprocess.PIPE, text=True, check=False
        )
        print(f"== {step}: {time.perf_counter() - began:.0f} s\n{done.stdout}", flush=True)
        if done.returncode:
            return done.returncode
    for path in sorted((options.folder / "out").iterdir()):
        print(f"{path.stat().st_size / 1e6:10,.1f} MB  {path.name}")
    return 0


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text("utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return round(float(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
