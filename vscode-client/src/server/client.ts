/** The language client of one run of the server. Recovery is left to `session.ts`: a client is used once. */
import * as vscode from "vscode";
import {
  CloseAction,
  DocumentDiagnosticRequest,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  ProgressType,
  RevealOutputChannelOn,
  StreamMessageReader,
  StreamMessageWriter,
  WorkDoneProgress,
  WorkDoneProgressCancelNotification,
} from "vscode-languageclient/node";
import { documentSelector } from "../languages";
import {
  CLIENT_COMMANDS,
  type ClientExtensions,
  COMMAND_SCAN,
  SECTION,
  STATUS,
  STATUS_CHANGED,
  type Status,
} from "../protocol";
import { type Launch, StartError } from "./launch";
import { logAdapter } from "./output";
import { describeExit, endProcess, type ServerProcess, startProcess } from "./process";
import type { Connection, Reports } from "./session";

export interface Outputs {
  readonly log: vscode.LogOutputChannel;
  readonly trace: vscode.OutputChannel;
  /** Whether files that are not open get diagnostics. */
  readonly wholeWorkspace: boolean;
  /** A command that the server executes failed. */
  readonly failed: (message: string) => void;
  /** One was executed. */
  readonly executed: (command: string) => void;
}

/** Says what happens in the log only; the session tells the user, once, with what to do. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export async function connect(
  launch: Launch,
  folder: string,
  outputs: Outputs,
  onStatus: (status: Status) => void,
  giveUp: AbortSignal,
): Promise<Connection> {
  let server: ServerProcess | undefined;
  const closed = newSignal();
  const end = (): void => void server?.child.kill();
  giveUp.addEventListener("abort", end);
  const client = new QuietClient(
    SECTION,
    "polyclone",
    async () => {
      server = await startProcess(launch, folder, (line) => outputs.log.info(`server: ${line}`));
      giveUp.throwIfAborted();
      const { stdout, stdin } = server.child;
      return { reader: new StreamMessageReader(stdout), writer: new StreamMessageWriter(stdin), detached: true };
    },
    clientOptions(outputs, closed.give),
  );
  if (!outputs.wholeWorkspace) {
    askAboutOpenFilesOnly(client);
  }
  client.onNotification(STATUS_CHANGED, onStatus);
  try {
    await client.start();
  } catch (error) {
    throw await startError(launch, server, error);
  } finally {
    giveUp.removeEventListener("abort", end);
  }
  return new ClientConnection(client, server, closed.given, outputs);
}

/**
 * The server offers diagnostics of the whole workspace in any case, and a client that takes the offer keeps those of
 * files that are closed. Where they are not wanted, the offer is not heard.
 */
function askAboutOpenFilesOnly(client: LanguageClient): void {
  const feature = client.getFeature(DocumentDiagnosticRequest.method);
  if (!feature) {
    return;
  }
  const initialize = feature.initialize.bind(feature);
  feature.initialize = (capabilities, selector) => {
    const { diagnosticProvider: offer } = capabilities;
    const taken = offer && { diagnosticProvider: { ...offer, workspaceDiagnostics: false } };
    initialize({ ...capabilities, ...taken }, selector);
  };
}

function clientOptions(outputs: Outputs, onClosed: () => void): LanguageClientOptions {
  const extensions: ClientExtensions = { commands: [...CLIENT_COMMANDS], statusNotification: true };
  return {
    documentSelector: [...documentSelector],
    initializationOptions: extensions,
    outputChannel: logAdapter(outputs.log),
    traceOutputChannel: outputs.trace,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    diagnosticPullOptions: { onChange: true, onSave: false },
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        onClosed();
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    middleware: {
      workspace: {
        configuration: async (params, token, next) => {
          const values: unknown = await next(params, token);
          return Array.isArray(values)
            ? values.map((value: unknown, index) => onlyWhatIsSet(value, params.items[index]?.scopeUri))
            : [];
        },
      },
      executeCommand: async (command, args, next) => {
        if (command === COMMAND_SCAN) {
          // One kind of scan in this editor: the one that fills the view.
          return vscode.commands.executeCommand("polyclone.scanWorkspace");
        }
        try {
          const answer: unknown = await next(command, args);
          outputs.executed(command);
          return answer;
        } catch (error) {
          outputs.failed(error instanceof Error ? error.message : String(error));
          return undefined;
        }
      },
    },
  };
}

/** A default that is not empty would overrule the configuration file of a folder: it is left out. */
function onlyWhatIsSet(value: unknown, scopeUri: string | undefined): unknown {
  const scope = scopeUri === undefined ? undefined : vscode.Uri.parse(scopeUri);
  const found = vscode.workspace.getConfiguration(SECTION, scope).inspect("sameLanguage");
  const set = found?.globalValue ?? found?.workspaceValue ?? found?.workspaceFolderValue;
  return typeof value === "object" && set === undefined ? { ...value, sameLanguage: null } : value;
}

async function startError(launch: Launch, server: ServerProcess | undefined, error: unknown): Promise<StartError> {
  if (server) {
    await endProcess(server);
  }
  const text = error instanceof Error ? error.message : String(error);
  const reason = server ? describeExit(server.exit(), server.complaints()) : `cannot be run: ${text}`;
  const command = [launch.command, ...launch.args].join(" ");
  const setting = launch.origin === "setting" ? "polyclone.server.path" : "polyclone.interpreter";
  return new StartError({
    message: `The polyclone server did not start: "${command}" ${reason}. See the logs, or choose another server in the settings.`,
    remedies: ["logs", "settings", "restart"],
    setting,
  });
}

class ClientConnection implements Connection {
  readonly lost: Promise<string>;

  constructor(
    private readonly client: LanguageClient,
    private readonly server: ServerProcess | undefined,
    closed: Promise<void>,
    private readonly outputs: Outputs,
  ) {
    this.lost = closed.then(async () => {
      await this.afterExit();
      return describeExit(server?.exit(), server?.complaints() ?? []);
    });
  }

  status(): Promise<Status> {
    return this.client.sendRequest<Status>(STATUS);
  }

  async request<Result>(method: string, params: object, reports: Reports = {}): Promise<Result> {
    const listeners: { dispose(): unknown }[] = [];
    const tokens: Record<string, string> = {};
    if (reports.partial) {
      const token = (tokens["partialResultToken"] = newToken());
      listeners.push(this.client.onProgress(new ProgressType<unknown>(), token, reports.partial));
    }
    const { work } = reports;
    if (work) {
      const token = (tokens["workDoneToken"] = newToken());
      listeners.push(
        this.client.onProgress(WorkDoneProgress.type, token, (value) => {
          if (value.kind !== "end") {
            work(value.message ?? "", value.percentage);
          }
        }),
      );
    }
    const source = new vscode.CancellationTokenSource();
    listeners.push(source);
    const { cancel } = reports;
    if (cancel) {
      const stop = (): void => {
        const token = tokens["workDoneToken"];
        if (token !== undefined) {
          // The request alone being cancelled would leave the work behind it running.
          void this.client.sendNotification(WorkDoneProgressCancelNotification.type, { token });
        }
        source.cancel();
      };
      listeners.push(cancel.onCancellationRequested(stop));
    }
    try {
      return await this.client.sendRequest<Result>(method, { ...params, ...tokens }, source.token);
    } finally {
      vscode.Disposable.from(...listeners).dispose();
    }
  }

  async execute(command: string, ...args: unknown[]): Promise<unknown> {
    const answer = await this.client.sendRequest("workspace/executeCommand", { command, arguments: args });
    this.outputs.executed(command);
    return answer;
  }

  async stop(): Promise<void> {
    try {
      await this.client.stop();
    } catch {
      // It did not answer in time, or is gone already.
    }
    if (this.server) {
      await endProcess(this.server);
    }
    await this.client.dispose().catch(() => undefined);
  }

  private async afterExit(): Promise<void> {
    if (this.server) {
      await endProcess(this.server);
    }
    // The client has ended by itself; its providers and commands go with it.
    await this.client.dispose().catch(() => undefined);
  }
}

let tokens = 0;

function newToken(): string {
  tokens += 1;
  return `polyclone-${tokens}`;
}

function newSignal(): { given: Promise<void>; give: () => void } {
  let give: () => void = () => undefined;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give };
}
