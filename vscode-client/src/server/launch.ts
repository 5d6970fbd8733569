/** How a server is started, and what keeps it from starting. Values only. */

export type Origin = "setting" | "environment" | "bundled";

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly origin: Origin;
  /** For people: where it was found. */
  readonly description: string;
}

/** What a person can do about a problem; each becomes a button. */
export type Remedy = "settings" | "interpreter" | "install" | "logs" | "restart" | "trust";

export interface Problem {
  /** What is wrong, and how to put it right. */
  readonly message: string;
  readonly remedies: readonly Remedy[];
  /** The setting that `settings` opens. */
  readonly setting?: string;
}

export class StartError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
  }
}
