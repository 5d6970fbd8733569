/**
 * The life of the server: found, started, watched, started again. One run at a time; every change passes through here.
 * Knows neither the editor nor LSP: both come in as `Ways`.
 */
import type { Cancel } from "../cancel";
import type { Status } from "../protocol";
import { type Launch, type Problem, StartError } from "./launch";
import type { Located } from "./locate";
import type { Recovery } from "./recovery";

export type State =
  | { readonly kind: "stopped" }
  | { readonly kind: "starting"; readonly message: string }
  | { readonly kind: "running"; readonly status: Status; readonly launch: Launch }
  | { readonly kind: "failed"; readonly problem: Problem };

/** What a long request may report while it runs. */
export interface Reports {
  readonly cancel?: Cancel | undefined;
  readonly partial?: (value: unknown) => void;
  readonly work?: (message: string, percentage: number | undefined) => void;
}

/** A server that answered `initialize`. */
export interface Connection {
  request<Result>(method: string, params: object, reports?: Reports): Promise<Result>;
  execute(command: string, ...args: unknown[]): Promise<unknown>;
  status(): Promise<Status>;
  /** Resolves with a description when the server goes away without having been asked to. */
  readonly lost: Promise<string>;
  stop(): Promise<void>;
}

export interface Ways {
  locate(): Promise<Located>;
  /** Throws `StartError`. When the signal comes before the server has answered, the process is ended. */
  connect(launch: Launch, onStatus: (status: Status) => void, giveUp: AbortSignal): Promise<Connection>;
  log(line: string): void;
}

/** A server that has not said how it is by then is taken for dead. Importing its packages for the first time takes long. */
const ANSWER_WITHIN_MS = 60_000;

export class Session {
  private current: State = { kind: "stopped" };
  private connection: Connection | undefined;
  private queue: Promise<void> = Promise.resolve();
  private readonly listeners = new Set<(state: State) => void>();
  /** Of the start that is under way: ends it, with the reason. */
  private starting: AbortController | undefined;

  constructor(
    private readonly ways: Ways,
    private readonly recovery: Recovery,
    private readonly answerWithinMs = ANSWER_WITHIN_MS,
  ) {}

  get state(): State {
    return this.current;
  }

  onDidChange(listener: (state: State) => void): { dispose(): void } {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  }

  /** Starts, or stops and starts again. Never rejects: what fails becomes the state. */
  restart(reason: string): Promise<void> {
    this.recovery.forgive();
    this.ways.log(`Starting the server: ${reason}.`);
    this.starting?.abort(OUTDATED);
    return this.enqueue(async () => {
      await this.end();
      await this.begin("Starting the server");
    });
  }

  stop(): Promise<void> {
    this.starting?.abort(OUTDATED);
    return this.enqueue(async () => {
      await this.end();
      this.become({ kind: "stopped" });
    });
  }

  /** The connection, once a start that is under way is over. Throws `StartError`. */
  async connected(): Promise<Connection> {
    await this.queue;
    if (this.connection) {
      return this.connection;
    }
    throw new StartError(
      this.current.kind === "failed"
        ? this.current.problem
        : { message: "The polyclone server is not running. Restart it to go on.", remedies: ["restart", "logs"] },
    );
  }

  private enqueue(work: () => Promise<void>): Promise<void> {
    this.queue = this.queue.then(work);
    return this.queue;
  }

  private async begin(message: string): Promise<void> {
    this.become({ kind: "starting", message });
    const starting = (this.starting = new AbortController());
    try {
      await this.start(starting);
    } catch (error) {
      await this.end();
      const cause: unknown = starting.signal.aborted ? starting.signal.reason : error;
      if (cause !== OUTDATED) {
        this.become({ kind: "failed", problem: problemOf(cause) });
      }
    } finally {
      this.starting = undefined;
    }
  }

  private async start(starting: AbortController): Promise<void> {
    const located = await this.ways.locate();
    starting.signal.throwIfAborted();
    if ("problem" in located) {
      throw new StartError(located.problem);
    }
    const { launch } = located;
    this.ways.log(`Server: ${launch.description}. Command: ${[launch.command, ...launch.args].join(" ")}`);
    const late = setTimeout(() => starting.abort(new StartError(tooLate(this.answerWithinMs))), this.answerWithinMs);
    try {
      await this.run(launch, starting.signal);
    } finally {
      clearTimeout(late);
    }
  }

  private async run(launch: Launch, giveUp: AbortSignal): Promise<void> {
    let early: Status | undefined;
    let here: Connection | undefined;
    const onStatus = (status: Status): void => {
      if (here && this.connection === here) {
        this.become({ kind: "running", status, launch });
      } else {
        early = status;
      }
    };
    const connection = await this.ways.connect(launch, onStatus, giveUp);
    here = this.connection = connection;
    void connection.lost.then((how) => this.lost(connection, how));
    const asked = await unlessAborted(connection.status(), giveUp);
    if (this.connection === connection && this.current.kind !== "running") {
      this.become({ kind: "running", status: early ?? asked, launch });
    }
  }

  private async end(): Promise<void> {
    const connection = this.connection;
    this.connection = undefined;
    await connection?.stop();
  }

  private lost(connection: Connection, how: string): void {
    if (this.connection !== connection) {
      return;
    }
    this.connection = undefined;
    this.ways.log(`The server ${how}.`);
    if (this.recovery.mayRestart()) {
      this.become({ kind: "starting", message: "The server ended; starting it again" });
      void this.enqueue(async () => {
        if (!this.connection) {
          await this.begin("The server ended; starting it again");
        }
      });
    } else {
      const message = `The polyclone server ended again and again; the last time it ${how}. See the logs, then restart it.`;
      this.become({ kind: "failed", problem: { message, remedies: ["restart", "logs"] } });
    }
  }

  private become(state: State): void {
    this.current = state;
    for (const listener of [...this.listeners]) {
      listener(state);
    }
  }
}

/** Why a start ends when another one is asked for; nobody needs to hear of it. */
const OUTDATED = new Error("The start was given up.");

function tooLate(limitMs: number): Problem {
  const message = `The polyclone server did not answer within ${limitMs / 1000} s. See the logs for what it said; if polyclone.server.path is set, check that it names a polyclone-server.`;
  return { message, remedies: ["restart", "logs", "settings"], setting: "polyclone.server.path" };
}

function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason);
    if (signal.aborted) {
      giveUp();
    }
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(resolve, reject);
  });
}

function problemOf(error: unknown): Problem {
  if (error instanceof StartError) {
    return error.problem;
  }
  const text = error instanceof Error ? error.message : String(error);
  return { message: `The polyclone server did not start: ${text}. See the logs.`, remedies: ["logs", "restart"] };
}
