"""`polyclone-distill study PART`: many runs, one curve; one module a part, each with `add_parser(parts)`."""

from __future__ import annotations

from .. import scaling_command as scaling
from . import Commands
from . import study_kd as kd

#: In the order of the help.
PARTS = (kd, scaling)


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("study", help="many runs, one curve")
    parts = parser.add_subparsers(required=True, metavar="PART")
    for part in PARTS:
        part.add_parser(parts)
