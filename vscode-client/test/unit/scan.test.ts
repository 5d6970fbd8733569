import { strict as assert } from "node:assert";
import { AutoRefresh } from "../../src/refresh";
import type { ScanReport } from "../../src/protocol";
import { Scanner } from "../../src/scan";
import type { Cancel, Connection, Reports, Session, State } from "../../src/server/session";
import { GroupStore } from "../../src/view/store";
import { group, item, pair, report, status } from "./support";

const ONE = group("one", [item("go", "f"), item("python", "f")], [pair(0, 1, 0.9)]);
const TWO = group("two", [item("go", "g"), item("python", "g")], [pair(0, 1, 0.8)]);

type Answer = (reports: Reports) => Promise<ScanReport>;

function scanner(answer: Answer): { scanner: Scanner; store: GroupStore } {
  const store = new GroupStore();
  const connection = {
    request: (_: string, __: object, reports: Reports) => answer(reports),
  } as unknown as Connection;
  return { scanner: new Scanner(async () => connection, store), store };
}

class Stop implements Cancel {
  isCancellationRequested = false;
  private readonly listeners: (() => void)[] = [];
  onCancellationRequested = (listener: () => void): number => this.listeners.push(listener);
  cancel(): void {
    this.isCancellationRequested = true;
    this.listeners.forEach((listener) => listener());
  }
}

suite("scan", () => {
  test("shows groups as they stream in, then all of them with the counts", async () => {
    const { scanner: one, store } = scanner(async ({ partial }) => {
      partial?.({ groups: [TWO] });
      assert.deepEqual([store.current.groups.length, store.current.scanning], [1, true]);
      partial?.({ groups: [ONE] });
      return report({ pairs: 2 });
    });
    const result = await one.scan();
    assert.deepEqual(
      result.groups.map(({ id }) => id),
      ["two", "one"],
    );
    assert.deepEqual(
      store.current.groups.map(({ id }) => id),
      ["one", "two"],
    );
    assert.equal(store.current.scanning, false);
  });

  test("a quiet one changes nothing until it is over", async () => {
    const { scanner: one, store } = scanner(async ({ partial }) => {
      partial?.({ groups: [TWO] });
      assert.deepEqual([store.current.groups.length, store.current.scanning], [0, false]);
      return report({ groups: [ONE] });
    });
    await one.scan({ quiet: true });
    assert.equal(store.current.groups.length, 2);
  });

  test("keeps what there was until it was cancelled", async () => {
    const cancel = new Stop();
    const { scanner: one, store } = scanner(async ({ partial }) => {
      partial?.({ groups: [TWO] });
      cancel.cancel();
      throw new Error("Request cancelled");
    });
    const result = await one.scan({ cancel });
    assert.deepEqual([result.cancelled, result.groups.length, store.current.scanning], [true, 1, false]);
  });

  test("one that was cancelled before anything came keeps what was there", async () => {
    const cancel = new Stop();
    const { scanner: one, store } = scanner(async () => {
      cancel.cancel();
      throw new Error("Request cancelled");
    });
    store.finish([ONE, TWO], report());
    await one.scan({ cancel });
    assert.deepEqual([store.current.report?.cancelled, store.current.groups.length], [true, 2]);
  });

  test("a failure is the caller's to tell, and ends the scanning", async () => {
    const { scanner: one, store } = scanner(() => Promise.reject(new Error("no model")));
    await assert.rejects(one.scan(), /no model/);
    assert.equal(store.current.scanning, false);
  });

  test("a second scan joins the first, a third starts anew", async () => {
    let asked = 0;
    const { scanner: one } = scanner(async () => {
      asked += 1;
      return report();
    });
    await Promise.all([one.scan(), one.scan()]);
    assert.equal(asked, 1);
    await one.scan();
    assert.equal(asked, 2);
  });
});

suite("a scan that a person asks for", () => {
  test("does not hide behind a quiet one", async () => {
    let asked = 0;
    const { scanner: one, store } = scanner(async () => {
      asked += 1;
      return report();
    });
    const seen: boolean[] = [];
    store.onDidChange(({ scanning }) => seen.push(scanning));
    await Promise.all([one.scan({ quiet: true }), one.scan(), one.scan({ quiet: true })]);
    assert.equal(asked, 2);
    assert.deepEqual(seen, [false, true, false]);
  });
});

suite("refresh", () => {
  test("follows each new state of the index once, and forgets what a dead server knew", async () => {
    let asked = 0;
    let done: () => void = () => undefined;
    const { scanner: one, store } = scanner(async () => {
      asked += 1;
      setImmediate(() => done());
      return report({ groups: [ONE] });
    });
    let tell: (state: State) => void = () => undefined;
    const session = {
      onDidChange: (listener: (state: State) => void) => {
        tell = listener;
        return { dispose: () => undefined };
      },
    } as unknown as Session;
    const refresh = new AutoRefresh(session, one, store, 0);
    const launch = { command: "s", args: [], origin: "setting", description: "" } as const;
    const say = async (pairs: number): Promise<void> => {
      const fetched = new Promise<void>((resolve) => (done = resolve));
      tell({ kind: "running", status: status("ready", { pairs }), launch });
      await Promise.race([fetched, new Promise((resolve) => setTimeout(resolve, 50))]);
    };
    await say(1);
    await say(1);
    assert.equal(asked, 1);
    await say(2);
    assert.equal(asked, 2);
    assert.equal(store.current.groups.length, 1);
    tell({ kind: "failed", problem: { message: "", remedies: [] } });
    assert.equal(store.current.groups.length, 0);
    refresh.dispose();
  });
});
