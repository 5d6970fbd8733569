/** Positions, ranges and locations of the protocol → the editor's. */
import * as vscode from "vscode";
import type { FunctionItem, Location, Position, Range } from "./protocol";

export function toPosition({ line, character }: Position): vscode.Position {
  return new vscode.Position(line, character);
}

export function toRange({ start, end }: Range): vscode.Range {
  return new vscode.Range(toPosition(start), toPosition(end));
}

export function toLocation({ uri, range }: Location): vscode.Location {
  return new vscode.Location(vscode.Uri.parse(uri, true), toRange(range));
}

export function locationOf({ uri, selectionRange }: FunctionItem): vscode.Location {
  return toLocation({ uri, range: selectionRange });
}
