/** Values for the unit tests. */
import type { FunctionItem, GroupItem, PairItem, ScanReport, Status } from "../../src/protocol";
import type { Located, Probes, Python } from "../../src/server/locate";
import type { Choice, InputOptions, Ui } from "../../src/ui";

const TITLES: Readonly<Record<string, string>> = { go: "Go", python: "Python", rust: "Rust", typescript: "TypeScript" };

export function item(language: string, name: string, line = 0, lines = 5): FunctionItem {
  const path = `${language}/${name}.x`;
  return {
    uri: `file:///w/${path}`,
    path,
    language,
    languageTitle: TITLES[language] ?? language,
    name,
    qualifiedName: `Outer.${name}`,
    range: { start: { line, character: 0 }, end: { line: line + lines, character: 1 } },
    selectionRange: { start: { line, character: 4 }, end: { line, character: 4 + name.length } },
  };
}

export function pair(left: number, right: number, probability: number): PairItem {
  return { left, right, probability, similarity: 0.5, reasons: ["same calls: min"], fingerprint: `${left}${right}` };
}

export function group(id: string, members: FunctionItem[], pairs: PairItem[], accepted = false): GroupItem {
  return { id, probability: Math.max(...pairs.map((edge) => edge.probability)), members, pairs, accepted };
}

export function report(more: Partial<ScanReport> = {}): ScanReport {
  return {
    files: 3,
    functions: 12,
    tooSmall: 0,
    truncated: 0,
    pairs: 0,
    unverified: 0,
    groups: [],
    skipped: {},
    failures: [],
    threshold: 0.8,
    cancelled: false,
    ...more,
  };
}

export function status(state: Status["state"], more: Partial<Status> = {}): Status {
  return {
    state,
    message: "",
    done: 0,
    total: 0,
    files: 3,
    functions: 1234,
    pairs: 1,
    model: null,
    version: "0.1.0",
    pid: 7,
    ...more,
  };
}

export function python(path: string, version: string, polyclone: string | null = null): Python {
  return { path, version, polyclone };
}

/** A machine with these interpreters. */
export function machine(pythons: readonly Python[], more: Partial<Probes> = {}): Probes {
  return {
    program: async () => "ok",
    python: async (path) => pythons.find((candidate) => candidate.path === path),
    selected: async () => [],
    onPath: () => [],
    bundle: async () => undefined,
    ...more,
  };
}

export function messageOf(located: Located): string {
  return "problem" in located ? located.problem.message : "";
}

/** A person who presses the same button, types the same text and chooses the first item. */
export class Person implements Ui {
  readonly shown: { message: string; buttons: string[] }[] = [];
  readonly executed: { command: string; args: unknown[] }[] = [];
  copied = "";

  constructor(
    private readonly button?: string,
    private readonly failing: readonly string[] = [],
  ) {}

  info = (message: string, ...buttons: string[]): Promise<string | undefined> => this.show(message, buttons);
  warn = this.info;
  error = this.info;
  input = async (_: InputOptions): Promise<string | undefined> => undefined;
  pick = async <Item extends Choice>(items: readonly Item[]): Promise<Item | undefined> => items[0];
  pickMany = async <Item extends Choice>(items: readonly Item[]): Promise<readonly Item[] | undefined> => items;

  async execute(command: string, ...args: unknown[]): Promise<unknown> {
    this.executed.push({ command, args });
    if (this.failing.includes(command)) {
      throw new Error(`command '${command}' not found`);
    }
    return undefined;
  }

  async copy(text: string): Promise<void> {
    this.copied = text;
  }

  private async show(message: string, buttons: string[]): Promise<string | undefined> {
    this.shown.push({ message, buttons });
    return buttons.find((button) => button === this.button);
  }
}
