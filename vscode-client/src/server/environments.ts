/**
 * The interpreter that the user selected, as the Python extensions tell it: Python Environments first, then Python.
 * Neither is required; a failing one counts as absent.
 */
import * as vscode from "vscode";
import type { Candidate } from "./locate";

const ENVIRONMENTS = "ms-python.vscode-python-envs";
const PYTHON = "ms-python.python";
/** Another extension that hangs must not keep this one from starting. */
const ANSWER_WITHIN_MS = 15_000;

/** What is used of the Python Environments extension. */
interface EnvironmentsApi {
  getEnvironment(scope: vscode.Uri | undefined): Promise<{ execInfo: { run: { executable: string } } } | undefined>;
  readonly onDidChangeEnvironment: vscode.Event<unknown>;
}

/** What is used of the Python extension; old versions have no `environments`. */
interface PythonApi {
  readonly environments?: {
    getActiveEnvironmentPath(resource: vscode.Uri | undefined): object;
    resolveEnvironment(environment: object): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

export class Environments implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[] = [];
  private readonly watched = new Set<string>();

  /** The user selected another interpreter. */
  readonly onDidChange = this.changed.event;

  constructor(private readonly log: (line: string) => void) {}

  async selected(): Promise<readonly Candidate[]> {
    const resource = vscode.workspace.workspaceFolders?.[0]?.uri;
    const sources = [() => this.fromEnvironments(resource), () => this.fromPython(resource)];
    const found: Candidate[] = [];
    for (const source of sources) {
      try {
        const candidate = await within(ANSWER_WITHIN_MS, source());
        if (candidate && !found.some(({ path }) => path === candidate.path)) {
          found.push(candidate);
        }
      } catch (error) {
        this.log(`No interpreter from a Python extension: ${String(error)}`);
      }
    }
    return found;
  }

  private async fromEnvironments(resource: vscode.Uri | undefined): Promise<Candidate | undefined> {
    const api = await exportsOf<EnvironmentsApi>(ENVIRONMENTS);
    if (!api) {
      return undefined;
    }
    this.watch(ENVIRONMENTS, () => api.onDidChangeEnvironment(() => this.changed.fire()));
    const environment = await api.getEnvironment(resource);
    const path = environment?.execInfo.run.executable;
    return path ? { path, source: "Python Environments" } : undefined;
  }

  private async fromPython(resource: vscode.Uri | undefined): Promise<Candidate | undefined> {
    const environments = (await exportsOf<PythonApi>(PYTHON))?.environments;
    if (!environments) {
      return undefined;
    }
    this.watch(PYTHON, () => environments.onDidChangeActiveEnvironmentPath(() => this.changed.fire()));
    const active = environments.getActiveEnvironmentPath(resource);
    const path = (await environments.resolveEnvironment(active))?.executable.uri?.fsPath;
    return path ? { path, source: "Python" } : undefined;
  }

  private watch(id: string, subscribe: () => vscode.Disposable): void {
    if (!this.watched.has(id)) {
      this.watched.add(id);
      this.subscriptions.push(subscribe());
    }
  }

  dispose(): void {
    vscode.Disposable.from(this.changed, ...this.subscriptions).dispose();
  }
}

async function exportsOf<Api>(id: string): Promise<Api | undefined> {
  const extension = vscode.extensions.getExtension<Api>(id);
  return extension && (extension.isActive ? extension.exports : await extension.activate());
}

async function within<Value>(limitMs: number, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
