/** One scan of the workspace: asks the server, streams groups into the store, can be cancelled. */
import { type Cancel, Stop, unlessCancelled } from "./cancel";
import { type GroupItem, SCAN, type ScanPartialResult, type ScanReport } from "./protocol";
import type { Connection } from "./server/session";
import type { GroupStore } from "./view/store";

export interface ScanOptions {
  readonly cancel?: Cancel;
  readonly progress?: (message: string, percentage: number | undefined) => void;
}

interface Running {
  readonly result: Promise<ScanReport>;
  /** Of a refresh: what makes it give way. */
  readonly stop?: Stop;
}

export class Scanner {
  private running: Running | undefined;

  constructor(
    private readonly connection: () => Promise<Connection>,
    private readonly store: GroupStore,
  ) {}

  /**
   * A scan that a person asks for, to be seen and cancelled. It joins another one; a refresh gives way to it.
   * Effect: fills the store as groups come in. Rejects if the server fails.
   */
  scan(options: ScanOptions = {}): Promise<ScanReport> {
    const { running } = this;
    if (running && !running.stop) {
      return running.result;
    }
    running?.stop?.request();
    return this.begin(this.visibly(options));
  }

  /**
   * Fetches the groups; nothing of it is to be seen until it is over. It joins whatever runs.
   * Effect: fills the store. Rejects if the server fails.
   */
  refresh(): Promise<ScanReport> {
    if (this.running) {
      return this.running.result;
    }
    const stop = new Stop();
    return this.begin(this.quietly(stop), stop);
  }

  private begin(work: Promise<ScanReport>, stop?: Stop): Promise<ScanReport> {
    const result = work.finally(() => {
      if (this.running?.result === result) {
        this.running = undefined;
      }
    });
    this.running = stop ? { result, stop } : { result };
    return result;
  }

  private async visibly({ cancel, progress }: ScanOptions): Promise<ScanReport> {
    let streamed: readonly GroupItem[] = [];
    this.store.begin();
    try {
      const report = await this.ask({ cancel, progress }, (groups) => {
        streamed = groups;
        this.store.progress(groups);
      });
      return this.finish(report);
    } catch (error) {
      if (cancel?.isCancellationRequested) {
        // What streamed in until then; where nothing did, what was there before.
        return this.finish(cancelledReport(streamed.length > 0 ? streamed : this.store.current.groups));
      }
      this.store.fail();
      throw error;
    }
  }

  private async quietly(stop: Stop): Promise<ScanReport> {
    try {
      const report = await this.ask({ cancel: stop }, () => undefined);
      if (!stop.isCancellationRequested) {
        return this.finish(report);
      }
    } catch (error) {
      if (!stop.isCancellationRequested) {
        throw error;
      }
    }
    return this.refresh(); // What it gave way to.
  }

  private async ask(
    { cancel, progress }: { cancel: Cancel | undefined; progress?: ScanOptions["progress"] },
    streaming: (groups: readonly GroupItem[]) => void,
  ): Promise<ScanReport> {
    const groups: GroupItem[] = [];
    const connection = await unlessCancelled(this.connection(), cancel);
    const partial = (value: unknown): void => {
      if (!cancel?.isCancellationRequested) {
        groups.push(...(value as ScanPartialResult).groups);
        streaming([...groups]);
      }
    };
    const request = connection.request<ScanReport>(SCAN, {}, { cancel, partial, ...(progress ? { work: progress } : {}) });
    // The server is told, but a person need not wait until it has stopped.
    const report = await unlessCancelled(request, cancel);
    return { ...report, groups: [...groups, ...report.groups] };
  }

  private finish(report: ScanReport): ScanReport {
    this.store.finish(report);
    return report;
  }
}

/** A cancelled request has no answer: what is known of it. */
function cancelledReport(groups: readonly GroupItem[]): ScanReport {
  return {
    files: 0,
    functions: 0,
    tooSmall: 0,
    truncated: 0,
    pairs: groups.reduce((sum, { pairs }) => sum + pairs.length, 0),
    unverified: 0,
    groups: [...groups],
    skipped: {},
    failures: [],
    threshold: 0,
    cancelled: true,
  };
}
