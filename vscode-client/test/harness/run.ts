/** Every suite in every editor. `node out/harness/run.js [host|window] [version…] [suite…]` runs a selection. */
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { SILENT, statesOfAFolder, stateWithoutFolder, stateWithoutTrust } from "../window/states";
import { firstFinding, tour, tourWithoutServer, type Visit, visit, type Walk } from "../window/window";
import { CLIENT, REPOSITORY, type Version, VERSIONS } from "./editor";
import { runHostSuite } from "./host";

const EXAMPLES = join(REPOSITORY, "examples");
const FALSE = "/bin/false";
/** For pictures of what is meant to fail. */
const NOWHERE = join(CLIENT, "out", "pictures", "failing");

interface Check {
  readonly name: string;
  readonly kind: "host" | "window";
  readonly suite: string;
  readonly run: (version: Version) => Promise<Result>;
}

interface Result {
  readonly passed: boolean;
  readonly output: string;
}

function main(words: readonly string[]): Promise<number> {
  const server = serverPath();
  const every = [...hostChecks(server), ...windowChecks(server)];
  const wanted = (options: readonly string[]): string[] => options.filter((option) => words.includes(option));
  const versions = wanted(VERSIONS) as Version[];
  const kinds = wanted(["host", "window"]);
  const suites = wanted([...new Set(every.map(({ suite }) => suite))]);
  const known = new Set<string>([...VERSIONS, "host", "window", ...suites]);
  const unknown = words.filter((word) => !known.has(word));
  if (unknown.length > 0) {
    throw new Error(`unknown: ${unknown.join(", ")}`);
  }
  const checks = every.filter(
    ({ kind, suite }) =>
      (kinds.length === 0 || kinds.includes(kind)) && (suites.length === 0 || suites.includes(suite)),
  );
  return runAll(checks, versions.length > 0 ? versions : VERSIONS);
}

async function runAll(checks: readonly Check[], versions: readonly Version[]): Promise<number> {
  let failures = 0;
  for (const version of versions) {
    for (const check of checks) {
      let passed = await runOnce(check, version);
      if (!passed && check.kind === "window") {
        // Pixels and focus of a busy machine: what fails twice is broken. Both tries are told.
        console.log(`     ${version} ${check.kind}: ${check.name}, once more`);
        passed = await runOnce(check, version);
      }
      failures += Number(!passed);
    }
  }
  return failures;
}

async function runOnce(check: Check, version: Version): Promise<boolean> {
  const start = Date.now();
  const { passed, output } = await check.run(version).catch((error: unknown) => ({
    passed: false,
    output: error instanceof Error ? `${error.stack ?? error.message}\n` : `${String(error)}\n`,
  }));
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  console.log(`${passed ? "ok  " : "FAIL"} ${version} ${check.kind}: ${check.name} (${seconds} s)`);
  if (!passed || process.env["POLYCLONE_VERBOSE"] !== undefined) {
    console.log(output);
  }
  return passed;
}

function hostChecks(server: string): Check[] {
  const settings = { "polyclone.server.path": server };
  const host = (
    name: string,
    suite: string,
    more: Partial<Parameters<typeof runHostSuite>[1]>,
    failure?: RegExp,
  ): Check => ({
    name,
    kind: "host",
    suite,
    run: async (version) => {
      const profile = { version, workspace: EXAMPLES, settings, ...more };
      const environment = { POLYCLONE_SERVER: server, ...more.environment };
      const { code, output } = await runHostSuite(suite, { ...profile, environment });
      const passed = failure === undefined ? code === 0 : code !== 0 && failure.test(output);
      return { passed, output: `${output}exit code ${code}\n` };
    },
  });
  const broken = { settings: { "polyclone.server.path": FALSE }, environment: { POLYCLONE_BAIL: "1" } };
  return [
    host("editing, view, scan, settings", "editing", {}),
    host("restart, crash, recovery", "lifecycle", {}),
    host("server missing", "missing", {
      settings: { "polyclone.server.path": "/nowhere/polyclone-server" },
      environment: { POLYCLONE_SILENT: SILENT },
    }),
    host("untrusted workspace", "untrusted", untrusted(server)),
    host("selected environments", "environments", environments(server)),
    host("with /bin/false as server, editing fails", "editing", broken, /\/bin\/false --stdio" ended with exit code 1/),
  ];
}

/** The workspace brings settings and an environment that would run something of its own. */
function untrusted(server: string): Partial<Parameters<typeof runHostSuite>[1]> {
  return {
    trusted: false,
    settings: { "polyclone.server.path": server },
    files: {
      ".vscode/settings.json": JSON.stringify({ "polyclone.server.path": FALSE, "polyclone.interpreter": FALSE }),
    },
  };
}

/** Two extensions that select the Python beside the server. */
function environments(server: string): Partial<Parameters<typeof runHostSuite>[1]> {
  const extensions = ["ms-python.python", "ms-python.vscode-python-envs"].map((name) =>
    join(CLIENT, "test", "fixtures", name),
  );
  return { settings: {}, extensions, environment: { POLYCLONE_PYTHON: join(dirname(server), "python") } };
}

function windowChecks(server: string): Check[] {
  const window = (name: string, suite: string, walk: Walk, options: () => Omit<Visit, "version">): Check => ({
    name,
    kind: "window",
    suite,
    run: async (version) => ({ passed: true, output: await visit(walk, { version, ...options() }) }),
  });
  return [
    window("edit, fix, view, scan", "tour", tour, () => ({ server })),
    failing(
      window("with /bin/false as server, the tour fails", "tour", tourWithoutServer, () => ({
        server: FALSE,
        pictures: NOWHERE,
      })),
      /waiting for .*squiggly-info/,
    ),
    window("the view in a folder", "states", statesOfAFolder(server), () => ({ server: SILENT })),
    window("the view without a folder", "states", stateWithoutFolder, () => ({ server, workspace: null })),
    window("the view without trust", "states", stateWithoutTrust, () => ({ trusted: false })),
    window("the platform VSIX in a fresh profile", "fresh", firstFinding, () => ({ vsix: bundledVsix() })),
  ];
}

/** A check that is meant to fail, and in this way. */
function failing(check: Check, reason: RegExp): Check {
  const run: Check["run"] = async (version) => {
    try {
      return { passed: false, output: (await check.run(version)).output };
    } catch (error) {
      return { passed: reason.test(String(error)), output: `${String(error)}\n` };
    }
  };
  return { ...check, run };
}

function bundledVsix(): string {
  const path = process.env["POLYCLONE_VSIX"] ?? "";
  if (!existsSync(path)) {
    throw new Error("POLYCLONE_VSIX names no file; build one with `make vsix`");
  }
  return path;
}

/** `POLYCLONE_SERVER`, else what the search path has. */
function serverPath(): string {
  const named = process.env["POLYCLONE_SERVER"];
  const places = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "polyclone-server"));
  const found = named ?? places.find(existsSync);
  if (found === undefined || !existsSync(found)) {
    throw new Error("no polyclone-server: set POLYCLONE_SERVER, or put it on the PATH");
  }
  return found;
}

main(process.argv.slice(2)).then(
  (failures) => {
    process.exitCode = failures === 0 ? 0 : 1;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  },
);
