"""What a wheel must hold, and must not. `python tests/support/wheel.py FILE.whl` checks one."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from polyclone.artifact import MANIFEST, REQUIRED

PACKAGES = ("polyclone", "polyclone_server", "polyclone_distill", "polyclone_export")
MODEL_LIMIT_BYTES = 30_000_000


def problems(wheel: Path) -> list[str]:
    """What is wrong with the wheel; empty if nothing is."""
    root = Path(__file__).parents[2]
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    queries = [path.name for path in (root / "engine" / "polyclone" / "languages" / "queries").glob("*.scm")]
    wanted = [
        *(f"{package}/py.typed" for package in PACKAGES),
        *(f"polyclone/languages/queries/{query}" for query in queries),
        *(f"polyclone/bundles/compact/{file}" for file in (MANIFEST, *REQUIRED)),
        "polyclone/report/schema-v1.json",
    ]
    found = [f"{name} is missing" for name in wanted if name not in sizes]
    found += [f"{name} does not belong there" for name in sizes if "__pycache__" in name or name.endswith(".pyc")]
    tops = sorted({name.partition("/")[0] for name in sizes})
    found += [
        f"{top}/ does not belong there" for top in tops if not top.endswith(".dist-info") and top not in PACKAGES
    ]
    licences = {Path(name).name for name in sizes if ".dist-info/licenses/" in name}
    found += [f"{file} is missing" for file in ("LICENSE", "NOTICE") if file not in licences]
    model = sum(size for name, size in sizes.items() if name.startswith("polyclone/bundles/compact/"))
    if model > MODEL_LIMIT_BYTES:
        found.append(f"the model takes {model / 1e6:.1f} MB, more than {MODEL_LIMIT_BYTES / 1e6:.0f}")
    return found


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]} is complete")
    sys.exit(1 if found else 0)
