"""What export costs and gains: functions a second, memory and quality of the torch module and of each graph.

    python benchmarks/export.py [--encoder RUN --data DIR] [--units N]

One run, one table. Every row runs in a process of its own on one core, unit by unit as in use, on the same real
functions; memory is the most that process held beyond what it held before it had the model and the library that
runs it. Half precision runs on CUDA where a device answers, else on the CPU, where only its quality means
something. Quality is the cross-language MRR of the functions, and how many verdicts of the shipped pair head differ
from the module's. Without a run the module is of the usual size with random weights: then speed and memory mean
something, and of quality only the difference between the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = ("torch eager", "onnx float32", "onnx int8", "onnx fp16")
#: Graph and device of each row but the first.
GRAPHS = {
    "onnx float32": ("float32.onnx", "cpu"),
    "onnx int8": ("int8.onnx", "cpu"),
    "onnx fp16": ("fp16.onnx", "cuda"),
}


def default_run() -> tuple[Path | None, Path | None]:
    """The newest encoder and data of this checkout, if any was trained here."""
    runs = Path(__file__).parents[1] / "runs"
    encoders = sorted([*runs.glob("*/best.pt"), *runs.glob("enc*.pt")], key=lambda path: path.stat().st_mtime)
    data = runs / "prepared"
    return (encoders[-1], data) if encoders and data.exists() else (None, None)


def random_run(folder: Path) -> Path:
    """An encoder of the usual size with random weights over the shipped vocabularies."""
    import torch
    from polyclone.artifact import LEXICON, TOKENIZER, load_bundle
    from polyclone.tokenizer import Lexicon, WordPiece
    from polyclone_distill.trainer.model import Encoder, EncoderConfig
    from polyclone_distill.trainer.run import pack

    bundle = load_bundle()
    vocabulary = len(WordPiece.from_json(bundle.text(TOKENIZER)).vocabulary)
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(vocabulary=vocabulary, lexicon=Lexicon.from_text(bundle.text(LEXICON)).size))
    path = folder / "random.pt"
    torch.save(pack(encoder.config, encoder.state_dict()), path)
    return path


def texts(data: Path | None, folder: Path) -> Path:
    """A folder with the vocabularies that the encoder reads with."""
    if data is not None:
        return data
    from polyclone.artifact import LEXICON, TOKENIZER, load_bundle

    bundle = load_bundle()
    for name in (TOKENIZER, LEXICON):
        (folder / name).write_bytes(bundle.read(name))
    return folder


def prepare(encoder: Path, data: Path, with_samples: bool, folder: Path, units: int) -> None:
    """Effect: graphs, units and labels in `folder`, for the processes that measure."""
    from polyclone_export.encoders import OPSET, compact_part
    from polyclone_export.rounding import halve, quantise_int8
    from polyclone_export.samples import Sample, probes, read_sample
    from polyclone_export.split import MAX_GRAPH_BYTES

    whole = probes() + read_sample(data) if with_samples else probes()
    # The first so many: a stride would tear the functions of one task apart, and leave nothing to retrieve.
    sample = Sample(units=whole.units[:units], classes=whole.classes[:units], languages=whole.languages[:units])
    part = compact_part(encoder, data, sample)
    part.export(folder / "float32.onnx", road="dynamo", opset=OPSET, max_bytes=MAX_GRAPH_BYTES)
    quantise_int8(folder / "float32.onnx", folder / "int8.onnx")
    halve(folder / "float32.onnx", folder / "fp16.onnx")
    content = {"units": sample.units, "classes": sample.classes, "languages": sample.languages}
    (folder / "sample.json").write_text(json.dumps(content), "utf-8")


def measure(row: str, encoder: Path, data: Path, folder: Path) -> dict[str, Any]:
    """One row: encodes every unit alone; keeps the vectors in `folder`."""
    import numpy as np
    from polyclone.artifact import LEXICON, TOKENIZER
    from polyclone.encode.onnx import INPUTS, OUTPUT, compact_feed
    from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
    from polyclone.values import ATOM_SEPARATOR

    sample = json.loads((folder / "sample.json").read_text("utf-8"))
    texts = {name: (data / name).read_text("utf-8") for name in (TOKENIZER, LEXICON)}
    tokenizer = Tokenizer(WordPiece.from_json(texts[TOKENIZER]), Lexicon.from_text(texts[LEXICON]), 256)
    atoms = [unit.split(ATOM_SEPARATOR) for unit in sample["units"]]
    feeds = [compact_feed([tokenizer.ids(a)[0]], [tokenizer.bag(a)]) for a in atoms]
    before = peak_mb()
    if row == "torch eager":
        import torch
        from polyclone_distill.trainer.run import load_encoder
        from polyclone_export.parity import run_torch

        torch.set_num_threads(1)
        module = load_encoder(encoder).eval()

        where = "CPU"

        def encode(feed: Any) -> Any:
            return run_torch(module, [feed[name] for name in INPUTS])
    else:
        from polyclone.encode.runtime import provider, run, session

        file, device = GRAPHS[row]
        made = session((folder / file).read_bytes(), file, device=device)
        where = provider(made).removesuffix("ExecutionProvider")

        def encode(feed: Any) -> Any:
            return run(made, feed, OUTPUT)

    encode(feeds[0])
    started = time.perf_counter()
    vectors = np.concatenate([encode(feed) for feed in feeds])
    elapsed = time.perf_counter() - started
    np.save(folder / f"{row}.npy", vectors, allow_pickle=False)
    return {"where": where, "functions_per_s": len(feeds) / elapsed, "memory_mb": peak_mb() - before}


def peak_mb() -> float:
    """The most this process ever held. Not `ru_maxrss` where it can be helped: that begins with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def quality(row: str, folder: Path) -> dict[str, Any]:
    """MRR, least cosine with the module's vectors, and verdicts that differ from the module's."""
    import numpy as np
    from polyclone.artifact import LEXICON, load_bundle
    from polyclone.tokenizer import Lexicon
    from polyclone.verify import Verifier
    from polyclone_distill.trainer.loop import cross_language_mrr
    from polyclone_export.samples import Sample
    from polyclone_export.verdicts import near_pairs, pair_features

    sample = Sample(**{k: tuple(v) for k, v in json.loads((folder / "sample.json").read_text("utf-8")).items()})
    module, found = (np.load(folder / f"{name}.npy") for name in (ROWS[0], row))
    bundle = load_bundle()
    known: dict[str, Any] = {
        "mrr": cross_language_mrr(found, sample.labels, sample.language_numbers),
        "least_cosine": float((module * found).sum(1).min()),
    }
    if module.shape[1] == bundle.manifest.dimension:
        verifier = Verifier(bundle, Lexicon.from_text(bundle.text(LEXICON)))
        left, right = near_pairs(module, sample)
        least = bundle.manifest.calibration.threshold()
        a, b = (
            verifier.probabilities(pair_features(bundle, v, sample, left, right)) >= least for v in (module, found)
        )
        known["changed"] = f"{int((a != b).sum())} of {len(a)}"
    return known


def main() -> None:
    encoder, data = default_run()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, default=encoder, help="best.pt; default: the newest in runs/")
    parser.add_argument("--data", type=Path, default=data, help="what `prepare` wrote; default: runs/prepared")
    parser.add_argument("--units", type=int, default=96, help="functions to encode; default: 96")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.encoder, options.data, options.folder)))
        return
    trained = options.encoder is not None and options.data is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = options.encoder if trained else random_run(folder)
        vocabularies = options.data if trained else texts(None, folder)
        prepare(run, vocabularies, trained, folder, options.units)
        sizes = {file.stem: file.stat().st_size / 1e6 for file in folder.glob("*.onnx")}
        print(f"{run.name if trained else 'random weights'}; graphs in MB: "
              + ", ".join(f"{k} {v:.1f}" for k, v in sorted(sizes.items())))  # fmt: skip
        print(f"{'':14} {'on':5} {'functions/s':>12} {'memory MB':>10} {'MRR':>7} {'least cosine':>13}"
              f" {'verdicts changed':>17}")  # fmt: skip
        for row in ROWS:
            command = [sys.executable, __file__, "--child", row, "--folder", name, "--encoder", str(run), "--data",
                       str(vocabularies)]  # fmt: skip
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            found = json.loads(done.stdout.splitlines()[-1])
            known = quality(row, folder)
            print(f"{row:14} {found['where']:5} {found['functions_per_s']:12.1f} {found['memory_mb']:10.0f}"
                  f" {known['mrr']:7.4f} {known['least_cosine']:13.6f} {known.get('changed', '-'):>17}")  # fmt: skip


if __name__ == "__main__":
    main()
