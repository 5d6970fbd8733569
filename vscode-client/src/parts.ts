/** What commands share. */
import type * as vscode from "vscode";
import type { Surroundings } from "./debugInfo";
import type { Scanner } from "./scan";
import type { Session } from "./server/session";
import type { Ui } from "./ui";
import type { GroupStore } from "./view/store";
import type { ClonesView } from "./view/tree";

export interface Parts {
  readonly session: Session;
  readonly scanner: Scanner;
  readonly store: GroupStore;
  readonly view: ClonesView;
  readonly ui: Ui;
  readonly log: vscode.LogOutputChannel;
  readonly surroundings: () => Surroundings;
}
