"""Brings the packages for several versions of Python together: what they can use in common is kept once.

A compiled part carries its version in its name (`cp312`, or `abi3` for all), so the parts for all versions can lie in
one folder. A package whose files of one name differ stays apart, once a version.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

# Files that tell how a package was built and installed: any version's will do.
BUILD_NOTES = ("*.dist-info/RECORD", "*.dist-info/WHEEL", "numpy/__config__.py")


def share(folders: Sequence[Path], shared: Path) -> None:
    """Effect: what all `folders` can use together moves to `shared`; a folder that is empty then goes."""
    shared.mkdir()
    common = set.intersection(*({path.name for path in folder.iterdir()} for folder in folders))
    # A package's own libraries (`numpy.libs`) are looked for beside it: they go where it goes.
    for package in sorted(name for name in common if not name.endswith(".libs")):
        names = [name for name in (package, f"{package}.libs") if name in common]
        if all(is_mergeable([folder / name for folder in folders]) for name in names):
            for name in names:
                merge([folder / name for folder in folders], shared / name)
    for folder in folders:
        if not any(folder.iterdir()):
            folder.rmdir()


def is_mergeable(copies: Sequence[Path]) -> bool:
    """Whether files of one name are equal in all copies; what only some copies have stands in nobody's way."""
    seen: dict[Path, Path] = {}
    for copy in copies:
        for path in files(copy):
            name = path.relative_to(copy.parent)
            first = seen.setdefault(name, path)
            if first is not path and not is_build_note(name) and not filecmp.cmp(first, path, shallow=False):
                return False
    return True


def is_build_note(name: Path) -> bool:
    return any(name.match(pattern) for pattern in BUILD_NOTES)


def merge(copies: Sequence[Path], target: Path) -> None:
    """Effect: the files of all copies, each once, lie at `target`; the copies are gone."""
    for copy in copies:
        for path in files(copy):
            place = target / path.relative_to(copy)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                path.rename(place)
        if copy.is_dir():
            shutil.rmtree(copy)
        else:
            copy.unlink(missing_ok=True)


def files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(below for below in path.rglob("*") if below.is_file())
