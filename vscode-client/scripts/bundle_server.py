"""Puts the language server and all it needs into a folder, for one platform and several versions of Python.

Packages with compiled parts exist once a version of Python (`cp312`), all others once (`shared`).
Why it is done like this: `docs/decisions/008-bundled-server.md`.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[1]
REPOSITORY = CLIENT.parent

# As VS Code names platforms → as wheels name them, the newest first.
PLATFORMS = {
    "linux-x64": [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17)] + ["manylinux2014_x86_64"],
    "linux-arm64": [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 26, 24, 17)] + ["manylinux2014_aarch64"],
    "darwin-arm64": [f"macosx_{major}_0_{arch}" for major in (14, 13, 12, 11) for arch in ("arm64", "universal2")]
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
    "numpy/**/*.a",
    "numpy/f2py",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
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
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in options.pythons and options.platform == this_platform():
        subprocess.run([sys.executable, "-I", target / "run.py", "--version"], check=True)
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


def share(folders: Sequence[Path], shared: Path) -> None:
    """Effect: what is the same for every version of Python moves to `shared`."""
    shared.mkdir()
    first, *others = folders
    for path in sorted(first.iterdir()):
        copies = [folder / path.name for folder in others]
        if not is_bound(path) and all(same(path, copy) for copy in copies):
            path.rename(shared / path.name)
            for copy in copies:
                shutil.rmtree(copy) if copy.is_dir() else copy.unlink()


def is_bound(path: Path) -> bool:
    """Whether it belongs to one version of Python: by the name of a file in it (`abi3` is for all versions), or as a
    folder of libraries, which are looked for beside the package that needs them."""
    files = [path, *path.rglob("*")]
    return path.suffix == ".libs" or any(re.search(r"\.cp(ython-)?3\d+", file.name) for file in files)


def same(one: Path, other: Path) -> bool:
    if one.is_dir() and other.is_dir():
        return list(contents(one)) == list(contents(other)) and all(
            filecmp.cmp(one / name, other / name, shallow=False) for name in contents(one)
        )
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def contents(folder: Path) -> Iterator[Path]:
    # RECORD lists what pip wrote, in an order of its own.
    files = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return (path for path in files if path.name != "RECORD")


def pip(*words: str | Path) -> None:
    quiet = ["--quiet", "--quiet", "--disable-pip-version-check", "--no-input"]
    command, *rest = words
    subprocess.run([sys.executable, "-m", "pip", command, *quiet, *rest], check=True)


if __name__ == "__main__":
    sys.exit(main())
