"""The commands of `polyclone-distill`, one module each, with `add_parser(commands)`: parse → call → report.

No module here imports a heavy library at its top: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
