/** Every suite in every editor. `node out/harness/run.js [host|window] [version…] [suite…]` runs a selection. */
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { firstFinding, tour, visit } from "../window/window";
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
      failures += Number(!passed);
    }
  }
  return failures;
}

function hostChecks(server: string): Check[] {
  const settings = { "polyclone.server.path": server };
  const host = (
    name: string,
    suite: string,
    more: Partial<Parameters<typeof runHostSuite>[1]>,
    expected = true,
  ): Check => ({
    name,
    kind: "host",
    suite,
    run: async (version) => {
      const profile = { version, workspace: EXAMPLES, settings, ...more };
      const environment = { POLYCLONE_SERVER: server, ...more.environment };
      const { code, output } = await runHostSuite(suite, { ...profile, environment });
      return { passed: (code === 0) === expected, output: `${output}exit code ${code}\n` };
    },
  });
  const broken = { settings: { "polyclone.server.path": FALSE }, environment: { POLYCLONE_BAIL: "1" } };
  return [
    host("editing, view, scan, settings", "editing", {}),
    host("restart, crash, recovery", "lifecycle", {}),
    host("server missing", "missing", { settings: { "polyclone.server.path": "/nowhere/polyclone-server" } }),
    host("untrusted workspace", "untrusted", untrusted(server)),
    host("selected environments", "environments", environments(server)),
    host("with /bin/false as server, editing fails", "editing", broken, false),
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
  const window = (name: string, suite: string, run: (version: Version) => Promise<string>, expected = true): Check => ({
    name,
    kind: "window",
    suite,
    run: async (version) => {
      try {
        return { passed: expected, output: await run(version) };
      } catch (error) {
        const output = error instanceof Error ? `${error.stack ?? error.message}\n` : String(error);
        return { passed: !expected, output };
      }
    },
  });
  return [
    window("edit, fix, view, scan", "tour", (version) => visit(tour, { version, server })),
    window(
      "with /bin/false as server, the tour fails",
      "tour",
      (version) => visit(tour, { version, server: FALSE, limitMs: 15_000, pictures: NOWHERE }),
      false,
    ),
    window("the platform VSIX in a fresh profile", "fresh", (version) =>
      visit(firstFinding, { version, vsix: bundledVsix() }),
    ),
  ];
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
