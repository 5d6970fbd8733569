import { strict as assert } from "node:assert";
import type { Bundle, Probes, Wishes } from "../../src/server/locate";
import { isRecent, locate } from "../../src/server/locate";
import { machine, messageOf, python } from "./support";

const WISHES: Wishes = { serverPath: "", interpreter: "", importStrategy: "fromEnvironment", trusted: true };
const BUNDLE: Bundle = { script: "/x/bundled/run.py", pythons: ["3.11", "3.12"] };
const WITH = python("/venv/python", "3.12", "0.1.0");
const WITHOUT = python("/venv/python", "3.12");
const OLD = python("/venv/python", "3.10", "0.1.0");
const SYSTEM = python("/usr/bin/python3", "3.11");
const selected = async (): Promise<{ path: string; source: string }[]> => [{ path: "/venv/python", source: "Python" }];

interface Row {
  readonly name: string;
  readonly wishes?: Partial<Wishes>;
  readonly probes: Probes;
  /** Origin and command, or what the message says. */
  readonly expected: readonly [string, string] | RegExp;
  readonly remedies?: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    name: "the setting wins over everything",
    wishes: { serverPath: "/opt/server" },
    probes: machine([WITH], { selected, bundle: async () => BUNDLE }),
    expected: ["setting", "/opt/server"],
  },
  {
    name: "a setting that names nothing is an error, not a reason to look elsewhere",
    wishes: { serverPath: "/opt/server" },
    probes: machine([WITH], { selected, program: async () => "missing" }),
    expected: /polyclone\.server\.path names \/opt\/server, which does not exist/,
    remedies: ["settings", "logs"],
  },
  {
    name: "a file that is no program",
    wishes: { serverPath: "/opt/server" },
    probes: machine([], { program: async () => "notExecutable" }),
    expected: /cannot be executed/,
  },
  {
    name: "the selected environment comes before the bundle",
    probes: machine([WITH], { selected, bundle: async () => BUNDLE }),
    expected: ["environment", "/venv/python"],
  },
  {
    name: "unless the bundle is preferred",
    wishes: { importStrategy: "useBundled" },
    probes: machine([WITH], { selected, bundle: async () => BUNDLE }),
    expected: ["bundled", "/venv/python"],
  },
  {
    name: "preferring a bundle that is not there leaves the environment",
    wishes: { importStrategy: "useBundled" },
    probes: machine([WITH], { selected }),
    expected: ["environment", "/venv/python"],
  },
  {
    name: "an environment without polyclone runs the bundle",
    probes: machine([WITHOUT], { selected, bundle: async () => BUNDLE }),
    expected: ["bundled", "/venv/python"],
  },
  {
    name: "an environment that is too old leaves the bundle to another Python",
    probes: machine([OLD, SYSTEM], { selected, onPath: () => ["/usr/bin/python3"], bundle: async () => BUNDLE }),
    expected: ["bundled", "/usr/bin/python3"],
  },
  {
    name: "the interpreter setting replaces the selected one",
    wishes: { interpreter: "/usr/bin/python3" },
    probes: machine([WITH, SYSTEM], { selected, bundle: async () => BUNDLE }),
    expected: ["bundled", "/usr/bin/python3"],
  },
  {
    name: "an interpreter setting that does not run is an error",
    wishes: { interpreter: "/nowhere" },
    probes: machine([WITH], { selected, bundle: async () => BUNDLE }),
    expected: /polyclone\.interpreter names \/nowhere, which does not run as Python/,
  },
  {
    name: "an interpreter setting that is too old says which version is needed",
    wishes: { interpreter: "/venv/python" },
    probes: machine([OLD]),
    expected: /is Python 3\.10; 3\.11 or newer is needed/,
  },
  {
    name: "an untrusted workspace's environment is not run",
    wishes: { trusted: false },
    probes: machine([WITH, SYSTEM], {
      selected: () => assert.fail("the environment was asked for"),
      onPath: () => ["/usr/bin/python3"],
      bundle: async () => BUNDLE,
    }),
    expected: ["bundled", "/usr/bin/python3"],
  },
  {
    name: "nothing at all says what to install, and what was looked at",
    probes: machine([WITHOUT], { selected }),
    expected: /pip install polyclone.*\/venv\/python \(Python, Python 3\.12\) has no polyclone server/,
    remedies: ["install", "interpreter", "settings"],
  },
  {
    name: "nothing in an untrusted workspace offers trust first",
    wishes: { trusted: false },
    probes: machine([]),
    expected: /not trusted/,
    remedies: ["trust", "install", "interpreter", "settings"],
  },
  {
    name: "a bundle without a Python says which versions run it",
    probes: machine([python("/usr/bin/python3", "3.19")], {
      onPath: () => ["/usr/bin/python3"],
      bundle: async () => BUNDLE,
    }),
    expected: /needs a Python of version 3\.11, 3\.12/,
    remedies: ["interpreter", "settings"],
  },
];

suite("locate", () => {
  for (const { name, wishes, probes, expected, remedies } of ROWS) {
    test(name, async () => {
      const located = await locate({ ...WISHES, ...wishes }, probes);
      if (expected instanceof RegExp) {
        assert.match(messageOf(located), expected);
      } else {
        assert.ok("launch" in located, messageOf(located));
        assert.deepEqual([located.launch.origin, located.launch.command], expected);
        assert.equal(located.launch.args.at(-1), "--stdio");
      }
      if (remedies && "problem" in located) {
        assert.deepEqual(located.problem.remedies, remedies);
      }
    });
  }

  test("never lets the folder it starts in be imported from", async () => {
    const environment = await locate(WISHES, machine([WITH], { selected }));
    const bundled = await locate(WISHES, machine([WITHOUT], { selected, bundle: async () => BUNDLE }));
    assert.ok("launch" in environment && environment.launch.args[0] === "-P");
    assert.ok("launch" in bundled && bundled.launch.args[0] === "-I");
  });

  test("compares versions as numbers", () => {
    assert.deepEqual(["3.9", "3.10", "3.11", "3.14", "4.0", "2.7"].map(isRecent), [
      false,
      false,
      true,
      true,
      true,
      false,
    ]);
  });
});
