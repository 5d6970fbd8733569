/** One function out of a file's text. */
import type { Range } from "./protocol";

/** Whole lines of the range, without the indentation that all of them share, so that two functions line up. */
export function cut(text: string, range: Range): string {
  const lines = text.split(/\r\n|\r|\n/).slice(range.start.line, lastLine(range) + 1);
  const margins = lines.filter((line) => line.trim() !== "").map((line) => /^[ \t]*/.exec(line)?.[0] ?? "");
  const margin = margins.reduce(commonPrefix, margins[0] ?? "");
  return `${lines.map((line) => (line.trim() === "" ? "" : line.slice(margin.length))).join("\n")}\n`;
}

/** A range that ends before the first column of a line does not reach into that line. */
function lastLine({ start, end }: Range): number {
  return end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) {
    length += 1;
  }
  return a.slice(0, length);
}
