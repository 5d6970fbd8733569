/** The Clones view: shows what the store holds through the filter, and follows the cursor. */
import * as vscode from "vscode";
import { locationOf } from "../convert";
import { plural, probability } from "../describe";
import { CLIENT_GO_TO, SECTION } from "../protocol";
import { setContext } from "../status";
import { apply, describeFilter, type Filter, isActive, NO_FILTER } from "./filter";
import { ends, type GroupNode, type MemberNode, memberAt, type Node, nodes, pairsOf, summary } from "./model";
import type { Found, GroupStore } from "./store";

export const VIEW = "polyclone.clones";
/** A cursor that rests this long is followed. */
const REST_MS = 150;

export class ClonesView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly view: vscode.TreeView<Node>;
  private readonly subscriptions: vscode.Disposable[];
  private shown: readonly GroupNode[] = [];
  private parents = new Map<string, GroupNode>();
  private chosen: Filter = NO_FILTER;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly store: GroupStore) {
    this.view = vscode.window.createTreeView<Node>(VIEW, { treeDataProvider: this, showCollapseAll: true });
    this.subscriptions = [
      this.changed,
      this.view,
      store.onDidChange(() => this.update()),
      vscode.window.onDidChangeTextEditorSelection(() => this.followSoon()),
      this.view.onDidChangeVisibility(() => this.followSoon()),
    ];
    this.update();
  }

  get groups(): readonly GroupNode[] {
    return this.shown;
  }

  get badge(): number | undefined {
    return this.view.badge?.value;
  }

  get message(): string | undefined {
    return this.view.message;
  }

  get selection(): readonly Node[] {
    return this.view.selection;
  }

  get filter(): Filter {
    return this.chosen;
  }

  setFilter(filter: Filter): void {
    this.chosen = filter;
    this.update();
  }

  // --- tree ---

  getChildren(node?: Node): Node[] {
    if (node === undefined) {
      return [...this.shown];
    }
    return node.kind === "group" ? [...node.members] : [];
  }

  getParent(node: Node): Node | undefined {
    return node.kind === "member" ? this.parents.get(node.id) : undefined;
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node.kind === "group" ? groupItem(node) : memberItem(node);
  }

  private update(): void {
    const found = this.store.current;
    this.shown = nodes(apply(found.groups, this.chosen));
    this.parents = new Map(this.shown.flatMap((group) => group.members.map((member) => [member.id, group])));
    const open = found.groups.filter(({ accepted }) => !accepted).length;
    this.view.badge = open === 0 ? undefined : { value: open, tooltip: `${plural(open, "group")} of clones` };
    this.view.message = this.describe(found) ?? "";
    void setContext("polyclone.scanning", found.scanning);
    void setContext("polyclone.scanned", found.report !== undefined && !found.report.cancelled);
    void setContext("polyclone.hasGroups", found.groups.length > 0);
    void setContext("polyclone.filtered", isActive(this.chosen));
    void setContext("polyclone.filteredEmpty", this.shown.length === 0);
    this.changed.fire();
  }

  /** The line above the tree. None while the view has nothing to show: the welcome text speaks then. */
  private describe({ groups, report, scanning }: Found): string | undefined {
    if (this.shown.length === 0) {
      return undefined;
    }
    const filter = isActive(this.chosen)
      ? `Filter: ${describeFilter(this.chosen)} — ${this.shown.length} of ${plural(groups.length, "group")}. `
      : "";
    const counts = scanning ? `Scanning: ${plural(groups.length, "group")} so far` : report && summary(groups, report);
    return filter + (counts ?? "");
  }

  // --- cursor ---

  private followSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.follow(), REST_MS);
  }

  private async follow(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const wanted = vscode.workspace.getConfiguration(SECTION).get("view.followCursor", true);
    if (!wanted || !this.view.visible || !editor) {
      return;
    }
    const node = memberAt(this.shown, editor.document.uri.toString(), editor.selection.active);
    if (node && this.view.selection[0]?.id !== node.id) {
      await this.view.reveal(node, { select: true, focus: false, expand: true });
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    vscode.Disposable.from(...this.subscriptions).dispose();
  }
}

function groupItem(node: GroupNode): vscode.TreeItem {
  const item = new vscode.TreeItem(node.label, vscode.TreeItemCollapsibleState.Collapsed);
  item.id = node.id;
  item.description = node.description;
  item.contextValue = node.group.accepted ? "group-accepted" : "group";
  item.iconPath = new vscode.ThemeIcon(node.group.accepted ? "pass" : "references");
  item.tooltip = groupTooltip(node);
  item.accessibilityInformation = { label: `${node.label}, probability ${node.description}` };
  return item;
}

function memberItem(node: MemberNode): vscode.TreeItem {
  const item = new vscode.TreeItem(node.label, vscode.TreeItemCollapsibleState.None);
  item.id = node.id;
  item.description = node.description;
  item.contextValue = "member";
  item.iconPath = new vscode.ThemeIcon("symbol-function");
  item.command = { title: "Open", command: CLIENT_GO_TO, arguments: [node.member] };
  item.tooltip = `${node.member.qualifiedName}\n${vscode.workspace.asRelativePath(locationOf(node.member).uri)}`;
  return item;
}

/** Each pair with its reasons. Names come from source files, so nothing of them is taken for Markdown. */
function groupTooltip({ group }: GroupNode): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  for (const pair of pairsOf(group)) {
    const sides = ends(group, pair);
    if (sides) {
      const { left, right } = sides;
      text.appendText(`${left.name} (${left.languageTitle}) ↔ ${right.name} (${right.languageTitle}), `);
      text.appendMarkdown(`p = ${probability(pair.probability)}\n\n`);
      text.appendText(pair.reasons.join("; "));
      text.appendMarkdown("\n\n");
    }
  }
  return text;
}
