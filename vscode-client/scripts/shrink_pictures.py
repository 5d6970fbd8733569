"""Makes pictures of the editor small: 256 colours are enough for text and a few icons. Needs Pillow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

COLOURS = 256


def main(paths: Sequence[str]) -> int:
    for path in map(Path, paths):
        before = path.stat().st_size
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        print(f"{path}: {before // 1000} → {path.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
