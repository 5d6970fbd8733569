/** Keeps the view up to date: when the server is ready with another index than the view shows, its groups are fetched. */
import type { Scanner } from "./scan";
import type { Session, State } from "./server/session";
import type { GroupStore } from "./view/store";

/** While one types, the index changes all the time; the view follows when it has come to rest. */
const REST_MS = 1_000;

export class AutoRefresh {
  private timer: NodeJS.Timeout | undefined;
  private shown = "";
  private readonly subscription: { dispose(): void };

  constructor(
    session: Session,
    private readonly scanner: Scanner,
    private readonly store: GroupStore,
    private readonly restMs = REST_MS,
  ) {
    this.subscription = session.onDidChange((state) => this.follow(state));
  }

  private follow(state: State): void {
    clearTimeout(this.timer);
    if (state.kind === "failed" || state.kind === "stopped") {
      this.shown = "";
      this.store.clear();
    } else if (state.kind === "running" && state.status.state === "ready" && this.shown !== identity(state)) {
      this.timer = setTimeout(() => void this.now(identity(state)), this.restMs);
    }
  }

  /** Effect: fetches the groups. A failure leaves what is shown. */
  async now(identity = this.shown): Promise<void> {
    try {
      await this.scanner.refresh();
      this.shown = identity;
    } catch {
      // The server went away or is busy; its next "ready" brings the next attempt.
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.subscription.dispose();
  }
}

/** Differs when the index does. */
function identity({ status }: State & { kind: "running" }): string {
  return [status.pid, status.files, status.functions, status.pairs].join(" ");
}
