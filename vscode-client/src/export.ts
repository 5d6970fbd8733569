/** A scan as a JSON document for other programs. Lines are 1-based, paths relative to their workspace folder. */
import type { FunctionItem, ModelItem, ScanReport } from "./protocol";

export const EXPORT_VERSION = 1;

export function exportScan(report: ScanReport, model: ModelItem | null): string {
  const value = {
    version: EXPORT_VERSION,
    model: model && { name: model.name, kind: model.kind, version: model.version, digest: model.digest },
    threshold: report.threshold,
    cancelled: report.cancelled,
    files: report.files,
    functions: report.functions,
    too_small: report.tooSmall,
    truncated: report.truncated,
    unverified: report.unverified,
    skipped: report.skipped,
    failures: report.failures,
    groups: report.groups.map((group) => ({
      id: group.id,
      probability: group.probability,
      accepted: group.accepted,
      members: group.members.map(exportFunction),
      pairs: group.pairs,
    })),
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}

function exportFunction(member: FunctionItem): object {
  return {
    path: member.path,
    language: member.language,
    name: member.name,
    qualified_name: member.qualifiedName,
    start_line: member.range.start.line + 1,
    end_line: member.range.end.line + 1,
  };
}
