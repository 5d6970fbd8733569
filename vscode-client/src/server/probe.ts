/** Asks the machine what `locate` wants to know: files, interpreters, the bundled server. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Bundle, Candidate, Probes, Python } from "./locate";

const ANSWER_WITHIN_MS = 20_000;

// Runs on any Python 3, so that one that is too old can be named as such.
const QUESTION = `
import importlib.util, json, sys
try:
    found = importlib.util.find_spec("polyclone_server.__main__") and importlib.util.find_spec("polyclone")
except ImportError:
    found = None
version = None
if found:
    from importlib.metadata import PackageNotFoundError, version as version_of
    try:
        version = version_of("polyclone")
    except PackageNotFoundError:
        version = "(unknown version)"
print(json.dumps({"path": sys.executable, "version": "%d.%d" % sys.version_info[:2], "polyclone": version}))
`;

export interface Place {
  /** Folder of the extension. */
  readonly extensionPath: string;
  readonly selected: () => Promise<readonly Candidate[]>;
  readonly log: (line: string) => void;
}

export function probes(place: Place): Probes {
  return {
    program,
    python: (path) => askPython(path, place),
    selected: place.selected,
    onPath: () => pythonNames(process.platform),
    bundle: () => readBundle(place.extensionPath),
  };
}

async function program(path: string): Promise<"ok" | "missing" | "notExecutable"> {
  try {
    if (!(await stat(path)).isFile()) {
      return "notExecutable";
    }
  } catch {
    return "missing";
  }
  try {
    await access(path, constants.X_OK);
    return "ok";
  } catch {
    return "notExecutable";
  }
}

/** Starts in the extension's folder: Python looks for modules where it starts, and a workspace may hold anything. */
function askPython(path: string, place: Place): Promise<Python | undefined> {
  return new Promise((resolve) => {
    const options = { cwd: place.extensionPath, timeout: ANSWER_WITHIN_MS, windowsHide: true };
    execFile(path, ["-c", QUESTION], options, (error, stdout, stderr) => {
      const answer = error ? undefined : parseAnswer(stdout);
      if (!answer) {
        place.log(`${path} does not answer as Python: ${error?.message.trim() ?? stdout}${stderr.trim()}`);
      }
      resolve(answer);
    });
  });
}

/** The last line that the question printed. */
export function parseAnswer(stdout: string): Python | undefined {
  try {
    const { path, version, polyclone } = JSON.parse(stdout.trim().split("\n").pop() ?? "") as Record<string, unknown>;
    if (typeof path === "string" && typeof version === "string") {
      return { path, version, polyclone: typeof polyclone === "string" ? polyclone : null };
    }
  } catch {
    // What printed this is no Python.
  }
  return undefined;
}

export function pythonNames(platform: NodeJS.Platform): readonly string[] {
  return platform === "win32"
    ? ["python", "python3", "py"]
    : ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"];
}

/** The server inside the extension, if this build of it has one. */
export async function readBundle(extensionPath: string): Promise<Bundle | undefined> {
  const folder = join(extensionPath, "bundled");
  let text: string;
  try {
    text = await readFile(join(folder, "bundle.json"), "utf8");
  } catch {
    return undefined;
  }
  const { pythons } = JSON.parse(text) as { pythons: string[] };
  return { script: join(folder, "run.py"), pythons };
}

/** A path as a person writes it in a setting: `~` and `${env:NAME}` replaced. */
export function expandPath(path: string, environment: NodeJS.ProcessEnv = process.env): string {
  const replaced = path.trim().replace(/\$\{env:(\w+)\}/g, (_, name: string) => environment[name] ?? "");
  return replaced === "~" || /^~[\\/]/.test(replaced) ? join(homedir(), replaced.slice(1)) : replaced;
}
