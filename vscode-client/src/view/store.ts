/** The groups that the view, Problems and export show: the last answer, or what has streamed in so far. */
import type { GroupItem, ScanReport } from "../protocol";

export interface Found {
  readonly groups: readonly GroupItem[];
  /** Counts of the scan that is over; undefined before the first and while one runs. */
  readonly report: ScanReport | undefined;
  /** A scan that a person asked for is under way. */
  readonly scanning: boolean;
}

export class GroupStore {
  private found: Found = { groups: [], report: undefined, scanning: false };
  private readonly listeners = new Set<(found: Found) => void>();

  get current(): Found {
    return this.found;
  }

  onDidChange(listener: (found: Found) => void): { dispose(): void } {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  }

  /** A scan starts; what it streams takes the place of the old groups, which stay until then. */
  begin(): void {
    this.become({ ...this.found, scanning: true });
  }

  /** Groups streamed by the running scan so far. */
  progress(groups: readonly GroupItem[]): void {
    this.become({ groups: sorted(groups), report: undefined, scanning: true });
  }

  finish(report: ScanReport): void {
    const groups = sorted(report.groups);
    this.become({ groups, report: { ...report, groups: [...groups] }, scanning: false });
  }

  /** The scan failed; what was there stays. */
  fail(): void {
    this.become({ ...this.found, scanning: false });
  }

  clear(): void {
    this.become({ groups: [], report: undefined, scanning: false });
  }

  private become(found: Found): void {
    this.found = found;
    for (const listener of [...this.listeners]) {
      listener(found);
    }
  }
}

/** Open ones before accepted ones, then the most probable first; the rest of the order never changes between two scans. */
function sorted(groups: readonly GroupItem[]): readonly GroupItem[] {
  const place = (group: GroupItem): string => group.members.map(({ path, name }) => `${path} ${name}`).join("\n");
  return [...groups].sort(
    (a, b) =>
      Number(a.accepted) - Number(b.accepted) ||
      b.probability - a.probability ||
      (place(a) < place(b) ? -1 : Number(place(a) > place(b))),
  );
}
