/** No server where the setting says: the problem is told with buttons, and correcting the setting is enough. */
import { strict as assert } from "node:assert";
import * as vscode from "vscode";
import { api, finding, open, ready, setting, until, workspacePath } from "./support";

suite("a server that is missing", () => {
  const shown: { message: string; buttons: string[] }[] = [];
  const original = vscode.window.showErrorMessage;
  let press: string | undefined;

  suiteSetup(() => {
    const record = (message: string, ...buttons: string[]): Promise<string | undefined> => {
      shown.push({ message, buttons });
      return Promise.resolve(press);
    };
    Object.assign(vscode.window, { showErrorMessage: record });
  });

  suiteTeardown(() => {
    Object.assign(vscode.window, { showErrorMessage: original });
  });

  test("is named, with a button for each remedy", async () => {
    const { state } = await api();
    const problem = await until("the failure", () => {
      const now = state();
      return now.kind === "failed" && now.problem;
    });
    assert.match(problem.message, /polyclone\.server\.path names \/nowhere\/polyclone-server, which does not exist/);
    assert.deepEqual(shown[0]?.buttons, ["Open Settings", "Show Logs"]);
  });

  test("leaves the commands in place, which say the same", async () => {
    await open("payments/card.go");
    const before = shown.length;
    press = "Show Logs";
    await vscode.commands.executeCommand("polyclone.findClones");
    await until("the message", () => shown.length > before);
    assert.match(shown[before]?.message ?? "", /does not exist/);
    press = undefined;
  });

  test("that ends at once is described by its exit code", async () => {
    await setting("server.path", "/bin/false");
    const { state } = await api();
    await until("the failure", () => {
      const now = state();
      return now.kind === "failed" && /"\/bin\/false --stdio" ended with exit code 1/.test(now.problem.message);
    });
  });

  test("that is no program is told apart", async () => {
    await setting("server.path", workspacePath("README.md").fsPath);
    const { state } = await api();
    await until("the failure", () => {
      const now = state();
      return now.kind === "failed" && /cannot be executed/.test(now.problem.message);
    });
  });

  test("that says nothing does not keep another from being started", async () => {
    const { onDidChangeState, state } = await api();
    const kinds: string[] = [];
    const subscription = onDidChangeState(({ kind }) => kinds.push(kind));
    await setting("server.path", process.env["POLYCLONE_SILENT"]);
    await until("the start", () => state().kind === "starting");
    await setting("server.path", "/nowhere/again");
    await until("the failure", () => {
      const now = state();
      return now.kind === "failed" && /\/nowhere\/again/.test(now.problem.message);
    });
    subscription.dispose();
    assert.deepEqual(kinds, ["starting", "starting", "failed"]);
  });

  test("is not looked for where polyclone.interpreter names no Python", async () => {
    await setting("interpreter", "/bin/false");
    await setting("server.path", undefined);
    const { state } = await api();
    const problem = await until("the failure", () => {
      const now = state();
      return now.kind === "failed" && /polyclone\.interpreter/.test(now.problem.message) && now.problem;
    });
    assert.match(problem.message, /names \/bin\/false, which does not run as Python/);
    assert.equal(problem.setting, "polyclone.interpreter");
    await setting("interpreter", undefined);
  });

  test("starts as soon as the setting is right", async () => {
    await setting("server.path", process.env["POLYCLONE_SERVER"]);
    const { state } = await api();
    await until("the server", () => state().kind === "running");
    await ready();
    await finding(await open("payments/card.go"), "IsValidCardNumber");
  });
});
