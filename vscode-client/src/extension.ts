/** Puts the parts together, and says what makes the server start again. */
import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { FunctionDocuments, SCHEME } from "./compare";
import type { Surroundings } from "./debugInfo";
import { describe } from "./describe";
import { languageIds } from "./languages";
import { tell } from "./problems";
import { COMMAND_ACCEPT, COMMAND_IGNORE_PAIR, SECTION } from "./protocol";
import { AutoRefresh } from "./refresh";
import { Scanner } from "./scan";
import { ScanProblems } from "./scanProblems";
import { connect, type Outputs } from "./server/client";
import { Environments } from "./server/environments";
import { locate, type Wishes } from "./server/locate";
import { expandPath, probes } from "./server/probe";
import { Recovery } from "./server/recovery";
import { Session, type State, type Ways } from "./server/session";
import { setContext, showStatus } from "./status";
import { GroupStore } from "./view/store";
import { ClonesView } from "./view/tree";
import { vscodeUi } from "./vscodeUi";

/** Settings that choose what runs, or what is agreed on at the start: a change starts the server again. */
const RESTARTING = ["server.path", "interpreter", "importStrategy", "model", "device", "jobs", "diagnosticMode"];

/** Commands of the server after which the groups are others. */
const JUDGING: ReadonlySet<string> = new Set([COMMAND_ACCEPT, COMMAND_IGNORE_PAIR]);

/** What other extensions, and the tests, can see. */
export interface Api {
  readonly state: () => State;
  readonly onDidChangeState: (listener: (state: State) => void) => { dispose(): void };
  readonly view: ClonesView;
  readonly store: GroupStore;
}

let session: Session | undefined;

export function activate(context: vscode.ExtensionContext): Api {
  const log = vscode.window.createOutputChannel("polyclone", { log: true });
  const trace = vscode.window.createOutputChannel("polyclone trace");
  const environments = new Environments((line) => log.info(line));
  const executed = new vscode.EventEmitter<string>();
  const ways = waysOf(context, { log, trace, failed, executed: (command) => executed.fire(command) }, environments);
  const running = (session = new Session(ways, new Recovery()));
  const store = new GroupStore();
  const scanner = new Scanner(() => running.connected(), store);
  const view = new ClonesView(store);
  const refresh = new AutoRefresh(running, scanner, store);
  context.subscriptions.push(
    log,
    trace,
    environments,
    executed,
    executed.event((command) => {
      if (JUDGING.has(command)) {
        void refresh.now();
      }
    }),
    refresh,
    showStatus(running),
    view,
    new ScanProblems(store),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, new FunctionDocuments()),
    registerCommands({
      session: running,
      scanner,
      store,
      view,
      ui: vscodeUi,
      log,
      surroundings: () => surroundings(context),
    }),
    running.onDidChange((state) => report(state, log)),
    ...restarts(running, environments),
  );
  void setContext("polyclone.languageIds", languageIds);
  void running.restart("the extension was activated");
  return {
    state: () => running.state,
    onDidChangeState: (listener) => running.onDidChange(listener),
    view,
    store,
  };
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}

function waysOf(
  { extensionPath }: vscode.ExtensionContext,
  outputs: Omit<Outputs, "wholeWorkspace">,
  environments: Environments,
): Ways {
  const log = (line: string): void => outputs.log.info(line);
  return {
    locate: () => locate(wishes(), probes({ extensionPath, selected: () => environments.selected(), log })),
    // Started in the extension's own folder: a workspace must not decide what a program finds where it starts.
    connect: (launch, onStatus, giveUp) => {
      const mode = vscode.workspace.getConfiguration(SECTION).get("diagnosticMode");
      return connect(launch, extensionPath, { ...outputs, wholeWorkspace: mode === "workspace" }, onStatus, giveUp);
    },
    log,
  };
}

function failed(message: string): void {
  void tell({ message: `polyclone: ${message}`, remedies: ["logs"] }, vscodeUi);
}

function wishes(): Wishes {
  const settings = vscode.workspace.getConfiguration(SECTION);
  return {
    serverPath: expandPath(settings.get("server.path", "")),
    interpreter: expandPath(settings.get("interpreter", "")),
    importStrategy: settings.get<Wishes["importStrategy"]>("importStrategy", "fromEnvironment"),
    trusted: vscode.workspace.isTrusted,
  };
}

function restarts(running: Session, environments: Environments): vscode.Disposable[] {
  return [
    vscode.workspace.onDidChangeConfiguration((event) => {
      const key = RESTARTING.find((name) => event.affectsConfiguration(`${SECTION}.${name}`));
      if (key !== undefined) {
        void running.restart(`polyclone.${key} changed`);
      }
    }),
    environments.onDidChange(() => {
      const settings = vscode.workspace.getConfiguration(SECTION);
      if (settings.get("server.path", "") === "" && settings.get("interpreter", "") === "") {
        void running.restart("another interpreter was selected");
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void running.restart("the workspace is trusted now")),
  ];
}

/** Every state goes to the log; a failure is told, once. */
function report(state: State, log: vscode.LogOutputChannel): void {
  if (state.kind === "failed") {
    log.error(state.problem.message);
    void tell(state.problem, vscodeUi);
  } else {
    const { text, detail } = describe(state);
    log.info(detail === "" ? text : `${text} (${detail})`);
  }
}

function surroundings(context: vscode.ExtensionContext): Surroundings {
  const { version, contributes } = context.extension.packageJSON as {
    version: string;
    contributes: { configuration: { properties: Record<string, { default?: unknown }> }[] };
  };
  const settings = vscode.workspace.getConfiguration();
  const changed = contributes.configuration
    .flatMap(({ properties }) => Object.entries(properties))
    .map(([key, { default: usual }]): [string, unknown, unknown] => [key, settings.get(key), usual])
    .filter(([, value, usual]) => JSON.stringify(value) !== JSON.stringify(usual))
    .map(([key, value]): [string, unknown] => [key, value]);
  return {
    extension: version,
    editor: `${vscode.env.appName} ${vscode.version}`,
    platform: `${process.platform} ${process.arch}, Node ${process.version}`,
    remote: vscode.env.remoteName,
    trusted: vscode.workspace.isTrusted,
    folders: vscode.workspace.workspaceFolders?.length ?? 0,
    settings: Object.fromEntries(changed),
  };
}
