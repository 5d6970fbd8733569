/** To a function in its file, and to several of them in a peek view. */
import * as vscode from "vscode";
import { locationOf, toLocation, toPosition } from "./convert";
import type { FunctionItem, PeekArguments } from "./protocol";

export async function peek({ uri, position, locations }: PeekArguments): Promise<void> {
  const target = vscode.Uri.parse(uri, true);
  const at = toPosition(position);
  await vscode.window.showTextDocument(target, { selection: new vscode.Range(at, at) });
  await vscode.commands.executeCommand("editor.action.peekLocations", target, at, locations.map(toLocation), "peek");
}

export async function goTo(item: FunctionItem): Promise<void> {
  const { uri, range } = locationOf(item);
  await vscode.window.showTextDocument(uri, { selection: range });
}
