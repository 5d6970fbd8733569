/** Two functions side by side: `vscode.diff` on read-only documents that hold one function each. */
import { posix } from "node:path";
import * as vscode from "vscode";
import { toRange } from "./convert";
import { cut } from "./cut";
import type { CompareArguments, FunctionItem, Range } from "./protocol";

export const SCHEME = "polyclone-function";

interface Source {
  readonly uri: string;
  readonly range: Range;
  readonly selectionRange: Range;
}

export class FunctionDocuments implements vscode.TextDocumentContentProvider {
  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const source = sourceOf(uri);
    const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(source.uri, true));
    return cut(document.getText(), source.range);
  }
}

/** The document of one function. Its path ends like the file's, so that the editor knows the language. */
function documentOf(item: FunctionItem): vscode.Uri {
  const source: Source = { uri: item.uri, range: item.range, selectionRange: item.selectionRange };
  const name = `${item.name || "function"}${posix.extname(item.path)}`.replace(/[\\/]/g, "_");
  return vscode.Uri.from({ scheme: SCHEME, path: `/${item.path}/${name}`, query: JSON.stringify(source) });
}

function sourceOf(uri: vscode.Uri): Source {
  return JSON.parse(uri.query) as Source;
}

export async function compare({ left, right }: CompareArguments): Promise<void> {
  const title = `${left.name} (${left.languageTitle}) ↔ ${right.name} (${right.languageTitle})`;
  await vscode.commands.executeCommand("vscode.diff", documentOf(left), documentOf(right), title, { preview: true });
}

/** From a function's document to the place in its file. */
export async function openOriginal(uri: vscode.Uri | undefined): Promise<void> {
  const shown = uri ?? vscode.window.activeTextEditor?.document.uri;
  if (shown?.scheme !== SCHEME) {
    return;
  }
  const source = sourceOf(shown);
  const selection = toRange(source.selectionRange);
  await vscode.window.showTextDocument(vscode.Uri.parse(source.uri, true), { selection });
}
