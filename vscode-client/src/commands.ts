/** What the commands do, one function each; those of the view are in `viewCommands.ts`. */
import * as vscode from "vscode";
import { Stop } from "./cancel";
import { compare, openOriginal } from "./compare";
import { debugInfo } from "./debugInfo";
import { plural } from "./describe";
import { exportScan } from "./export";
import { askClones, chooseClone, matchItem, peekArguments } from "./findClones";
import { ignorePair } from "./judging";
import { goTo, peek } from "./navigation";
import type { Parts } from "./parts";
import { tell } from "./problems";
import {
  CLIENT_COMPARE,
  CLIENT_GO_TO,
  CLIENT_IGNORE_PAIR,
  CLIENT_PEEK,
  COMMAND_CLEAR_CACHE,
  type CompareArguments,
  type FunctionItem,
  type IgnorePairArguments,
  type PeekArguments,
} from "./protocol";
import { StartError } from "./server/launch";
import { VIEW } from "./view/tree";
import { viewHandlers } from "./viewCommands";

type Handler = (...args: never[]) => unknown;

export function registerCommands(parts: Parts): vscode.Disposable {
  let scanning: Stop | undefined;
  const handlers: Readonly<Record<string, Handler>> = {
    "polyclone.scanWorkspace": async () => {
      await vscode.commands.executeCommand(`${VIEW}.focus`);
      if (!scanning) {
        scanning = new Stop();
        await scanWorkspace(parts, scanning).finally(() => (scanning = undefined));
      }
    },
    "polyclone.cancelScan": () => scanning?.request(),
    "polyclone.exportScan": (target?: vscode.Uri) => exportTo(parts, target),
    "polyclone.findClones": () => findClones(parts),
    [CLIENT_COMPARE]: (args?: CompareArguments) => (isCompare(args) ? compare(args) : compareAtCursor(parts)),
    [CLIENT_PEEK]: (args?: PeekArguments) => (isPeek(args) ? peek(args) : peekAtCursor(parts)),
    [CLIENT_IGNORE_PAIR]: (args: IgnorePairArguments) => ignorePair(parts, args),
    [CLIENT_GO_TO]: (item: FunctionItem) => goTo(item),
    "polyclone.restart": () => parts.session.restart("asked for by command"),
    "polyclone.showLogs": () => parts.log.show(),
    "polyclone.clearCache": () => clearCache(parts),
    "polyclone.printDebugInfo": () => printDebugInfo(parts),
    "polyclone.openOriginal": (uri?: vscode.Uri) => openOriginal(uri),
    ...Object.fromEntries(
      Object.entries(viewHandlers(parts)).map(([id, handler]) => [`polyclone.view.${id}`, handler]),
    ),
  };
  return vscode.Disposable.from(
    ...Object.entries(handlers).map(([id, handler]) =>
      vscode.commands.registerCommand(id, (...args: never[]) => reporting(parts, () => handler(...args))),
    ),
  );
}

/** Runs a command; what goes wrong is told with what to do about it. */
async function reporting(parts: Parts, work: () => unknown): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    // Not awaited: a message that nobody closes must not keep the command from ending.
    if (error instanceof StartError) {
      void tell(error.problem, parts.ui);
    } else {
      const text = error instanceof Error ? error.message : String(error);
      parts.log.error(text);
      void tell({ message: `polyclone: ${text}`, remedies: ["logs"] }, parts.ui);
    }
    return undefined;
  }
}

// --- scan ---

async function scanWorkspace({ scanner }: Parts, cancel: Stop): Promise<void> {
  await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "polyclone", cancellable: true },
    (progress, token) =>
      vscode.window.withProgress({ location: { viewId: VIEW } }, async () => {
        token.onCancellationRequested(() => cancel.request());
        let shown = 0;
        progress.report({ message: "scanning the workspace" });
        await scanner.scan({
          cancel,
          progress: (message, percentage) => {
            const increment = percentage === undefined ? undefined : Math.max(0, percentage - shown);
            shown = Math.max(shown, percentage ?? 0);
            progress.report({ message, ...(increment === undefined ? {} : { increment }) });
          },
        });
      }),
  );
}

async function exportTo({ scanner, store, session, ui }: Parts, given: vscode.Uri | undefined): Promise<void> {
  const report = store.current.report ?? (await scanner.refresh());
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const target =
    given ??
    (await vscode.window.showSaveDialog({
      title: "Export Scan as JSON",
      filters: { JSON: ["json"] },
      ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, "polyclone.json") } : {}),
    }));
  if (!target) {
    return;
  }
  const model = session.state.kind === "running" ? session.state.status.model : null;
  await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(exportScan(report, model)));
  const groups = plural(report.groups.length, "group");
  if (!given && (await ui.info(`Exported ${groups} to ${target.fsPath}.`, "Open")) === "Open") {
    await vscode.window.showTextDocument(target);
  }
}

// --- at the cursor ---

async function findClones({ session, ui }: Parts): Promise<void> {
  const asked = await askClones(await session.connected(), ui);
  if (asked) {
    chooseClone(asked);
  }
}

async function compareAtCursor({ session, ui }: Parts): Promise<void> {
  const asked = await askClones(await session.connected(), ui);
  if (!asked) {
    return;
  }
  const items = asked.matches.map((match) => ({ ...matchItem(match), match }));
  const chosen = items.length === 1 ? items[0] : await ui.pick(items, `Compare ${asked.target.name} with`);
  if (chosen) {
    await compare({ left: asked.target, right: chosen.match.function });
  }
}

async function peekAtCursor({ session, ui }: Parts): Promise<void> {
  const asked = await askClones(await session.connected(), ui);
  if (asked) {
    await peek(peekArguments(asked));
  }
}

function isCompare(args: unknown): args is CompareArguments {
  return typeof args === "object" && args !== null && "left" in args && "right" in args;
}

function isPeek(args: unknown): args is PeekArguments {
  return typeof args === "object" && args !== null && "locations" in args;
}

// --- server ---

/** The server says when it is done. */
async function clearCache({ session }: Parts): Promise<void> {
  await (await session.connected()).execute(COMMAND_CLEAR_CACHE);
}

async function printDebugInfo({ session, store, surroundings }: Parts): Promise<string> {
  const content = debugInfo(surroundings(), session.state, store.current);
  const document = await vscode.workspace.openTextDocument({ content, language: "plaintext" });
  await vscode.window.showTextDocument(document);
  return content;
}
