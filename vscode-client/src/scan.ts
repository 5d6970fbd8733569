/** One scan of the workspace: asks the server, streams groups into the store, can be cancelled. */
import { type GroupItem, SCAN, type ScanPartialResult, type ScanReport } from "./protocol";
import type { Cancel, Connection } from "./server/session";
import type { GroupStore } from "./view/store";

export interface ScanOptions {
  readonly cancel?: Cancel;
  readonly progress?: (message: string, percentage: number | undefined) => void;
  /** Keep what is shown until the scan is over: for a refresh that nobody asked for. */
  readonly quiet?: boolean;
}

interface Running {
  readonly quiet: boolean;
  readonly result: Promise<ScanReport>;
}

export class Scanner {
  private running: Running | undefined;
  private groups: GroupItem[] = [];

  constructor(
    private readonly connection: () => Promise<Connection>,
    private readonly store: GroupStore,
  ) {}

  /**
   * Effect: fills the store. Rejects if the server fails. A call while one runs joins it; but what a person asks for,
   * and wants to see and to cancel, waits for a quiet one to end and then runs for itself.
   */
  async scan(options: ScanOptions = {}): Promise<ScanReport> {
    while (this.running?.quiet && !options.quiet) {
      await this.running.result.catch(() => undefined);
    }
    if (this.running) {
      return this.running.result;
    }
    const result = this.run(options).finally(() => {
      this.running = undefined;
    });
    this.running = { quiet: options.quiet ?? false, result };
    return result;
  }

  private async run({ cancel, progress, quiet = false }: ScanOptions): Promise<ScanReport> {
    this.groups = [];
    const add = (groups: readonly GroupItem[]): void => {
      this.groups.push(...groups);
      if (!quiet) {
        this.store.progress(this.groups);
      }
    };
    if (!quiet) {
      this.store.begin();
    }
    try {
      const connection = await this.connection();
      const report = await connection.request<ScanReport>(
        SCAN,
        {},
        {
          cancel,
          partial: (value) => add((value as ScanPartialResult).groups),
          ...(progress ? { work: progress } : {}),
        },
      );
      this.groups.push(...report.groups);
      return this.finish(report);
    } catch (error) {
      if (cancel?.isCancellationRequested) {
        // What streamed in until then; where nothing did, what was there before.
        const kept = this.groups.length > 0 ? this.groups : [...this.store.current.groups];
        this.groups = kept;
        return this.finish(cancelledReport(kept));
      }
      this.store.fail();
      throw error;
    }
  }

  private finish(report: ScanReport): ScanReport {
    const whole = { ...report, groups: this.groups };
    this.store.finish(this.groups, whole);
    return whole;
  }
}

/** For a server that answers a cancelled request with an error. */
function cancelledReport(groups: readonly GroupItem[]): ScanReport {
  return {
    files: 0,
    functions: 0,
    tooSmall: 0,
    truncated: 0,
    pairs: groups.reduce((sum, { pairs }) => sum + pairs.length, 0),
    groups: [...groups],
    skipped: {},
    failures: [],
    threshold: 0,
    cancelled: true,
  };
}
