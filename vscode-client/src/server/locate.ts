/**
 * Which server to run: the setting, the selected Python environment, the bundled one, in this order.
 * Asks the machine only through `Probes`, so that every case can be tested.
 */
import type { Launch, Problem, Remedy } from "./launch";

export const MINIMUM_PYTHON = "3.11";

/** A Python that answered. */
export interface Python {
  readonly path: string;
  /** `3.12`. */
  readonly version: string;
  /** Version of the polyclone that is installed in it with its server. */
  readonly polyclone: string | null;
}

/** A server inside the extension, for some versions of Python. */
export interface Bundle {
  readonly script: string;
  readonly pythons: readonly string[];
}

export interface Candidate {
  readonly path: string;
  /** For people: who named this interpreter. */
  readonly source: string;
}

export interface Probes {
  /** What lies at a path that was given by a person. */
  program(path: string): Promise<"ok" | "missing" | "notExecutable">;
  /** Undefined if nothing there answers as a Python. */
  python(path: string): Promise<Python | undefined>;
  /** Interpreters that Python extensions have selected, most specific first. */
  selected(): Promise<readonly Candidate[]>;
  /** Names or paths to try when nobody selected an interpreter. */
  onPath(): readonly string[];
  bundle(): Promise<Bundle | undefined>;
}

export interface Wishes {
  readonly serverPath: string;
  readonly interpreter: string;
  readonly importStrategy: "fromEnvironment" | "useBundled";
  /** False in a workspace that is not trusted: its environment may hold anything, so it is not run. */
  readonly trusted: boolean;
}

export type Located = { readonly launch: Launch } | { readonly problem: Problem };

export async function locate(wishes: Wishes, probes: Probes): Promise<Located> {
  if (wishes.serverPath !== "") {
    return fromSetting(wishes.serverPath, probes);
  }
  const search = await interpreters(wishes, probes);
  if ("problem" in search) {
    return search;
  }
  const bundle = await probes.bundle();
  const environment = search.pythons.find((python) => python.polyclone !== null && isRecent(python.version));
  const steps = [
    environment && fromEnvironment(environment),
    bundle && (await fromBundle(bundle, search.pythons, probes)),
  ];
  if (wishes.importStrategy === "useBundled") {
    steps.reverse();
  }
  const launch = steps.find((step) => step !== undefined);
  return launch ? { launch } : { problem: nothingFound(wishes, search, bundle) };
}

async function fromSetting(path: string, probes: Probes): Promise<Located> {
  const found = await probes.program(path);
  if (found === "ok") {
    return { launch: { command: path, args: ["--stdio"], origin: "setting", description: `the setting: ${path}` } };
  }
  const reason = found === "missing" ? "does not exist" : "cannot be executed";
  return {
    problem: {
      message: `polyclone.server.path names ${path}, which ${reason}. Correct the setting, or empty it to have the server looked for.`,
      remedies: ["settings", "logs"],
      setting: "polyclone.server.path",
    },
  };
}

interface Search {
  readonly pythons: readonly Python[];
  /** For people: what was looked at, and why it does not serve. */
  readonly notes: readonly string[];
}

async function interpreters(wishes: Wishes, probes: Probes): Promise<Search | { problem: Problem }> {
  if (wishes.interpreter !== "") {
    const python = await probes.python(wishes.interpreter);
    if (python && isRecent(python.version)) {
      return { pythons: [python], notes: [note(wishes.interpreter, "polyclone.interpreter", python)] };
    }
    const reason = python
      ? `is Python ${python.version}; ${MINIMUM_PYTHON} or newer is needed`
      : "does not run as Python";
    return {
      problem: {
        message: `polyclone.interpreter names ${wishes.interpreter}, which ${reason}. Correct the setting, or empty it.`,
        remedies: ["settings", "logs"],
        setting: "polyclone.interpreter",
      },
    };
  }
  const pythons: Python[] = [];
  const notes: string[] = [];
  for (const { path, source } of wishes.trusted ? await probes.selected() : []) {
    const python = await probes.python(path);
    notes.push(note(path, source, python));
    if (python) {
      pythons.push(python);
    }
  }
  return { pythons, notes };
}

function note(path: string, source: string, python: Python | undefined): string {
  if (!python) {
    return `${path} (${source}) does not run`;
  }
  const what = python.polyclone === null ? "has no polyclone server" : `has polyclone ${python.polyclone}`;
  return `${path} (${source}, Python ${python.version}) ${what}`;
}

function fromEnvironment(python: Python): Launch {
  return {
    command: python.path,
    // -P: a folder called polyclone_server where the process starts must not be what runs.
    args: ["-P", "-m", "polyclone_server", "--stdio"],
    origin: "environment",
    description: `polyclone ${python.polyclone ?? ""} in ${python.path}`,
  };
}

async function fromBundle(bundle: Bundle, selected: readonly Python[], probes: Probes): Promise<Launch | undefined> {
  const fits = (python: Python | undefined): python is Python =>
    python !== undefined && bundle.pythons.includes(python.version);
  let python = selected.find(fits);
  for (const path of python ? [] : probes.onPath()) {
    const answer = await probes.python(path);
    if (fits(answer)) {
      python = answer;
      break;
    }
  }
  return (
    python && {
      command: python.path,
      args: ["-I", bundle.script, "--stdio"],
      origin: "bundled",
      description: `bundled, with Python ${python.version} at ${python.path}`,
    }
  );
}

function nothingFound(wishes: Wishes, search: Search, bundle: Bundle | undefined): Problem {
  const looked = search.notes.length > 0 ? ` Looked at: ${search.notes.join("; ")}.` : "";
  const untrusted = wishes.trusted ? "" : " The workspace is not trusted, so its Python environment was left alone.";
  const trust: Remedy[] = wishes.trusted ? [] : ["trust"];
  if (bundle) {
    const versions = bundle.pythons.join(", ");
    return {
      message: `The bundled polyclone server needs a Python of version ${versions}, and none was found.${untrusted} Install one, or name it in polyclone.interpreter.${looked}`,
      remedies: [...trust, "interpreter", "settings"],
      setting: "polyclone.interpreter",
    };
  }
  return {
    message: `No polyclone server was found.${untrusted} Run "pip install polyclone" in the selected Python environment (${MINIMUM_PYTHON} or newer), or name the program in polyclone.server.path.${looked}`,
    remedies: [...trust, "install", "interpreter", "settings"],
    setting: "polyclone.server.path",
  };
}

/** Whether `3.12` is a version that polyclone runs on. */
export function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = MINIMUM_PYTHON.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
