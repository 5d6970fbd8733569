/** The server's process: started without a shell, its complaints kept for the message when it dies. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { Launch } from "./launch";

const KEPT_LINES = 20;
const END_WITHIN_MS = 3_000;

export interface ServerProcess {
  readonly child: ChildProcessWithoutNullStreams;
  /** The last lines it wrote to stderr. */
  complaints(): string[];
  /** How it ended; undefined while it runs. */
  exit(): Exit | undefined;
  /** Resolves when the process has ended. */
  readonly ended: Promise<Exit>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Effect: starts the process in `folder`. Rejects if the program cannot be run. */
export async function startProcess(
  launch: Launch,
  folder: string,
  log: (line: string) => void,
): Promise<ServerProcess> {
  const environment = { ...process.env, PYTHONUTF8: "1" };
  const child = spawn(launch.command, [...launch.args], { cwd: folder, env: environment, windowsHide: true });
  const lines: string[] = [];
  let rest = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    const parts = (rest + chunk).split(/\r?\n/);
    rest = parts.pop() ?? "";
    for (const line of parts) {
      lines.push(line);
      log(line);
    }
    lines.splice(0, lines.length - KEPT_LINES);
  });
  let exit: Exit | undefined;
  // "close" comes after the last of stderr was read, "exit" may come before.
  const ended = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      exit = { code, signal };
      resolve(exit);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve).once("error", reject);
  });
  child.on("error", (error) => log(String(error)));
  child.stdin.on("error", () => undefined); // Writing to a dead server; its end is reported elsewhere.
  return { child, complaints: () => (rest === "" ? [...lines] : [...lines, rest]), exit: () => exit, ended };
}

/** For people: how a process ended, and the last thing it said. */
export function describeExit(exit: Exit | undefined, complaints: readonly string[]): string {
  const how =
    exit === undefined
      ? "closed its output"
      : exit.signal !== null
        ? `was ended by ${exit.signal}`
        : `ended with exit code ${exit.code ?? "unknown"}`;
  const last = complaints.filter((line) => line.trim() !== "").pop();
  return last === undefined ? how : `${how}: ${last.trim()}`;
}

/** Effect: waits for the process, then ends it. */
export async function endProcess(server: ServerProcess): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (await endsWithin(server, END_WITHIN_MS)) {
      return;
    }
    server.child.kill(signal);
  }
  await endsWithin(server, END_WITHIN_MS);
}

async function endsWithin(server: ServerProcess, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), limitMs)));
  const ended = await Promise.race([server.ended.then(() => true as const), late]);
  clearTimeout(timer);
  return ended;
}
