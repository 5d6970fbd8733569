/** What one sees and does while editing, in a workspace of nine languages, with the real server and its model. */
import { strict as assert } from "node:assert";
import { existsSync, readFileSync } from "node:fs";
import * as vscode from "vscode";
import { SERVER_COMMANDS } from "../../src/protocol";
import { api, becomes, finding, findings, open, ready, setting, until, workspacePath } from "./support";

const GO = "payments/card.go";
const NAME = "IsValidCardNumber";

async function quickFixes(editor: vscode.TextEditor, name: string): Promise<vscode.CodeAction[]> {
  const { range } = await finding(editor, name);
  return vscode.commands.executeCommand<vscode.CodeAction[]>(
    "vscode.executeCodeActionProvider",
    editor.document.uri,
    range,
    vscode.CodeActionKind.QuickFix.value,
    50,
  );
}

async function runFix(editor: vscode.TextEditor, name: string, title: RegExp): Promise<void> {
  const fixes = await quickFixes(editor, name);
  const fix = fixes.find((candidate) => title.test(candidate.title));
  assert.ok(fix, `none of: ${fixes.map((candidate) => candidate.title).join(" | ")}`);
  assert.ok(fix.command, `${fix.title} has no command`);
  await vscode.commands.executeCommand(fix.command.command, ...(fix.command.arguments ?? []));
}

async function lensTitles(uri: vscode.Uri): Promise<string[]> {
  const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>("vscode.executeCodeLensProvider", uri, 50);
  return lenses.flatMap(({ command }) => (command ? [command.title] : []));
}

async function hoverText(editor: vscode.TextEditor, name: string): Promise<string> {
  const at = (await finding(editor, name)).range.start.translate(0, 1);
  const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
    "vscode.executeHoverProvider",
    editor.document.uri,
    at,
  );
  return hovers
    .flatMap(({ contents }) => contents)
    .map((content) => (typeof content === "string" ? content : content.value))
    .join("\n");
}

function selectedText(): string {
  const editor = vscode.window.activeTextEditor;
  return editor ? editor.document.getText(editor.selection) : "";
}

suite("while editing", () => {
  test("opening a file activates the extension, and the server gets ready", async () => {
    const extension = vscode.extensions.getExtension("polyclone.polyclone");
    assert.equal(extension?.isActive, false, "active before any file of a known language was open");
    await open(GO);
    await until("activation by language", () => extension?.isActive);
    const status = await ready();
    assert.ok(status.functions > 30, `${status.functions} functions`);
    assert.ok(status.model);
  });

  test("a finding is on the function's name, with the places of its clones", async () => {
    const found = await finding(await open(GO), NAME);
    assert.equal(found.severity, vscode.DiagnosticSeverity.Information);
    assert.match(found.message, /clones: Ruby, TypeScript/);
    const places = (found.relatedInformation ?? []).map(({ location }) =>
      vscode.workspace.asRelativePath(location.uri),
    );
    assert.deepEqual(places.sort(), ["billing/card.rb", "storefront/pan.ts"]);
  });

  test("findings reach languages that the editor itself does not know", async () => {
    const editor = await open("courier/Frames.kt");
    assert.equal(editor.document.languageId, "kotlin");
    await finding(editor, "frameCrc");
  });

  test("the lens counts clones by language", async () => {
    const { document } = await open(GO);
    await until("the lens", async () => (await lensTitles(document.uri)).includes("2 clones: Ruby, TypeScript"));
  });

  test("the hover explains", async () => {
    const text = await hoverText(await open(GO), NAME);
    assert.match(text, /isValidCardNumber/);
    assert.match(text, /0\.\d\d/);
    assert.match(text, /```/);
  });

  test("typing changes the findings without saving", async () => {
    const { document } = await vscode.workspace
      .openTextDocument({ language: "go", content: "package p\n" })
      .then((d) => vscode.window.showTextDocument(d));
    const original = await vscode.workspace.openTextDocument(workspacePath(GO));
    const edit = new vscode.WorkspaceEdit();
    edit.insert(
      document.uri,
      document.positionAt(document.getText().length),
      original.getText().replace(/^package.*$/m, ""),
    );
    await vscode.workspace.applyEdit(edit);
    await until("a finding in the unsaved text", () => findings(document.uri).length > 0);
    const undo = new vscode.WorkspaceEdit();
    undo.delete(document.uri, new vscode.Range(0, 0, document.lineCount, 0));
    await vscode.workspace.applyEdit(undo);
    await until("the finding to go", () => findings(document.uri).length === 0);
    await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
  });
});

suite("quick fixes", () => {
  test("Go to clone selects its name in its file", async () => {
    await runFix(await open(GO), NAME, /^Go to TypeScript/);
    await until("the clone", () => selectedText() === "isValidCardNumber");
    assert.match(vscode.window.activeTextEditor?.document.uri.path ?? "", /storefront\/pan\.ts$/);
  });

  test("Peek all clones runs from the function", async () => {
    await runFix(await open(GO), NAME, /^Show 2 clones/);
    assert.match(vscode.window.activeTextEditor?.document.uri.path ?? "", /payments\/card\.go$/);
    await vscode.commands.executeCommand("closeReferenceSearch");
  });

  test("Compare side by side shows just the two functions", async () => {
    await runFix(await open(GO), NAME, /^Compare side by side with Ruby/);
    const input = await until("the comparison", () => {
      const current = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
      return current instanceof vscode.TabInputTextDiff && current;
    });
    assert.deepEqual([input.original.scheme, input.modified.scheme], ["polyclone-function", "polyclone-function"]);
    const [left, right] = await Promise.all(
      [input.original, input.modified].map((uri) => vscode.workspace.openTextDocument(uri)),
    );
    assert.match(left?.getText() ?? "", /^func IsValidCardNumber\(.*\n\}\n$/s);
    assert.match(right?.getText() ?? "", /^def (self\.)?valid_card_number\?.*\nend\n$/s);
    assert.deepEqual([left?.languageId, right?.languageId], ["go", "ruby"]);
    await vscode.commands.executeCommand("polyclone.openOriginal", input.modified);
    await until("the original", () => selectedText() === "valid_card_number?");
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  });

  test("Ignore this pair asks for a reason and keeps it", async () => {
    const original = vscode.window.showInputBox;
    Object.assign(vscode.window, { showInputBox: async () => "both services must check" });
    try {
      const editor = await open("courier/Geo.kt");
      await runFix(editor, "flightDistance", /^Ignore this pair/);
      await until("the finding to go", () => findings(editor.document.uri).length === 0);
    } finally {
      Object.assign(vscode.window, { showInputBox: original });
    }
    const kept = readFileSync(workspacePath(".polyclone/ignored").fsPath, "utf8");
    assert.match(kept, /both services must check/);
  });

  test("Ignore without an answer changes nothing", async () => {
    const original = vscode.window.showInputBox;
    Object.assign(vscode.window, { showInputBox: async () => undefined });
    try {
      const before = readFileSync(workspacePath(".polyclone/ignored").fsPath, "utf8");
      const editor = await open("routing/retry.rs");
      await runFix(editor, "retry_backoff", /^Ignore this pair/);
      assert.equal(readFileSync(workspacePath(".polyclone/ignored").fsPath, "utf8"), before);
      await finding(editor, "retry_backoff");
    } finally {
      Object.assign(vscode.window, { showInputBox: original });
    }
  });

  test("Accept writes the baseline", async () => {
    const editor = await open("routing/retry.rs");
    await runFix(editor, "retry_backoff", /^Accept .* into the baseline$/);
    await until("the finding to go", () => findings(editor.document.uri).length === 0);
    assert.ok(existsSync(workspacePath(".polyclone/baseline").fsPath));
  });
});

suite("the view", () => {
  test("shows the groups, the most probable first, and counts them", async () => {
    const { view } = await api();
    const groups = await until(
      "the accepted group",
      () => view.groups.filter(({ group }) => group.accepted).length >= 2 && view.groups,
    );
    const open = groups.filter(({ group }) => !group.accepted);
    assert.equal(view.badge, open.length);
    const probabilities = open.map(({ group }) => group.probability);
    assert.deepEqual(
      probabilities,
      [...probabilities].sort((a, b) => b - a),
    );
    const card = groups.find(({ members }) => members.some(({ label }) => label === NAME));
    assert.match(card?.description ?? "", /^0\.\d\d · Go, Ruby, TypeScript$/);
    assert.match(
      card?.members.find(({ member }) => member.language === "go")?.description ?? "",
      /^Go · payments\/card\.go:\d+$/,
    );
    assert.match(view.message ?? "", /groups · .*functions/);
  });

  test("is filtered by language pair and by text", async () => {
    const { view } = await api();
    const original = { pick: vscode.window.showQuickPick, input: vscode.window.showInputBox };
    const all = view.groups.length;
    Object.assign(vscode.window, {
      showQuickPick: async (items: { label: string }[]) => items.filter(({ label }) => label === "Java ↔ Python"),
      showInputBox: async () => "slug",
    });
    try {
      await vscode.commands.executeCommand("polyclone.view.filterLanguages");
      assert.deepEqual(
        view.groups.map(({ label }) => /levenshtein/i.test(label)),
        [true],
      );
      assert.match(view.message ?? "", /^Filter: Java ↔ Python — 1 of /);
      await vscode.commands.executeCommand("polyclone.view.clearFilter");
      assert.equal(view.groups.length, all);
      await vscode.commands.executeCommand("polyclone.view.filterText");
      assert.deepEqual(
        view.groups.map(({ label }) => label),
        ["slugify"],
      );
    } finally {
      Object.assign(vscode.window, { showQuickPick: original.pick, showInputBox: original.input });
      await vscode.commands.executeCommand("polyclone.view.clearFilter");
    }
  });

  test("follows the cursor's function", async () => {
    const { view } = await api();
    await vscode.commands.executeCommand("polyclone.clones.focus");
    for (const [path, name] of [
      [GO, NAME],
      ["routing/streets.rs", "levenshtein"],
    ] as const) {
      const editor = await open(path);
      const { range } = await finding(editor, name);
      editor.selection = new vscode.Selection(range.start.translate(1), range.start.translate(1));
      await until(`${name} in the view`, () =>
        view.selection.some((node) => node.kind === "member" && node.member.name === name),
      );
    }
  });

  test("opens, compares and peeks from a node", async () => {
    const { view } = await api();
    const group = view.groups.find(({ label }) => label === "slugify");
    const ruby = group?.members.find(({ member }) => member.language === "ruby");
    assert.ok(group && ruby);
    await vscode.commands.executeCommand("polyclone.view.open", ruby);
    await until("the member", () => selectedText() === "slugify");
    await vscode.commands.executeCommand("polyclone.view.compare", ruby);
    await until("the comparison", () =>
      vscode.window.tabGroups.activeTabGroup.activeTab?.label.startsWith("slugify (Ruby) ↔"),
    );
    await vscode.commands.executeCommand("polyclone.view.peek", group);
    await vscode.commands.executeCommand("closeReferenceSearch");
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  });
});

suite("a scan of the workspace", () => {
  const closed = (): vscode.Uri => workspacePath("storefront/slug.ts");

  test("brings results into the view and into Problems, of files that are not open", async () => {
    const { store } = await api();
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
    await until("the server's finding to go", () => findings(closed()).length === 0);
    await vscode.commands.executeCommand("polyclone.scanWorkspace");
    const { report } = store.current;
    assert.ok(report && !report.cancelled);
    assert.ok(report.files > 25 && report.functions > 30, JSON.stringify({ ...report, groups: report.groups.length }));
    const found = await until("the scan's finding alone", () => findings(closed()).length === 1 && findings(closed()));
    assert.match(found[0]?.message ?? "", /^Does the same as Ruby · .*slugify/);
  });

  test("gives way to the server's own finding when the file is opened", async () => {
    const editor = await open("storefront/slug.ts");
    await until("the server's finding alone", () => {
      const all = findings(closed());
      return all.length === 1 && typeof all[0]?.code === "object";
    });
    await runFix(editor, "slugify", /^Go to Ruby/);
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
    await until(
      "the scan's finding",
      () => findings(closed()).length === 1 && typeof findings(closed())[0]?.code === "string",
    );
  });

  test("can be cancelled while the workspace is being indexed, and asked for again", async () => {
    const polyclone = await api();
    const { store } = polyclone;
    const shown = store.current.groups.length;
    const indexing = becomes(polyclone, "indexing");
    const cleared = vscode.commands.executeCommand("polyclone.clearCache");
    await indexing;
    const subscription = store.onDidChange(({ scanning }) => {
      if (scanning) {
        // Once the request has gone out.
        setImmediate(() => void vscode.commands.executeCommand("polyclone.cancelScan"));
      }
    });
    const ended = becomes(polyclone, "ready");
    await vscode.commands.executeCommand("polyclone.scanWorkspace");
    subscription.dispose();
    assert.equal(store.current.report?.cancelled, true);
    assert.equal(store.current.scanning, false);
    assert.equal(store.current.groups.length, shown, "what was shown is gone");
    await Promise.all([ended, cleared]);
    await vscode.commands.executeCommand("polyclone.clearCache");
    await vscode.commands.executeCommand("polyclone.scanWorkspace");
    assert.equal(store.current.report?.cancelled, false);
  });

  test("is not started a second time while it runs", async () => {
    const { store } = await api();
    let begun = 0;
    let before = false;
    const subscription = store.onDidChange(({ scanning }) => {
      begun += Number(scanning && !before);
      before = scanning;
    });
    const scan = (): Thenable<unknown> => vscode.commands.executeCommand("polyclone.scanWorkspace");
    await Promise.all([scan(), scan()]);
    subscription.dispose();
    assert.equal(begun, 1);
  });

  test("is exported as JSON", async () => {
    const target = workspacePath("found.json");
    await vscode.commands.executeCommand("polyclone.exportScan", target);
    const found = JSON.parse(readFileSync(target.fsPath, "utf8")) as {
      version: number;
      groups: { members: unknown[] }[];
    };
    assert.equal(found.version, 1);
    assert.ok(found.groups.length >= 6);
    assert.ok(found.groups.every(({ members }) => members.length >= 2));
  });
});

suite("settings, live", () => {
  const live = async (name: string, value: unknown, work: () => Promise<void>): Promise<void> => {
    const { pid } = await ready();
    await setting(name, value);
    try {
      await work();
    } finally {
      await setting(name, undefined);
    }
    assert.equal((await ready()).pid, pid, "the server was started again");
  };

  test("severity", async () => {
    const { document } = await open(GO);
    await live("diagnostics.severity", "warning", async () => {
      await until("a warning", () => findings(document.uri)[0]?.severity === vscode.DiagnosticSeverity.Warning);
    });
    await until("information", () => findings(document.uri)[0]?.severity === vscode.DiagnosticSeverity.Information);
  });

  test("diagnostics off and on", async () => {
    const editor = await open(GO);
    await live("diagnostics.enable", false, async () => {
      await until("silence", () => findings(editor.document.uri).length === 0);
    });
    await finding(editor, NAME);
  });

  test("lens off and on", async () => {
    const { document } = await open(GO);
    const clones = async (): Promise<number> =>
      (await lensTitles(document.uri)).filter((title) => /clone/.test(title)).length;
    await live("codeLens.enable", false, async () => {
      await until("no lens", async () => (await clones()) === 0);
    });
    await until("the lens", async () => (await clones()) > 0);
  });

  test("threshold", async () => {
    const editor = await open(GO);
    await live("minProbability", 1, async () => {
      await until("nothing certain", () => findings(editor.document.uri).length === 0);
    });
    await finding(editor, NAME);
  });

  test("one that is wrong is told, and the last good value stays", async () => {
    const editor = await open(GO);
    const original = vscode.window.showWarningMessage;
    const told: string[] = [];
    const record = async (message: string): Promise<undefined> => void told.push(message);
    Object.assign(vscode.window, { showWarningMessage: record });
    try {
      await live("minProbability", 7, async () => {
        await until("the warning", () => told.length > 0);
        await finding(editor, NAME);
      });
    } finally {
      Object.assign(vscode.window, { showWarningMessage: original });
    }
    assert.match(told[0] ?? "", /polyclone\.minProbability.*7/);
  });

  test("everything off and on", async () => {
    const editor = await open(GO);
    await live("enable", false, async () => {
      await until("silence", () => findings(editor.document.uri).length === 0);
    });
    await finding(editor, NAME);
  });
});

suite("the whole workspace", () => {
  test("gets diagnostics where that is wanted, and loses them where it is not", async () => {
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
    const closed = workspacePath("scanner/frame.c");
    const { pid } = await ready();
    await setting("diagnosticMode", "workspace");
    await ready(pid);
    const found = await until("the finding of a closed file", () => findings(closed)[0]);
    assert.equal(typeof found.code, "object", "not the server's own");
    assert.equal(findings(closed).length, 1);
    await setting("diagnosticMode", undefined);
    await until("the server's finding to go", () => findings(closed).every(({ code }) => typeof code === "string"));
  });
});

suite("commands", () => {
  test("Find Clones of This Function offers the clones", async () => {
    const original = vscode.window.createQuickPick;
    let offered: readonly vscode.QuickPickItem[] = [];
    Object.assign(vscode.window, {
      createQuickPick: () => {
        const pick = original<vscode.QuickPickItem>();
        const show = pick.show.bind(pick);
        return Object.assign(pick, {
          show: () => {
            offered = pick.items;
            show();
          },
        });
      },
    });
    try {
      const editor = await open(GO);
      const { range } = await finding(editor, NAME);
      editor.selection = new vscode.Selection(range.start, range.start);
      await vscode.commands.executeCommand("polyclone.findClones");
      await until("the choice", () => offered.length > 0);
      assert.match(offered[0]?.label ?? "", /isValidCardNumber|valid_card_number/);
      assert.match(offered[0]?.description ?? "", /p = 0\.\d\d/);
    } finally {
      Object.assign(vscode.window, { createQuickPick: original });
      await vscode.commands.executeCommand("workbench.action.closeQuickOpen");
    }
  });

  test("Compare with Clone works from the cursor", async () => {
    const editor = await open("storefront/slug.ts");
    const { range } = await finding(editor, "slugify");
    editor.selection = new vscode.Selection(range.start, range.start);
    const original = vscode.window.showQuickPick;
    Object.assign(vscode.window, { showQuickPick: async (items: unknown[]) => items[0] });
    try {
      await vscode.commands.executeCommand("polyclone.compareWithClone");
    } finally {
      Object.assign(vscode.window, { showQuickPick: original });
    }
    await until(
      "the comparison",
      () => vscode.window.tabGroups.activeTabGroup.activeTab?.label === "slugify (TypeScript) ↔ slugify (Ruby)",
    );
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  });

  test("Print Debug Info says what runs", async () => {
    const text = await vscode.commands.executeCommand<string>("polyclone.printDebugInfo");
    assert.match(text, /^server: .*process \d+/m);
    assert.match(text, /^model: \S+/m);
    await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
  });

  test("Clear Cache indexes again", async () => {
    await vscode.commands.executeCommand("polyclone.clearCache");
    await ready();
    await finding(await open(GO), NAME);
  });

  test("are just those that the manifest names, and the server's", async () => {
    const { commands } = vscode.extensions.getExtension("polyclone.polyclone")?.packageJSON.contributes as {
      commands: { command: string }[];
    };
    const known = await vscode.commands.getCommands(true);
    // The editor makes some of its own for the view: `polyclone.clones.focus` and others.
    const own = known.filter((id) => id.startsWith("polyclone.") && !/^polyclone\.(server|clones)\./.test(id));
    assert.deepEqual(own.sort(), commands.map(({ command }) => command).sort());
    assert.deepEqual(
      SERVER_COMMANDS.filter((id) => !known.includes(id)),
      [],
    );
  });
});
