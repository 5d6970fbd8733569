"""A finding → the text of a hover: its clones, how sure, why, and the best one's code."""

from __future__ import annotations

import re
import textwrap
from urllib.parse import quote

from lsprotocol import types
from polyclone.report.wording import language as language_title
from polyclone.report.wording import printable, printable_code, probability
from polyclone.values import Match

from polyclone_server.convert.diagnostics import MOST_RELATED, location_of, summary_of, title_of
from polyclone_server.convert.positions import name_range
from polyclone_server.scene import Placed, Scene

MOST_LINES = 16
"""Lines of code shown; how many more there are is said below them."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&])")


def hover_of(scene: Scene, placed: Placed, *, markdown: bool) -> types.Hover:
    """The hover over a function's name."""
    matches = placed.finding.matches
    body = _markdown(scene, matches) if markdown else _plain(scene, matches)
    kind = types.MarkupKind.Markdown if markdown else types.MarkupKind.PlainText
    return types.Hover(
        contents=types.MarkupContent(kind=kind, value=body), range=name_range(placed.place, scene.encoding)
    )


def _markdown(scene: Scene, matches: tuple[Match, ...]) -> str:
    lines = [f"**{_escaped(summary_of(matches))}**", ""]
    for match in matches[:MOST_RELATED]:
        location = location_of(scene, match)
        name = _escaped(printable(match.right.qualified_name or match.right.name) or "(no name)")
        link = f"{_link(location.uri)}#L{location.range.start.line + 1}"
        reasons = "; ".join(_escaped(printable(reason.text)) for reason in match.reasons)
        title = _escaped(language_title(match.right.language))
        line = f"- {title} · [{name}]({link}) · p = {probability(match.probability)}"
        lines.append(f"{line} · {reasons}" if reasons else line)
    if len(matches) > MOST_RELATED:
        lines.append(f"- \\+{len(matches) - MOST_RELATED} more")
    code = _excerpt(scene, matches[0])
    if code is not None:
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", code)), default=0))
        lines += ["", f"{fence}{matches[0].right.language}", code, fence]
    return "\n".join(lines)


def _plain(scene: Scene, matches: tuple[Match, ...]) -> str:
    lines = [summary_of(matches)]
    for match in matches[:MOST_RELATED]:
        location = location_of(scene, match)
        lines.append(f"{title_of(match)}, {printable(scene.shown(match.right.path))}:{location.range.start.line + 1}")
        lines += [f"  {printable(reason.text)}" for reason in match.reasons]
    if len(matches) > MOST_RELATED:
        lines.append(f"+{len(matches) - MOST_RELATED} more")
    code = _excerpt(scene, matches[0])
    return "\n".join(lines if code is None else [*lines, "", code])


def _excerpt(scene: Scene, match: Match) -> str | None:
    """The first lines of the other side, without their common indentation; None if its text is gone."""
    place = scene.place(match.right)
    if place is None:
        return None
    first = place.text.point(place.start, scene.encoding).line
    last = place.text.point(max(place.start, place.stop - 1), scene.encoding).line
    shown = place.text.lines(first, min(last, first + MOST_LINES - 1))
    code = textwrap.dedent("\n".join(shown).expandtabs(4))
    left = last - first + 1 - MOST_LINES
    return printable_code(code) + (f"\n… {left} more lines" if left > 0 else "")


def _escaped(text: str) -> str:
    """Text that no name in a repository can turn into a link, an image or markup."""
    return _SPECIAL.sub(r"\\\1", text)


def _link(uri: str) -> str:
    return quote(uri, safe=":/%?=&,;@!$'*+~._-")
