/** State of the server → words for the status item, the log and the view's welcome. */
import type { Status } from "./protocol";
import type { State } from "./server/session";

export interface Description {
  readonly text: string;
  readonly detail: string;
  readonly severity: "information" | "warning" | "error";
  readonly busy: boolean;
}

/** What the context key `polyclone.state` says. */
export type Phase = State["kind"] | Status["state"] | "disabled";

export function describe(state: State): Description {
  switch (state.kind) {
    case "stopped":
      return { text: "polyclone: stopped", detail: "", severity: "warning", busy: false };
    case "starting":
      return { text: "polyclone: starting", detail: state.message, severity: "information", busy: true };
    case "failed":
      return { text: "polyclone: not running", detail: state.problem.message, severity: "error", busy: false };
    case "running":
      return describeRunning(state);
  }
}

function describeRunning({ status }: State & { kind: "running" }): Description {
  const calm = { severity: "information" as const };
  switch (status.state) {
    case "loading":
      return { ...calm, text: "polyclone: loading model", detail: status.message, busy: true };
    case "indexing": {
      const progress = status.total > 0 ? ` ${count(status.done)}/${count(status.total)}` : "";
      return { ...calm, text: `polyclone: indexing${progress}`, detail: status.message, busy: true };
    }
    case "ready": {
      const found = `${plural(status.functions, "function")}, ${plural(status.pairs, "pair")}`;
      return { ...calm, text: `polyclone: ${found}`, detail: status.message, busy: false };
    }
    case "error":
      return { text: "polyclone: error", detail: status.message, severity: "error", busy: false };
  }
}

export function phase(state: State, enabled: boolean): Phase {
  if (!enabled) {
    return "disabled";
  }
  return state.kind === "running" ? state.status.state : state.kind;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** `0.94`; never rounded up to a certainty that the model did not state. */
export function probability(value: number): string {
  const shown = value.toFixed(2);
  return shown === "1.00" && value < 1 ? "0.99" : shown;
}
