"""Code actions: what can be done about a clone, and the scan of the whole workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.convert.actions import SOURCE_SCAN, actions_of, resolved_action, scan_action
from polyclone_server.convert.positions import name_range
from polyclone_server.protocol import DIAGNOSTIC_SOURCE

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register(server: PolycloneServer) -> None:
    options = types.CodeActionOptions(
        code_action_kinds=[types.CodeActionKind.QuickFix, SOURCE_SCAN], resolve_provider=True
    )

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)
    def actions(ls: PolycloneServer, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
        session, context = ls.session, params.context
        found: list[types.CodeAction | types.Command] = []
        document, scene = session.documents.get(params.text_document.uri), session.scene()
        if document is not None and scene is not None and _wants(context, types.CodeActionKind.QuickFix.value):
            ours = [item for item in context.diagnostics if item.source == DIAGNOSTIC_SOURCE]
            for placed in scene.findings(document.key):
                at = name_range(placed.place, scene.encoding)
                about = [item for item in ours if item.range == at]
                if about or _meet(at, params.range):
                    found += actions_of(scene, placed, session.client, about)
        # Unasked, a whole scan belongs into no light bulb.
        automatic = context.trigger_kind == types.CodeActionTriggerKind.Automatic
        if _wants(context, SOURCE_SCAN) and (context.only or not automatic):
            found.append(scan_action(session.client))
        return found

    @server.feature(types.CODE_ACTION_RESOLVE)
    def resolve(ls: PolycloneServer, params: types.CodeAction) -> types.CodeAction:
        scene = ls.session.scene()
        return params if scene is None else resolved_action(scene, params, ls.session.client)


def _wants(context: types.CodeActionContext, kind: str) -> bool:
    """Whether a client that asks only for some kinds asks for this one, or one above it."""
    only: Sequence[str] = [str(getattr(item, "value", item)) for item in context.only or ()]
    return not only or any(item in ("", kind) or kind.startswith(f"{item}.") for item in only)


def _meet(one: types.Range, other: types.Range) -> bool:
    def at(position: types.Position) -> tuple[int, int]:
        return position.line, position.character

    return at(one.start) <= at(other.end) and at(other.start) <= at(one.end)
