import { strict as assert } from "node:assert";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { Launch } from "../../src/server/launch";
import { expandPath, parseAnswer, probes, pythonNames, readBundle } from "../../src/server/probe";
import { describeExit, startProcess } from "../../src/server/process";

function node(script: string): Launch {
  return { command: process.execPath, args: ["-e", script], origin: "setting", description: "" };
}

suite("process", () => {
  test("keeps what a dying server says", async () => {
    const lines: string[] = [];
    const server = await startProcess(node("console.error('one\\nno model'); process.exit(3)"), tmpdir(), (l) =>
      lines.push(l),
    );
    await server.ended;
    assert.deepEqual(lines, ["one", "no model"]);
    assert.equal(describeExit(server.exit(), server.complaints()), "ended with exit code 3: no model");
  });

  test("names the signal that ended it", async () => {
    const server = await startProcess(node("setInterval(() => 0, 1000)"), tmpdir(), () => undefined);
    server.child.kill("SIGKILL");
    assert.equal(describeExit(await server.ended, []), "was ended by SIGKILL");
  });

  test("rejects what cannot be run", async () => {
    const launch = { ...node(""), command: "/nowhere/at/all" };
    await assert.rejects(
      startProcess(launch, tmpdir(), () => undefined),
      /ENOENT/,
    );
  });
});

suite("probe", () => {
  const place = { extensionPath: tmpdir(), selected: async () => [], log: () => undefined };

  test("knows a program from a folder, from a file, from nothing", async () => {
    const { program } = probes(place);
    assert.equal(await program(process.execPath), "ok");
    assert.equal(await program(tmpdir()), "notExecutable");
    assert.equal(await program("/nowhere/at/all"), "missing");
  });

  test("asks an interpreter for its version", async () => {
    const answer = await probes(place).python("python3");
    assert.match(answer?.version ?? "", /^3\.\d+$/);
  });

  test("takes nothing else for an interpreter", async () => {
    assert.equal(await probes(place).python(process.execPath), undefined);
    assert.equal(await probes(place).python("/nowhere/at/all"), undefined);
    assert.equal(parseAnswer("hello"), undefined);
    assert.equal(parseAnswer('{"path": 1}'), undefined);
  });

  test("reads a greeting that a start-up script prints before the answer", () => {
    const answer = parseAnswer('welcome\n{"path": "/p", "version": "3.12", "polyclone": null}\n');
    assert.deepEqual(answer, { path: "/p", version: "3.12", polyclone: null });
  });

  test("finds a bundle only where there is one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "polyclone-"));
    try {
      assert.equal(await readBundle(folder), undefined);
      mkdirSync(join(folder, "bundled"));
      writeFileSync(join(folder, "bundled", "bundle.json"), JSON.stringify({ pythons: ["3.12"] }));
      assert.deepEqual(await readBundle(folder), { script: join(folder, "bundled", "run.py"), pythons: ["3.12"] });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("expands a path as people write it", () => {
    assert.equal(expandPath(" ~/bin/s "), join(homedir(), "bin/s"));
    assert.equal(expandPath("${env:HERE}/s", { HERE: "/opt" }), "/opt/s");
    assert.equal(expandPath("/a~b"), "/a~b");
    assert.equal(expandPath(""), "");
  });

  test("knows what Python is called", () => {
    assert.ok(pythonNames("win32").includes("py"));
    assert.equal(pythonNames("linux")[0], "python3");
  });
});
