/** The clones of the function at the cursor, to be chosen from. */
import * as vscode from "vscode";
import { compare } from "./compare";
import { probability } from "./describe";
import {
  CLIENT_GO_TO,
  CLIENT_PEEK,
  FIND_CLONES,
  type FindClonesParams,
  type FindClonesResult,
  type FunctionItem,
  type MatchItem,
  type PeekArguments,
} from "./protocol";
import type { Connection } from "./server/session";
import type { Ui } from "./ui";
import { place } from "./view/model";

export interface Asked {
  readonly target: FunctionItem;
  readonly matches: readonly MatchItem[];
}

/** Asks the server; says why there is nothing to choose from. Undefined then. */
export async function askClones(connection: Connection, ui: Ui): Promise<Asked | undefined> {
  const editor = vscode.window.activeTextEditor;
  if (!editor) {
    void ui.info("Put the cursor into a function of an open file first.");
    return undefined;
  }
  const params: FindClonesParams = {
    textDocument: { uri: editor.document.uri.toString() },
    position: { line: editor.selection.active.line, character: editor.selection.active.character },
  };
  const result = await connection.request<FindClonesResult>(FIND_CLONES, params);
  if (result.function && result.matches.length > 0) {
    return { target: result.function, matches: result.matches };
  }
  // Not awaited: a message that nobody closes must not keep the command from ending.
  void ui.info(whyNothing(result));
  return undefined;
}

export function whyNothing({ function: target, tooSmall, complete }: FindClonesResult): string {
  if (!target) {
    return "There is no function at the cursor. Put it into one, then ask again.";
  }
  if (tooSmall) {
    return `${target.name} is too small to judge.`;
  }
  const wait = complete ? "" : " so far; the workspace is still being indexed";
  return `No function resembles ${target.name}${wait}.`;
}

interface MatchPick extends vscode.QuickPickItem {
  readonly match: MatchItem;
}

const COMPARE_BUTTON: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("diff"),
  tooltip: "Compare side by side",
};
const PEEK_BUTTON: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("eye"), tooltip: "Peek all" };

/** Effect: lets the person choose a match to go to, to compare with, or to peek at all. */
export function chooseClone({ target, matches }: Asked): void {
  const pick = vscode.window.createQuickPick<MatchPick>();
  pick.title = `Clones of ${target.name}`;
  pick.placeholder = "Go to a clone; the button beside it compares the two";
  pick.matchOnDescription = true;
  pick.matchOnDetail = true;
  pick.buttons = [PEEK_BUTTON];
  pick.items = matches.map((match) => ({ ...matchItem(match), match, buttons: [COMPARE_BUTTON] }));
  pick.onDidAccept(() => {
    const chosen = pick.selectedItems[0];
    pick.hide();
    if (chosen) {
      void vscode.commands.executeCommand(CLIENT_GO_TO, chosen.match.function);
    }
  });
  pick.onDidTriggerItemButton(({ item }) => {
    pick.hide();
    void compare({ left: target, right: item.match.function });
  });
  pick.onDidTriggerButton(() => {
    pick.hide();
    void vscode.commands.executeCommand(CLIENT_PEEK, peekArguments({ target, matches }));
  });
  pick.onDidHide(() => pick.dispose());
  pick.show();
}

export function matchItem({ function: other, probability: p, reasons }: MatchItem): {
  label: string;
  description: string;
  detail: string;
} {
  return {
    label: `$(symbol-function) ${other.qualifiedName || other.name}`,
    description: `${other.languageTitle} · p = ${probability(p)}`,
    detail: [place(other), ...reasons].join(" · "),
  };
}

export function peekArguments({ target, matches }: Asked): PeekArguments {
  return {
    uri: target.uri,
    position: target.selectionRange.start,
    locations: matches.map(({ function: other }) => ({ uri: other.uri, range: other.selectionRange })),
  };
}
