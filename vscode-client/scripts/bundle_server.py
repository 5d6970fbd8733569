"""Puts the language server and all it needs into a folder, for one platform and several versions of Python.

What all of them can use lies in `shared`, the rest once a version (`cp312`): see `sharing.py`.
Why it is done like this: `docs/decisions/008-bundled-server.md`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from licences import table
from sharing import share

CLIENT = Path(__file__).resolve().parents[1]
REPOSITORY = CLIENT.parent

# As VS Code names platforms → as wheels name them, the newest first.
PLATFORMS = {
    "linux-x64": [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17)] + ["manylinux2014_x86_64"],
    "linux-arm64": [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 26, 24, 17)] + ["manylinux2014_aarch64"],
    "darwin-arm64": [f"macosx_{major}_0_{arch}" for major in (14, 13, 12, 11) for arch in ("arm64", "universal2")]
    + ["macosx_10_9_universal2"],
    "darwin-x64": [f"macosx_{major}_0_{arch}" for major in (14, 13, 12, 11) for arch in ("x86_64", "universal2")]
    + [f"macosx_10_{minor}_x86_64" for minor in (15, 13, 12, 9)]
    + ["macosx_10_9_universal2"],
    "win32-x64": ["win_amd64"],
    "win32-arm64": ["win_arm64"],
}

# What training, export and the packages' own tests need; the server does not. Patterns below a package folder.
UNUSED = (
    "polyclone_distill",
    "polyclone_export",
    "bin",
    "numpy/**/tests",
    "numpy/**/*.pyi",
    "numpy/_core/include",
    "numpy/_core/_*_tests.*",
    "numpy/_core/_simd.*",
    "numpy/**/*.a",
    "numpy/f2py",
    "numpy/distutils",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    # For programs in C: the Python module links to none of them, on any platform.
    "onnxruntime/capi/libonnxruntime.*",
    "onnxruntime/capi/onnxruntime.dll",
    "**/__pycache__",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, help="folder to make; one that is there is replaced")
    parser.add_argument("--platform", choices=sorted(PLATFORMS), default=this_platform(), help="default: this one")
    parser.add_argument("--pythons", nargs="+", default=["3.11", "3.12", "3.13", "3.14"], metavar="X.Y")
    options = parser.parse_args(arguments)
    target: Path = options.target.resolve()
    if target.exists() and not (target / "run.py").is_file():
        raise SystemExit(f"{target} is there, and is no bundle; name another folder.")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        folders = [install(wheel, version, options.platform, target) for version in options.pythons]
    for folder in folders:
        prune(folder)
    share(folders, target / "shared")
    shutil.copyfile(CLIENT / "scripts" / "run_bundled.py", target / "run.py")
    described = {"version": version_of(wheel), "platform": options.platform, "pythons": options.pythons}
    (target / "bundle.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    (target / "licences.md").write_text(table(target), encoding="utf-8")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in options.pythons and options.platform == this_platform():
        try_out(target / "run.py")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {size / 1e6:.0f} MB for Python {', '.join(options.pythons)}")
    return 0


def this_platform() -> str:
    import platform

    system = {"linux": "linux", "darwin": "darwin", "win32": "win32"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), "arm64")
    return f"{system}-{machine}"


def build_wheel(folder: Path) -> Path:
    pip("wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY)
    (wheel,) = folder.glob("*.whl")
    return wheel


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def install(wheel: Path, version: str, platform: str, target: Path) -> Path:
    """All packages for one version of Python, none of them compiled here: a missing wheel is an error."""
    if not re.fullmatch(r"3\.\d+", version):
        raise SystemExit(f"A version of Python looks like 3.12, not like {version}.")
    folder = target / f"cp{version.replace('.', '')}"
    platforms = [word for name in PLATFORMS[platform] for word in ("--platform", name)]
    exact = ["--python-version", version, "--implementation", "cp", "--only-binary=:all:"]
    pip("install", "--no-compile", "--target", folder, *platforms, *exact, wheel)
    return folder


def prune(folder: Path) -> None:
    for pattern in UNUSED:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def try_out(script: Path) -> None:
    """The server answers `initialize`, as an editor would ask. -B: the try must leave nothing in the bundle."""
    messages: list[dict[str, object]] = [
        {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}},
        {"id": 2, "method": "shutdown"},
        {"method": "exit"},
    ]
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    conversation = b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
    command = [sys.executable, "-I", "-B", str(script), "--stdio"]
    answer = subprocess.run(command, input=conversation, capture_output=True, check=False, timeout=120)
    if answer.returncode != 0 or b'"serverInfo"' not in answer.stdout:
        raise SystemExit(f"The bundled server does not answer:\n{answer.stderr.decode(errors='replace')}")


def pip(*words: str | Path) -> None:
    quiet = ["--quiet", "--quiet", "--disable-pip-version-check", "--no-input"]
    command, *rest = words
    subprocess.run([sys.executable, "-m", "pip", command, *quiet, *rest], check=True)


if __name__ == "__main__":
    sys.exit(main())
