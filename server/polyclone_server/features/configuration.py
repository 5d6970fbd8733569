"""Settings and folders: pulled for each folder where the client can, else taken as they come; applied live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from polyclone_server.folders import changed, folder
from polyclone_server.protocol import SECTION

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

_EVERYWHERE = ""


def register(server: PolycloneServer) -> None:
    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def did_change_configuration(ls: PolycloneServer, params: types.DidChangeConfigurationParams) -> None:
        if not ls.session.client.configuration:
            sent = params.settings
            ls.session.sent_settings = sent.get(SECTION) if isinstance(sent, Mapping) else None
        ls.background("new settings", configure, ls)

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def did_change_folders(ls: PolycloneServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
        added = [found for item in params.event.added if (found := folder(item.uri, item.name)) is not None]
        ls.session.folders = changed(ls.session.folders, added, [item.uri for item in params.event.removed])
        ls.background("new folders", configure, ls)
        ls.session.tell_folders()


async def register_for_changes(ls: PolycloneServer) -> None:
    """Effect: the client tells of changed settings, where it wants to be asked to."""
    if ls.session.client.registers_configuration:
        registration = types.Registration(
            id="polyclone-configuration",
            method=types.WORKSPACE_DID_CHANGE_CONFIGURATION,
            register_options=types.DidChangeConfigurationRegistrationOptions(section=SECTION),
        )
        await ls.client_register_capability_async(types.RegistrationParams(registrations=[registration]))


async def configure(ls: PolycloneServer) -> None:
    """Effect: the settings of each folder hold, as the client and the folder's file have them now."""
    session = ls.session
    session.configuring += 1
    turn = session.configuring
    folders = session.folders
    values: list[object] = [session.sent_settings]
    if session.client.configuration:
        items = [types.ConfigurationItem(section=SECTION)]
        items += [types.ConfigurationItem(section=SECTION, scope_uri=item.uri) for item in folders]
        try:
            values = list(await ls.workspace_configuration_async(types.ConfigurationParams(items=items)))
        except JsonRpcException as error:
            ls.report_server_error(error, type(error))
    if turn == session.configuring:  # Else a later change is on its way, and knows more.
        paths = [_EVERYWHERE, *(item.path for item in folders)]
        await session.configure(dict(zip(paths, values, strict=False)), turn)
