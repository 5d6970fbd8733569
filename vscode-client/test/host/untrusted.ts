/** A workspace that is not trusted brings settings that would run a program of its own. They have no effect. */
import { strict as assert } from "node:assert";
import * as vscode from "vscode";
import { api, finding, open, ready, until } from "./support";

suite("an untrusted workspace", () => {
  test("is not trusted in this editor", () => {
    assert.equal(vscode.workspace.isTrusted, false);
  });

  test("chooses neither server nor interpreter", async () => {
    const settings = vscode.workspace.getConfiguration("polyclone");
    assert.equal(settings.get("server.path"), process.env["POLYCLONE_SERVER"]);
    assert.equal(settings.get("interpreter"), "");
  });

  test("is served by the server that the user chose", async () => {
    const editor = await open("payments/card.go");
    await ready();
    await finding(editor, "IsValidCardNumber");
    const { state } = await api();
    const now = state();
    assert.ok(now.kind === "running" && now.launch.command === process.env["POLYCLONE_SERVER"]);
  });

  test("does not get its Python environment run", async () => {
    await vscode.workspace
      .getConfiguration("polyclone")
      .update("server.path", undefined, vscode.ConfigurationTarget.Global);
    const { state } = await api();
    const now = await until("another server, or the reason for none", () => {
      const current = state();
      const other = current.kind === "running" && current.launch.origin !== "setting";
      return (other || current.kind === "failed") && current;
    });
    if (now.kind === "failed") {
      assert.match(now.problem.message, /not trusted/);
      assert.equal(now.problem.remedies[0], "trust");
    } else {
      assert.ok(now.kind === "running");
      assert.equal(now.launch.origin, "bundled");
    }
  });
});
