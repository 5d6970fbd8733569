"""The command line: parse → api → emit → exit code. Detects nothing itself, and loads no model to print a help."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from polyclone.cli.arguments import parse
from polyclone.cli.exits import Exit
from polyclone.cli.terminal import Terminal, refuse_closed_stdout
from polyclone.errors import PolycloneError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Help, version and a wrong call raise `SystemExit`.

    Effect: reads and writes files, prints results on stdout and everything else on stderr.
    """
    arguments = parse(argv)
    terminal = Terminal(color=arguments.color, verbose=arguments.verbose)
    try:
        if getattr(arguments, "output", None) is None:
            refuse_closed_stdout()  # Before work is done that nobody could see.
        # One module a command; each is imported only when it runs.
        code: int = import_module(f"polyclone.cli.{arguments.command}").run(arguments, terminal)
    except KeyboardInterrupt:
        terminal.say("interrupted")
        return Exit.INTERRUPTED
    except PolycloneError as error:
        terminal.say(f"error: {error}")
        return Exit.ERROR
    except Exception as error:  # the last resort: one line for people, exit code 2
        terminal.say_trouble(error)
        return Exit.ERROR
    return code
