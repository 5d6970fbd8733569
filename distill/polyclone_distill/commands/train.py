"""`polyclone-distill train PART`: one module a part, each with `add_parser(parts)`."""

from __future__ import annotations

from ..llm import train_command as train_llm
from . import Commands, train_cross_encoder, train_default, train_encoder, train_pair_head

#: In the order of the help.
PARTS = (train_encoder, train_pair_head, train_cross_encoder, train_llm, train_default)


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("train", help="train an encoder, a judge of pairs, or the default bundle")
    parts = parser.add_subparsers(required=True, metavar="PART")
    for part in PARTS:
        part.add_parser(parts)
