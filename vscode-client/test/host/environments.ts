/** The interpreter that Python extensions select: asked for in order, followed when it changes. */
import { strict as assert } from "node:assert";
import * as vscode from "vscode";
import { api, finding, open, ready, until } from "./support";

interface Stub {
  readonly select: (path: string) => void;
}

async function extension(id: string): Promise<Stub> {
  const found = vscode.extensions.getExtension<Stub>(id);
  assert.ok(found, `${id} is not installed`);
  return found.activate();
}

suite("selected environments", () => {
  test("run the server of the one that Python Environments names", async () => {
    const editor = await open("payments/card.go");
    await ready();
    const now = (await api()).state();
    assert.ok(now.kind === "running");
    assert.equal(now.launch.origin, "environment");
    assert.deepEqual(now.launch.args, ["-P", "-m", "polyclone_server", "--stdio"]);
    await finding(editor, "IsValidCardNumber");
  });

  test("are followed when another one is selected, down to what the other extension names", async () => {
    const { pid } = await ready();
    (await extension("ms-python.vscode-python-envs")).select("/nowhere/python");
    await ready(pid);
  });

  test("none with a server says what to do, and what was looked at", async () => {
    const { state } = await api();
    (await extension("ms-python.python")).select("/nowhere/other");
    const problem = await until("the failure", () => {
      const now = state();
      return now.kind === "failed" && now.problem;
    });
    assert.match(problem.message, /pip install polyclone/);
    assert.match(
      problem.message,
      /\/nowhere\/python \(Python Environments\) does not run; \/nowhere\/other \(Python\)/,
    );
  });
});
