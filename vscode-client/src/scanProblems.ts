/**
 * Findings of a scan in the Problems panel, for files that are not open, once a person asked for a scan. An open file
 * has the server's own diagnostics, which are kept up to date; so has every file in `diagnosticMode: workspace`.
 */
import * as vscode from "vscode";
import { locationOf, toRange } from "./convert";
import { probability } from "./describe";
import { DIAGNOSTIC_SOURCE, type FunctionItem, type GroupItem, type PairItem, RULE_CLONE, SECTION } from "./protocol";
import { ends, pairsOf } from "./view/model";
import type { GroupStore } from "./view/store";

const MOST_RELATED = 5;
const SEVERITY: Readonly<Record<string, vscode.DiagnosticSeverity>> = {
  hint: vscode.DiagnosticSeverity.Hint,
  information: vscode.DiagnosticSeverity.Information,
  warning: vscode.DiagnosticSeverity.Warning,
};

export class ScanProblems implements vscode.Disposable {
  private readonly collection = vscode.languages.createDiagnosticCollection("polyclone-scan");
  private readonly subscriptions: vscode.Disposable[];
  private asked = false;

  constructor(private readonly store: GroupStore) {
    this.subscriptions = [
      this.collection,
      store.onDidChange(({ scanning }) => {
        this.asked ||= scanning;
        if (!scanning) {
          this.update();
        }
      }),
      vscode.window.tabGroups.onDidChangeTabs(({ opened, closed }) => {
        if (opened.length + closed.length > 0) {
          this.update();
        }
      }),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration(SECTION)) {
          this.update();
        }
      }),
    ];
  }

  private update(): void {
    this.collection.clear();
    if (!this.asked || vscode.workspace.getConfiguration(SECTION).get("diagnosticMode") === "workspace") {
      return;
    }
    const open = openFiles();
    const found = new Map<string, vscode.Diagnostic[]>();
    for (const group of this.store.current.groups.filter(({ accepted }) => !accepted)) {
      group.members.forEach((member, index) => {
        const uri = vscode.Uri.parse(member.uri, true).toString();
        const diagnostic = open.has(uri) ? undefined : diagnosticOf(group, member, index);
        if (diagnostic) {
          found.set(uri, [...(found.get(uri) ?? []), diagnostic]);
        }
      });
    }
    this.collection.set([...found].map(([uri, diagnostics]) => [vscode.Uri.parse(uri, true), diagnostics]));
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }
}

/** Those in a tab: the editor holds closed documents for a while, but the client asks about visible ones only. */
function openFiles(): ReadonlySet<string> {
  const inputs = vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs.map(({ input }) => input));
  return new Set(inputs.flatMap((input) => shownBy(input)?.toString() ?? []));
}

/** What the language client takes for open, too: of a comparison, the side that can be edited. */
function shownBy(input: unknown): vscode.Uri | undefined {
  if (input instanceof vscode.TabInputText || input instanceof vscode.TabInputNotebook) {
    return input.uri;
  }
  return input instanceof vscode.TabInputTextDiff ? input.modified : undefined;
}

function diagnosticOf(group: GroupItem, member: FunctionItem, index: number): vscode.Diagnostic | undefined {
  const configuration = vscode.workspace.getConfiguration(SECTION, vscode.Uri.parse(member.uri, true));
  const pairs = pairsOf(group, index);
  const [best] = pairs;
  if (!best || !configuration.get("diagnostics.enable", true)) {
    return undefined;
  }
  const more = pairs.length > 1 ? `, and ${pairs.length - 1} more` : "";
  const reasons = best.reasons.length > 0 ? `: ${best.reasons.join("; ")}` : "";
  const diagnostic = new vscode.Diagnostic(
    toRange(member.selectionRange),
    `Does the same as ${title(group, best, index)}${more}${reasons}`,
    SEVERITY[configuration.get("diagnostics.severity", "information")] ?? vscode.DiagnosticSeverity.Information,
  );
  diagnostic.source = DIAGNOSTIC_SOURCE;
  diagnostic.code = RULE_CLONE;
  diagnostic.relatedInformation = pairs.slice(0, MOST_RELATED).flatMap((pair) => {
    const other = ends(group, pair, index)?.right;
    return other ? [new vscode.DiagnosticRelatedInformation(locationOf(other), title(group, pair, index))] : [];
  });
  return diagnostic;
}

function title(group: GroupItem, pair: PairItem, index: number): string {
  const other = ends(group, pair, index)?.right;
  return `${other?.languageTitle ?? ""} · ${other?.qualifiedName ?? ""} · p = ${probability(pair.probability)}`;
}
