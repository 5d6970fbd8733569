/** Groups as nodes of a tree, in words. No editor. */
import { count, plural, probability } from "../describe";
import type {
  AcceptArguments,
  CompareArguments,
  FunctionItem,
  GroupItem,
  IgnorePairArguments,
  PairItem,
  Position,
  Range,
  ScanReport,
} from "../protocol";
import type { Choice } from "../ui";

export interface GroupNode {
  readonly kind: "group";
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly group: GroupItem;
  readonly members: readonly MemberNode[];
}

export interface MemberNode {
  readonly kind: "member";
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly member: FunctionItem;
  readonly index: number;
  readonly group: GroupItem;
}

export type Node = GroupNode | MemberNode;

export function nodes(groups: readonly GroupItem[]): readonly GroupNode[] {
  const seen = new Map<string, number>();
  return groups.map((group) => {
    // Ids must be unique in the tree, and equal content has an equal id.
    const again = seen.get(group.id) ?? 0;
    seen.set(group.id, again + 1);
    const id = again === 0 ? group.id : `${group.id}#${again}`;
    return {
      kind: "group",
      id,
      label: group.members[0]?.name ?? "",
      description: `${probability(group.probability)} · ${languages(group)}${group.accepted ? " · accepted" : ""}`,
      group,
      members: group.members.map((member, index) => ({
        kind: "member",
        id: `${id}/${index}`,
        label: member.qualifiedName || member.name,
        description: `${member.languageTitle} · ${place(member)}`,
        member,
        index,
        group,
      })),
    };
  });
}

/** `Go, TypeScript ×2`. */
function languages({ members }: GroupItem): string {
  const counts = new Map<string, number>();
  for (const { languageTitle } of members) {
    counts.set(languageTitle, (counts.get(languageTitle) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([title, n]) => (n === 1 ? title : `${title} ×${n}`))
    .join(", ");
}

export function place(member: FunctionItem): string {
  return `${member.path}:${member.selectionRange.start.line + 1}`;
}

/** The pairs of a group, the most probable first; of one member only if an index is given. */
export function pairsOf(group: GroupItem, index?: number): readonly PairItem[] {
  return group.pairs
    .filter(({ left, right }) => index === undefined || left === index || right === index)
    .sort((a, b) => b.probability - a.probability);
}

export interface PairChoice extends Choice {
  readonly pair: PairItem;
}

/** The pairs to choose from, in words. Seen from a member, that member is not named again. */
export function pairChoices(group: GroupItem, index?: number): readonly PairChoice[] {
  return pairsOf(group, index).flatMap((pair) => {
    const sides = ends(group, pair, index);
    if (!sides) {
      return [];
    }
    const { left, right } = sides;
    const label = index === undefined ? `${left.name} ↔ ${right.name}` : right.qualifiedName;
    const where = index === undefined ? `${left.languageTitle} ↔ ${right.languageTitle}` : right.languageTitle;
    const detail = index === undefined ? `${place(left)} ↔ ${place(right)}` : place(right);
    return [{ label, description: `${where} · p = ${probability(pair.probability)}`, detail, pair }];
  });
}

/** Both functions of a pair; the member with this index is put on the left. */
export function ends(group: GroupItem, pair: PairItem, index?: number): CompareArguments | undefined {
  const turned = index !== undefined && pair.right === index;
  const left = group.members[turned ? pair.right : pair.left];
  const right = group.members[turned ? pair.left : pair.right];
  return left && right && { left, right };
}

export function ignoreArguments(group: GroupItem, pair: PairItem): IgnorePairArguments | undefined {
  const sides = ends(group, pair);
  return (
    sides && {
      uri: sides.left.uri,
      fingerprint: pair.fingerprint,
      left: `${sides.left.language} ${sides.left.qualifiedName}`,
      right: `${sides.right.language} ${sides.right.qualifiedName}`,
    }
  );
}

export function acceptArguments(group: GroupItem): AcceptArguments | undefined {
  const [first] = group.members;
  const pairs = group.pairs.flatMap((pair) => ignoreArguments(group, pair) ?? []);
  return first && { uri: first.uri, pairs };
}

/** The innermost member at a position of a document. */
export function memberAt(groups: readonly GroupNode[], uri: string, position: Position): MemberNode | undefined {
  let best: MemberNode | undefined;
  for (const node of groups.flatMap(({ members }) => members)) {
    const { range } = node.member;
    if (node.member.uri === uri && contains(range, position) && (!best || contains(best.member.range, range.start))) {
      best = node;
    }
  }
  return best;
}

function contains({ start, end }: Range, { line, character }: Position): boolean {
  return (
    (line > start.line || (line === start.line && character >= start.character)) &&
    (line < end.line || (line === end.line && character <= end.character))
  );
}

/** Everything that was counted, in one line; what was left out is said. */
export function summary(groups: readonly GroupItem[], report: ScanReport): string {
  const open = groups.filter(({ accepted }) => !accepted).length;
  const skipped = Object.values(report.skipped).reduce((sum, n) => sum + n, 0);
  const found = [plural(open, "group"), some(groups.length - open, "accepted")];
  if (report.cancelled) {
    return ["Cancelled, incomplete", ...found].filter(Boolean).join(" · ");
  }
  const parts = [
    ...found,
    plural(report.functions, "function"),
    some(report.tooSmall, "too small"),
    some(report.truncated, "judged in part"),
    report.unverified > 0 ? `${plural(report.unverified, "pair")} not verified` : "",
    plural(report.files, "file"),
    some(skipped, "skipped"),
    some(report.failures.length, "failed"),
  ];
  return parts.filter(Boolean).join(" · ");
}

/** `5,548 too small`; nothing where there are none. */
function some(value: number, what: string): string {
  return value > 0 ? `${count(value)} ${what}` : "";
}
