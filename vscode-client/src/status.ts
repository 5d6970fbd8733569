/** The status item, and the context keys that menus and welcome texts look at. */
import * as vscode from "vscode";
import { describe, type Description, phase } from "./describe";
import { documentSelector } from "./languages";
import { SECTION } from "./protocol";
import type { Session, State } from "./server/session";

const SEVERITY: Readonly<Record<Description["severity"], vscode.LanguageStatusSeverity>> = {
  information: vscode.LanguageStatusSeverity.Information,
  warning: vscode.LanguageStatusSeverity.Warning,
  error: vscode.LanguageStatusSeverity.Error,
};

export function showStatus(session: Session): vscode.Disposable {
  const item = vscode.languages.createLanguageStatusItem("polyclone.status", [...documentSelector]);
  item.name = "polyclone";
  const show = (state: State): void => {
    const { text, detail, severity, busy } = describe(state);
    item.text = text;
    item.detail = detail;
    item.severity = SEVERITY[severity];
    item.busy = busy;
    item.command =
      severity === "information"
        ? { title: "Clones", command: "polyclone.clones.focus" }
        : { title: "Show Logs", command: "polyclone.showLogs" };
    item.accessibilityInformation = { label: `${text}. ${detail}` };
    void setContext("polyclone.state", phase(state, isEnabled()));
  };
  show(session.state);
  return vscode.Disposable.from(
    item,
    session.onDidChange(show),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration(`${SECTION}.enable`)) {
        show(session.state);
      }
    }),
  );
}

/** True if any folder wants clones to be looked for. */
function isEnabled(): boolean {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const scopes = folders.length > 0 ? folders.map(({ uri }) => uri) : [undefined];
  return scopes.some((scope) => vscode.workspace.getConfiguration(SECTION, scope).get("enable", true));
}

export function setContext(key: string, value: unknown): Thenable<unknown> {
  return vscode.commands.executeCommand("setContext", key, value);
}
