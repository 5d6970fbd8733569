"""Starts the bundled language server with the packages for the Python that runs this. Copied into the bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).resolve().parent
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    known = json.loads((here / "bundle.json").read_text(encoding="utf-8"))["pythons"]
    if version not in known:
        print(f"This bundle is for Python {', '.join(known)}, not for {version}: use another.", file=sys.stderr)
        return 2
    sys.path[:0] = [str(here / f"cp{version.replace('.', '')}"), str(here / "shared")]
    from polyclone_server.__main__ import main as serve

    return serve() or 0


if __name__ == "__main__":
    sys.exit(main())
