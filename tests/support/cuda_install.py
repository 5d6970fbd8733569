"""The runtime swapped for onnxruntime-gpu in a fresh environment, and every wrong state on the way there.

    python tests/support/cuda_install.py FOLDER

`FOLDER` becomes a virtual environment with polyclone in it, installed from this checkout. In each state `polyclone
model info` and `polyclone scan` run with `--device cuda`. What they say, and that the CPU does the work where no
device answers, is compared with what the documentation promises. Exits 1 and lists what is missing. Needs no GPU;
where one answers, the last state must use it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CPU, GPU = "onnxruntime", "onnxruntime-gpu"
FALLBACK = "CUDAExecutionProvider is not available here; running on the CPU instead. Reason: "
SWAP = f'pip uninstall -y {CPU} {GPU}, then pip install "{GPU}[cuda,cudnn]"'
ON_CPU = ("CPUExecutionProvider (cuda was asked for)",)
ON_GPU = ("CUDAExecutionProvider",)
BROKEN = (
    "The ONNX runtime is broken",
    f"pip uninstall -y {CPU} {GPU}, then pip install one of them",
)
NONE = ("No ONNX runtime is installed", f"pip install {CPU} (CPU), or {GPU} (CUDA), never both")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What pip does, and what polyclone must then say on stderr and, where it runs, in `model info`."""

    name: str
    pip: tuple[tuple[str, ...], ...]
    says: tuple[str, ...]
    """Parts that all occur."""
    runs: bool
    installed: tuple[str, ...] = ()


STATES = (
    State(
        name="as installed",
        pip=(),
        says=(FALLBACK, "the installed runtime has no such provider", SWAP),
        runs=True,
        installed=(CPU,),
    ),
    State(
        name="both",
        pip=(("install", GPU),),
        says=(FALLBACK, f"{CPU} and {GPU} are both installed and overwrite each other", SWAP),
        runs=True,
        installed=(CPU, GPU),
    ),
    State(
        name="one of both removed",
        pip=(("uninstall", "-y", CPU),),
        says=BROKEN,
        runs=False,
    ),
    State(
        name="neither",
        pip=(("uninstall", "-y", GPU),),
        says=NONE,
        runs=False,
    ),
    State(
        name="swapped",
        pip=(("install", GPU),),
        says=(FALLBACK, "no device answers, or CUDA or cuDNN cannot be loaded", "nvidia-smi"),
        runs=True,
        installed=(GPU,),
    ),
)


def main(folder: Path) -> int:
    """Effect: makes the environment, changes it from state to state; prints what is missing."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip(folder, "install", str(ROOT))
    wanted: Any = None
    failures: list[str] = []
    for state in STATES:
        for arguments in state.pip:
            pip(folder, *arguments)
        print(f"== {state.name}", flush=True)
        info = polyclone(folder, "model", "info", "--device", "cuda")
        scan = polyclone(folder, "scan", "examples", "--device", "cuda", "--no-cache", "--format", "json")
        told = [line for line in info.stdout.splitlines() if line.startswith(("provider", "runtime"))]
        print("\n".join([info.stderr.strip(), *told]), flush=True)
        if state.runs and scan.returncode == 0:
            wanted = wanted or findings(scan.stdout)
        failures += [f"{state.name}: {problem}" for problem in problems(state, info, scan, wanted)]
    print("\n".join(failures) or "every state says what it is, and what to do")
    return 1 if failures else 0


def problems(state: State, info: Any, scan: Any, wanted: Any) -> list[str]:
    """What the two commands should have said or found and did not."""
    if not state.runs:
        return [
            f"{name} exits {done.returncode}, says {done.stderr!r}"
            for name, done in (("info", info), ("scan", scan))
            if done.returncode != 2 or not _said(state.says, done.stderr) or "Traceback" in done.stderr
        ]
    on_gpu = state.installed == (GPU,) and not info.stderr
    found = []
    if info.returncode or scan.returncode:
        found.append(f"info exits {info.returncode}, scan {scan.returncode}: {info.stderr}{scan.stderr}")
    if not _said(ON_GPU if on_gpu else ON_CPU, info.stdout):
        found.append(f"info does not tell where it runs: {info.stdout!r}")
    runtimes = next((line.split()[1:] for line in info.stdout.splitlines() if line.startswith("runtime")), [])
    if tuple(runtimes[::2]) != state.installed:
        found.append(f"info tells the runtimes {runtimes}")
    for name, done in (("info", info), ("scan", scan)):
        if not on_gpu and not _said(state.says, done.stderr):
            found.append(f"{name} does not say why it runs on the CPU: {done.stderr!r}")
    if not scan.returncode and (not wanted or (findings(scan.stdout) != wanted and not on_gpu)):
        found.append("scan finds something else than with the CPU's runtime, or nothing")
    return found


def findings(stdout: str) -> list[Any]:
    """The pairs of a report, with their probabilities."""
    return [(pair["fingerprint"], pair["probability"]) for pair in json.loads(stdout)["pairs"]]


def _said(parts: Sequence[str], text: str) -> bool:
    whole = " ".join(text.split())
    return all(part in whole for part in parts)


def pip(folder: Path, *arguments: str) -> None:
    command = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    subprocess.run([*map(str, command), "--quiet"], check=True)


def polyclone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Nothing compiled stays behind when a distribution is removed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    command = [str(folder / "bin" / "polyclone"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
