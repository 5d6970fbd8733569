"""What the server offers, one module a feature. Each has `register`, and speaks the protocol for the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register_all(server: PolycloneServer) -> None:
    """Effect: every feature's handlers and hooks are in place."""
    from polyclone_server.features import (
        actions,
        commands,
        configuration,
        diagnostics,
        hover,
        lens,
        lifecycle,
        messages,
        notebooks,
        progress,
        queries,
        scan,
        status,
        synchronisation,
        watching,
        workspace_diagnostics,
    )

    for feature in (
        lifecycle,
        configuration,
        synchronisation,
        notebooks,
        watching,
        diagnostics,
        workspace_diagnostics,
        actions,
        lens,
        hover,
        commands,
        queries,
        scan,
        status,
        progress,
        messages,
    ):
        feature.register(server)
