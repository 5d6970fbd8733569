/** The language client's output channel, as the extension's log. */
import type * as vscode from "vscode";

/** The client writes lines with a level and a time of their own; the log channel has both already. */
export function logAdapter(log: vscode.LogOutputChannel): vscode.OutputChannel {
  const write = (text: string): void => {
    const [, level, rest] = /^\[(\w+) *- [^\]]*\] ([\s\S]*)$/.exec(text) ?? [undefined, "Info", text];
    const line = (rest ?? "").trimEnd();
    if (level === "Error") {
      log.error(line);
    } else if (level === "Warn") {
      log.warn(line);
    } else {
      log.info(line);
    }
  };
  return {
    name: log.name,
    append: write,
    appendLine: write,
    replace: write,
    clear: () => log.clear(),
    show: () => log.show(true),
    hide: () => log.hide(),
    dispose: () => undefined,
  };
}
