/** Waiting, and the workspace that the suites look at. */
import { strict as assert } from "node:assert";
import * as vscode from "vscode";
import type { Api } from "../../src/extension";
import type { Status } from "../../src/protocol";

export const EXTENSION = "polyclone.polyclone";

/** Waits until `probe` answers with something; it is asked again and again. */
export async function until<Value>(
  what: string,
  probe: () => Value | undefined | false | null | Promise<Value | undefined | false | null>,
  limitMs = 90_000,
): Promise<Value> {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(`waited in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function api(): Promise<Api> {
  const extension = vscode.extensions.getExtension<Api>(EXTENSION);
  assert.ok(extension, "the extension is not installed");
  return extension.activate();
}

export async function ready(other = 0): Promise<Status> {
  const { state } = await api();
  return until("the server to be ready", () => {
    const now = state();
    assert.notEqual(now.kind, "failed", now.kind === "failed" ? now.problem.message : "");
    return now.kind === "running" && now.status.state === "ready" && now.status.pid !== other && now.status;
  });
}

/** Resolves when the server has said that it is in this state. Ask before what brings it about. */
export function becomes({ onDidChangeState }: Api, wanted: Status["state"]): Promise<void> {
  return new Promise((resolve) => {
    const subscription = onDidChangeState((state) => {
      if (state.kind === "running" && state.status.state === wanted) {
        subscription.dispose();
        resolve();
      }
    });
  });
}

export function workspacePath(path: string): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, "no folder is open");
  return vscode.Uri.joinPath(folder.uri, path);
}

export async function open(path: string): Promise<vscode.TextEditor> {
  return vscode.window.showTextDocument(workspacePath(path), { preview: false });
}

export function findings(uri: vscode.Uri): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(uri).filter(({ source }) => source === "polyclone");
}

export async function finding(editor: vscode.TextEditor, name: string): Promise<vscode.Diagnostic> {
  const { document } = editor;
  return until(`a finding on ${name}`, () =>
    findings(document.uri).find(({ range }) => document.getText(range) === name),
  );
}

export function setting(name: string, value: unknown): Thenable<void> {
  return vscode.workspace.getConfiguration("polyclone").update(name, value, vscode.ConfigurationTarget.Global);
}
