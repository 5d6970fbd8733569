"""Starts the bundled language server with the packages for the Python that runs this. Copied into the bundle."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).resolve().parent
    own = here / f"cp{sys.version_info.major}{sys.version_info.minor}"
    if not own.is_dir():
        known = ", ".join(sorted(folder.name for folder in here.glob("cp*")))
        print(f"This bundle holds packages for {known}, not for {own.name}. Use another Python.", file=sys.stderr)
        return 2
    sys.path[:0] = [str(own), str(here / "shared")]
    from polyclone_server.__main__ import main as serve

    return serve() or 0


if __name__ == "__main__":
    sys.exit(main())
