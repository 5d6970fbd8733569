"""What can be said on the command line: one parser a command. Checks form, not meaning; acts on nothing."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias

from polyclone import __version__

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_TARGET = re.compile(r"(?P<path>.+?):(?P<line>\d+)(?::(?P<column>\d+))?", re.DOTALL)

_EPILOG = "Exit codes: 0 done, 1 --fail-on-clones found clones, 2 usage or internal error, 130 interrupted."


class Place(NamedTuple):
    """A place that somebody typed: 1-based; columns count characters, as editors show them."""

    path: Path
    line: int
    column: int | None


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the whole usage would bury it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"polyclone: error: {message}\nTry '{self.prog} --help'.\n")


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed command line. Raises `SystemExit`: 2 for a wrong call, 0 after help or version."""
    return _parser().parse_args(argv)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="polyclone",
        description="Finds functions that do the same thing in different programming languages.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"polyclone {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _scan(commands)
    _query(commands)
    _ignore(commands)
    _baseline(commands)
    _index(commands)
    _model(commands)
    _languages(commands)
    _cache(commands)
    return parser


def _command(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, epilog=_EPILOG, allow_abbrev=False)
    group = parser.add_argument_group("display")
    group.add_argument("-v", "--verbose", action="count", default=0, help="say more on stderr; twice for even more")
    group.add_argument("--color", choices=("auto", "always", "never"), help="default: auto, which heeds NO_COLOR")
    return parser


def _scan(commands: _Commands) -> None:
    parser = _command(commands, "scan", "Find clones across languages below PATH.")
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="file or folder")
    _add_thresholds(parser)
    _add_selection(parser)
    _add_machine(parser)
    _add_output(parser)
    group = parser.add_argument_group("report")
    group.add_argument("--show", action="store_true", help="print the functions of each group side by side")
    group.add_argument("--max-groups", type=_whole, metavar="N", help="print the N most probable groups only")
    group.add_argument("--fail-on-clones", action="store_true", help="exit with 1 if anything is reported")
    group = parser.add_argument_group("what is left out of the report")
    group.add_argument("--no-suppressions", action="store_true", help="report ignored and accepted pairs, too")
    _add_baseline(group)
    group.add_argument("--write-baseline", action="store_true", help="accept what is found: add it to the baseline")


def _query(commands: _Commands) -> None:
    parser = _command(commands, "query", "Rank the functions below a folder by how surely they do the same as one.")
    parser.add_argument("target", type=_target, metavar="FILE:LINE[:COL]", help="a function, or - for code on stdin")
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="where to look; default: here")
    parser.add_argument("--language", metavar="NAME", help="the language of the code on stdin")
    parser.add_argument("--limit", type=_whole, default=10, metavar="N", help="matches to print; default: 10")
    _add_thresholds(parser)
    _add_selection(parser)
    _add_machine(parser)
    _add_output(parser)
    parser.add_argument("--show", action="store_true", help="print the functions side by side")


def _ignore(commands: _Commands) -> None:
    parser = _command(commands, "ignore", "Leave a pair out of reports from now on, and write down why.")
    parser.add_argument(
        "targets", nargs="+", type=_ignorable, metavar="TARGET",
        help="two functions, FILE:LINE FILE:LINE, or the fingerprint of a pair or group that a scan reported",
    )  # fmt: skip
    parser.add_argument("--reason", required=True, type=_said, metavar="TEXT", help="why, for whoever reads the file")
    _add_root(parser)
    _add_thresholds(parser)
    _add_selection(parser)
    _add_machine(parser)


def _baseline(commands: _Commands) -> None:
    parser = _command(commands, "baseline", "Say which accepted pairs are gone from the code, or forget those.")
    parser.add_argument("action", nargs="?", choices=("show", "prune"), default="show", help="default: show")
    _add_baseline(parser)
    _add_root(parser)
    _add_thresholds(parser)
    _add_machine(parser)


def _index(commands: _Commands) -> None:
    parser = _command(commands, "index", "Read and encode all below PATH into the cache, for quick scans later.")
    parser.add_argument("paths", nargs="*", default=[Path()], metavar="PATH", type=Path, help="default: here")
    _add_selection(parser)
    _add_machine(parser)


def _model(commands: _Commands) -> None:
    summary = "Describe, check, measure or install a model bundle."
    parser = commands.add_parser("model", help=summary, description=summary, epilog=_EPILOG, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_model(_command(actions, "info", "Say what a bundle is and where it runs."))
    _add_model(_command(actions, "verify", "Check a bundle's digests and graphs, and run them once."))
    bench = _command(actions, "bench", "Measure how many functions a second a bundle encodes here.")
    _add_model(bench)
    bench.add_argument("--functions", type=_whole, default=32, metavar="N", help="of each length; default: 32")
    install = _command(actions, "install", "Check the zip of a bundle and unpack it for --model.")
    install.add_argument("file", type=Path, metavar="FILE")
    install.add_argument("--into", type=Path, metavar="DIR", help="default: the user's data folder")
    install.add_argument("--public-key", metavar="KEY", help="minisign key, or a file with one: checks the signature")
    install.add_argument("--signature", type=Path, metavar="FILE", help="default: FILE.minisig")


def _languages(commands: _Commands) -> None:
    _command(commands, "languages", "List the languages polyclone reads.")


def _cache(commands: _Commands) -> None:
    parser = _command(commands, "cache", "Describe or clear the cache.")
    parser.add_argument("action", choices=("info", "clear"))
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="another cache than the user's")


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the workspace; default: the one around, by its .polyclone or .git"
    )


def _add_baseline(group: argparse._ActionsContainer) -> None:
    group.add_argument("--baseline", metavar="FILE", help="accepted pairs; default: .polyclone/baseline")


def _add_thresholds(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what counts as a clone")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--min-probability", type=_probability, metavar="P", help="report pairs from this calibrated probability on"
    )
    either.add_argument(
        "--precision", type=_probability, metavar="P", help="report as much as keeps this share of finds right"
    )
    group.add_argument(
        "--same-language", action=argparse.BooleanOptionalAction, help="report pairs of one language too"
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which files")
    group.add_argument("--languages", type=_names, action="extend", metavar="A,B", help="only these languages")
    group.add_argument("--exclude", action="append", metavar="GLOB", help="leave out (.gitignore syntax); repeatable")
    group.add_argument("--include-generated", action=argparse.BooleanOptionalAction, help="take generated files too")
    group.add_argument("--include-vendored", action=argparse.BooleanOptionalAction, help="take third-party code too")
    group.add_argument(
        "--max-file-size", type=_size, metavar="SIZE", dest="max_file_bytes", help="such as 500k; default: 1M"
    )
    group.add_argument(
        "--parse-timeout",
        type=_seconds,
        metavar="S",
        dest="parse_timeout_s",
        help="seconds a file; default: 10",
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument("--jobs", type=_whole, metavar="N", help="processes and threads; default: one a core")
    cache = group.add_mutually_exclusive_group()
    cache.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    cache.add_argument("--cache-dir", type=Path, metavar="DIR", help="another cache than the user's")
    _add_model(group)


def _add_model(group: argparse._ActionsContainer) -> None:
    group.add_argument("--model", type=Path, metavar="DIR", help="another model bundle than the one that came along")
    group.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the model runs; default: cpu")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=("text", "json"), help="default: text")
    group.add_argument("--output", type=Path, metavar="FILE", help="write the results to FILE, not to stdout")


def _probability(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and at most 3600")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    value = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 800000, 500k or 2M")
    return value


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _said(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a reason has to say something")
    return text


def _ignorable(text: str) -> Place | str:
    """A place, or the fingerprint of a finding."""
    if _FINGERPRINT.fullmatch(text):
        return text
    place = None if text == "-" else _target(text)
    if place is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither FILE:LINE nor a fingerprint")
    return place


def _target(text: str) -> Place | None:
    """A place; None for stdin."""
    if text == "-":
        return None
    found = _TARGET.fullmatch(text)
    if found is None or int(found["line"]) < 1 or found["column"] == "0":
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE:LINE or FILE:LINE:COL, counted from 1, or -")
    column = found["column"]
    return Place(path=Path(found["path"]), line=int(found["line"]), column=int(column) if column else None)
