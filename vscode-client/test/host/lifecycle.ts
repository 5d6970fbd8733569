/** The server is restarted, killed, killed too often, and comes back. */
import { strict as assert } from "node:assert";
import * as vscode from "vscode";
import { api, finding, open, ready, setting, until } from "./support";

const GO = "payments/card.go";
const NAME = "IsValidCardNumber";

suite("the server's life", () => {
  test("Restart Server replaces the process, and findings come back", async () => {
    const editor = await open(GO);
    const { pid } = await ready();
    await finding(editor, NAME);
    await vscode.commands.executeCommand("polyclone.restart");
    await ready(pid);
    assert.throws(() => process.kill(pid, 0), "the old process lives");
    await finding(editor, NAME);
  });

  test("a setting that chooses what runs starts it again", async () => {
    const { pid } = await ready();
    await setting("jobs", 1);
    await ready(pid);
  });

  test("a crash is recovered from without anybody's help", async () => {
    const editor = await open(GO);
    const { pid } = await ready();
    process.kill(pid, "SIGKILL");
    await ready(pid);
    await finding(editor, NAME);
    const titles = await until("the lens", async () => {
      const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
        "vscode.executeCodeLensProvider",
        editor.document.uri,
        9,
      );
      return lenses.length > 0 && lenses.map(({ command }) => command?.title);
    });
    assert.deepEqual(titles, ["2 clones: Ruby, TypeScript"], "the dead server's providers answer, too");
  });

  test("a server that keeps crashing is given up, with a way out", async () => {
    const { state } = await api();
    const shown: string[][] = [];
    const original = vscode.window.showErrorMessage;
    Object.assign(vscode.window, {
      showErrorMessage: async (message: string, ...buttons: string[]) => {
        shown.push([message, ...buttons]);
        return undefined;
      },
    });
    try {
      let killed = 0;
      await until("giving up", () => {
        const now = state();
        if (now.kind === "running" && now.status.pid !== killed) {
          killed = now.status.pid;
          process.kill(killed, "SIGKILL");
        }
        return now.kind === "failed";
      });
    } finally {
      Object.assign(vscode.window, { showErrorMessage: original });
    }
    assert.match(shown[0]?.[0] ?? "", /ended again and again.*SIGKILL/);
    assert.deepEqual(shown[0]?.slice(1), ["Restart Server", "Show Logs"]);
    await vscode.commands.executeCommand("polyclone.restart");
    await ready();
    await finding(await open(GO), NAME);
  });
});
