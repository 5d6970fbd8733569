import { strict as assert } from "node:assert";
import { cut } from "../../src/cut";
import { debugInfo } from "../../src/debugInfo";
import { describe, phase, probability } from "../../src/describe";
import { exportScan } from "../../src/export";
import { tell } from "../../src/problems";
import type { Launch } from "../../src/server/launch";
import type { State } from "../../src/server/session";
import { group, item, pair, Person, report, status } from "./support";

const LAUNCH: Launch = {
  command: "/venv/python",
  args: ["-m", "polyclone_server"],
  origin: "environment",
  description: "there",
};
const running = (...args: Parameters<typeof status>): State => ({
  kind: "running",
  status: status(...args),
  launch: LAUNCH,
});
const FAILED: State = { kind: "failed", problem: { message: "no server", remedies: [] } };

suite("describe", () => {
  const rows: readonly (readonly [State, string, string, boolean])[] = [
    [{ kind: "starting", message: "m" }, "polyclone: starting", "information", true],
    [running("loading"), "polyclone: loading model", "information", true],
    [running("indexing", { done: 1200, total: 8412 }), "polyclone: indexing 1,200/8,412", "information", true],
    [running("indexing"), "polyclone: indexing", "information", true],
    [running("ready"), "polyclone: 1,234 functions, 1 pair", "information", false],
    [running("error", { message: "no model" }), "polyclone: error", "error", false],
    [FAILED, "polyclone: not running", "error", false],
    [{ kind: "stopped" }, "polyclone: stopped", "warning", false],
  ];
  for (const [state, text, severity, busy] of rows) {
    test(text, () => {
      const found = describe(state);
      assert.deepEqual([found.text, found.severity, found.busy], [text, severity, busy]);
    });
  }

  test("gives the view one word", () => {
    assert.equal(phase(running("indexing"), true), "indexing");
    assert.equal(phase(running("error"), true), "error");
    assert.equal(phase(FAILED, true), "failed");
    assert.equal(phase(running("ready"), false), "disabled");
  });

  test("never rounds up to certainty", () => {
    assert.deepEqual([0.999, 1, 0.944, 0.5].map(probability), ["0.99", "1.00", "0.94", "0.50"]);
  });
});

suite("cut", () => {
  const range = (start: number, end: number, character = 1): Parameters<typeof cut>[1] => ({
    start: { line: start, character: 4 },
    end: { line: end, character },
  });

  test("takes whole lines without the margin they share", () => {
    assert.equal(
      cut("class A {\n    int f() {\n\n        return 1;\n    }\n}\n", range(1, 4, 5)),
      "int f() {\n\n    return 1;\n}\n",
    );
  });

  test("keeps tabs and other line ends", () => {
    assert.equal(cut("x\r\n\tf(\r\n\t\tg)\r\n", range(1, 2)), "f(\n\tg)\n");
  });

  test("does not take a margin that only most lines have", () => {
    assert.equal(cut("    a\n  b\n", range(0, 1, 3)), "  a\nb\n");
    assert.equal(cut("\ta\n    b\n", range(0, 1, 5)), "\ta\n    b\n");
  });

  test("does not reach into a line it ends before", () => {
    assert.equal(cut("a\nb\nc\n", range(0, 2, 0)), "a\nb\n");
  });
});

suite("export", () => {
  test("is a document with 1-based lines and paths for people", () => {
    const found = group("a", [item("go", "f", 4), item("python", "g", 0)], [pair(0, 1, 0.9)]);
    const value = JSON.parse(exportScan(report({ groups: [found] }), null)) as {
      version: number;
      groups: { members: object[]; pairs: object[] }[];
    };
    assert.equal(value.version, 1);
    assert.deepEqual(value.groups[0]?.members[0], {
      path: "go/f.x",
      language: "go",
      name: "f",
      qualified_name: "Outer.f",
      start_line: 5,
      end_line: 10,
    });
    assert.equal(value.groups[0]?.pairs.length, 1);
  });
});

suite("debug info", () => {
  const around = {
    extension: "0.1.0",
    editor: "Code 1.100",
    platform: "linux",
    remote: undefined,
    trusted: true,
    folders: 1,
    settings: { "polyclone.precision": 0.9 },
  };

  test("says what runs", () => {
    const model = { name: "compact", kind: "compact", version: "1", digest: "0123456789abcdef", provider: "CPU" };
    const text = debugInfo(around, running("ready", { model }), { groups: [], report: undefined, scanning: false });
    assert.match(text, /command: \/venv\/python -m polyclone_server/);
    assert.match(text, /model: compact 1 \(compact, CPU, 0123456789ab\)/);
    assert.match(text, /"polyclone\.precision":0\.9/);
  });

  test("says why nothing runs", () => {
    assert.match(
      debugInfo(around, FAILED, { groups: [], report: undefined, scanning: false }),
      /not running \(no server\)/,
    );
  });
});

suite("problems", () => {
  const problem = {
    message: "m",
    remedies: ["interpreter", "install", "settings"] as const,
    setting: "polyclone.server.path",
  };

  test("offer a button for each remedy, and do nothing by themselves", async () => {
    const person = new Person();
    await tell(problem, person);
    assert.deepEqual(person.shown[0]?.buttons, ["Select Interpreter", "Copy Install Command", "Open Settings"]);
    assert.deepEqual(person.executed, []);
  });

  test("open the setting that is wrong", async () => {
    const person = new Person("Open Settings");
    await tell(problem, person);
    assert.deepEqual(person.executed, [{ command: "workbench.action.openSettings", args: ["polyclone.server.path"] }]);
  });

  test("copy what to run", async () => {
    const person = new Person("Copy Install Command");
    await tell(problem, person);
    assert.equal(person.copied, "python -m pip install polyclone");
  });

  test("open our own setting where no Python extension can select an interpreter", async () => {
    const person = new Person("Select Interpreter", ["python.setInterpreter"]);
    await tell(problem, person);
    assert.deepEqual(person.executed.at(-1), {
      command: "workbench.action.openSettings",
      args: ["polyclone.interpreter"],
    });
  });
});
