"""A finding → what can be done about it: code actions and code lenses, made in two steps.

The first step names them; `data` says which they are, and the second step finds them again in the scene of that
moment. What a client cannot execute is not offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lsprotocol import types
from polyclone.report.wording import language as language_title
from polyclone.report.wording import printable
from polyclone.values import Match

from polyclone_server import protocol
from polyclone_server.client import Client
from polyclone_server.convert.diagnostics import location_of, summary_of, title_of
from polyclone_server.convert.items import function_item, pair_arguments
from polyclone_server.convert.positions import json_position, json_range, name_range
from polyclone_server.scene import Placed, Scene

MOST_ACTIONS: Final = 5
"""Matches of one function that get actions of their own; the others are reached by peeking at all."""
SOURCE_SCAN: Final = "source.polyclone.scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing to do. `id` tells it from the others of the same function."""

    id: str
    title: str
    command: Callable[[], types.Command]


def choices_of(scene: Scene, placed: Placed, client: Client) -> Iterator[Choice]:
    """What can be done about one finding, the most useful first."""
    matches = placed.finding.matches
    for match in matches[:MOST_ACTIONS]:
        yield Choice(
            id=f"goTo {_match_id(match)}", title=f"Go to {title_of(match)}", command=_go_to(scene, match, client)
        )
    if protocol.CLIENT_PEEK in client.commands:
        yield Choice(id="peek", title=f"Show {summary_of(matches)}", command=lambda: peek(scene, placed))
    for match in matches[:MOST_ACTIONS]:
        name = f"{language_title(match.right.language)} · {printable(match.right.qualified_name or match.right.name)}"
        if protocol.CLIENT_COMPARE in client.commands:
            yield Choice(
                id=f"compare {_match_id(match)}",
                title=f"Compare side by side with {name}",
                command=_compare(scene, match),
            )
        yield Choice(
            id=f"ignore {_match_id(match)}",
            title=f"Ignore this pair: {name}",
            command=_ignore(scene, match, client),
        )
    what = "this clone" if len(matches) == 1 else f"these {len(matches):,} clones"
    yield Choice(id="accept", title=f"Accept {what} into the baseline", command=_accept(scene, placed))


def actions_of(
    scene: Scene, placed: Placed, client: Client, diagnostics: Sequence[types.Diagnostic]
) -> list[types.CodeAction | types.Command]:
    """Quick fixes for one finding: without their commands where the client asks for these later."""
    lazy = client.resolves_action_commands and client.action_data
    actions: list[types.CodeAction | types.Command] = []
    for choice in choices_of(scene, placed, client):
        if not client.action_literals:
            actions.append(choice.command())
            continue
        actions.append(
            types.CodeAction(
                title=choice.title,
                kind=types.CodeActionKind.QuickFix,
                diagnostics=list(diagnostics) or None,
                command=None if lazy else choice.command(),
                data={**_identity(scene, placed), "choice": choice.id} if client.action_data else None,
            )
        )
    return actions


def resolved_action(scene: Scene, action: types.CodeAction, client: Client) -> types.CodeAction:
    """The action with its command; as it came, if what it was about is gone."""
    data = action.data
    placed = _find(scene, data)
    if placed is not None and isinstance(data, Mapping):
        for choice in choices_of(scene, placed, client):
            if choice.id == data.get("choice"):
                action.command = choice.command()
    return action


def scan_action(client: Client) -> types.CodeAction | types.Command:
    """The one source action: the whole workspace."""
    command = types.Command(title="Find clones in the whole workspace", command=protocol.COMMAND_SCAN)
    if not client.action_literals:
        return command
    return types.CodeAction(title=command.title, kind=SOURCE_SCAN, command=command)


def lens_of(scene: Scene, placed: Placed) -> types.CodeLens:
    """A lens over a function: its place first, its count when it is resolved."""
    return types.CodeLens(range=name_range(placed.place, scene.encoding), data=_identity(scene, placed))


def resolved_lens(scene: Scene, lens: types.CodeLens, client: Client) -> types.CodeLens:
    """The lens with its title and command."""
    placed = _find(scene, lens.data)
    if placed is None:
        lens.command = types.Command(title="no clones any more", command="")
    elif protocol.CLIENT_PEEK in client.commands:
        lens.command = peek(scene, placed)
    else:
        command = _go_to(scene, placed.finding.matches[0], client)()
        lens.command = types.Command(
            title=summary_of(placed.finding.matches), command=command.command, arguments=command.arguments
        )
    return lens


def peek(scene: Scene, placed: Placed) -> types.Command:
    """The client's peek view over all matches of a finding."""
    at = name_range(placed.place, scene.encoding).start
    locations: list[protocol.Location] = []
    for match in placed.finding.matches:
        location = location_of(scene, match)
        locations.append({"uri": location.uri, "range": json_range(location.range)})
    arguments: protocol.PeekArguments = {
        "uri": placed.place.uri,
        "position": json_position(at),
        "locations": locations,
    }
    return types.Command(
        title=summary_of(placed.finding.matches), command=protocol.CLIENT_PEEK, arguments=[arguments]
    )


def _go_to(scene: Scene, match: Match, client: Client) -> Callable[[], types.Command]:
    name = protocol.CLIENT_GO_TO if protocol.CLIENT_GO_TO in client.commands else protocol.COMMAND_OPEN
    return lambda: types.Command(
        title=f"Go to {title_of(match)}", command=name, arguments=[function_item(scene, match.right)]
    )


def _compare(scene: Scene, match: Match) -> Callable[[], types.Command]:
    def command() -> types.Command:
        arguments: protocol.CompareArguments = {
            "left": function_item(scene, match.left),
            "right": function_item(scene, match.right),
        }
        return types.Command(title="Compare side by side", command=protocol.CLIENT_COMPARE, arguments=[arguments])

    return command


def _ignore(scene: Scene, match: Match, client: Client) -> Callable[[], types.Command]:
    asks = protocol.CLIENT_IGNORE_PAIR in client.commands
    name = protocol.CLIENT_IGNORE_PAIR if asks else protocol.COMMAND_IGNORE_PAIR
    return lambda: types.Command(title="Ignore this pair", command=name, arguments=[pair_arguments(scene, match)])


def _accept(scene: Scene, placed: Placed) -> Callable[[], types.Command]:
    def command() -> types.Command:
        arguments: protocol.AcceptArguments = {
            "uri": placed.place.uri,
            "pairs": [pair_arguments(scene, match) for match in placed.finding.matches],
        }
        return types.Command(title="Accept into the baseline", command=protocol.COMMAND_ACCEPT, arguments=[arguments])

    return command


def _match_id(match: Match) -> str:
    """Copies of one function have one fingerprint; their places tell them apart."""
    return f"{match.fingerprint} {match.right.path}:{match.right.span.start_byte}"


def _identity(scene: Scene, placed: Placed) -> dict[str, Any]:
    """What finds a finding again: by content, and by order among equals."""
    function = placed.finding.function
    alike = [f for f in scene.findings(function.path) if f.finding.function.digest == function.digest]
    return {"key": function.path, "digest": function.digest, "number": alike.index(placed)}


def _find(scene: Scene, data: object) -> Placed | None:
    if not isinstance(data, Mapping):
        return None
    key, digest, number = data.get("key"), data.get("digest"), data.get("number")
    if not isinstance(key, str) or not isinstance(number, int):
        return None
    alike = [placed for placed in scene.findings(key) if placed.finding.function.digest == digest]
    return alike[number] if 0 <= number < len(alike) else None
