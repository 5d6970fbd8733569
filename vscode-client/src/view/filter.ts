/** Which groups the view shows: by pairs of languages, and by text in names and paths. */
import type { FunctionItem, GroupItem } from "../protocol";

export interface Filter {
  /** Keys of `languagePairs`; empty for all. */
  readonly pairs: readonly string[];
  readonly text: string;
}

export const NO_FILTER: Filter = { pairs: [], text: "" };

export function isActive(filter: Filter): boolean {
  return filter.pairs.length > 0 || filter.text.trim() !== "";
}

export function apply(groups: readonly GroupItem[], filter: Filter): readonly GroupItem[] {
  const wanted = new Set(filter.pairs);
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return groups.filter(
    (group) =>
      (wanted.size === 0 || pairsOf(group).some((pair) => wanted.has(pair))) &&
      words.every((word) => group.members.some((member) => mentions(member, word))),
  );
}

/** `Go ↔ Python` → number of groups with such a pair, the most frequent first. */
export function languagePairs(groups: readonly GroupItem[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const pair of groups.flatMap(pairsOf)) {
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)));
}

/** For people. */
export function describeFilter({ pairs, text }: Filter): string {
  return [...pairs, ...(text.trim() === "" ? [] : [`“${text.trim()}”`])].join(", ");
}

function pairsOf({ members, pairs }: GroupItem): string[] {
  const found = pairs.flatMap(({ left, right }) => {
    const [a, b] = [members[left], members[right]];
    return a && b ? [pairKey(a, b)] : [];
  });
  return [...new Set(found)];
}

function pairKey(a: FunctionItem, b: FunctionItem): string {
  return [a.languageTitle, b.languageTitle].sort().join(" ↔ ");
}

function mentions(member: FunctionItem, word: string): boolean {
  return [member.qualifiedName, member.path, member.languageTitle].some((text) => text.toLowerCase().includes(word));
}
