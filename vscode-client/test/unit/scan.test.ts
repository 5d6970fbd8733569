import { strict as assert } from "node:assert";
import { Stop, unlessCancelled } from "../../src/cancel";
import { AutoRefresh } from "../../src/refresh";
import type { ScanReport } from "../../src/protocol";
import { Scanner } from "../../src/scan";
import type { Connection, Reports, Session, State } from "../../src/server/session";
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

  test("a refresh changes nothing until it is over", async () => {
    const { scanner: one, store } = scanner(async ({ partial }) => {
      partial?.({ groups: [TWO] });
      assert.deepEqual([store.current.groups.length, store.current.scanning], [0, false]);
      return report({ groups: [ONE] });
    });
    await one.refresh();
    assert.equal(store.current.groups.length, 2);
  });

  test("keeps what there was until it was cancelled", async () => {
    const cancel = new Stop();
    const { scanner: one, store } = scanner(async ({ partial }) => {
      partial?.({ groups: [TWO] });
      cancel.request();
      throw new Error("Request cancelled");
    });
    const result = await one.scan({ cancel });
    assert.deepEqual([result.cancelled, result.groups.length, store.current.scanning], [true, 1, false]);
  });

  test("one that was cancelled before anything came keeps what was there", async () => {
    const cancel = new Stop();
    const { scanner: one, store } = scanner(async () => {
      cancel.request();
      throw new Error("Request cancelled");
    });
    store.finish(report({ groups: [ONE, TWO] }));
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
  test("makes a refresh give way, which then answers with what the scan found", async () => {
    let asked = 0;
    let reached: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => (reached = resolve));
    const { scanner: one, store } = scanner(async (reports) => {
      asked += 1;
      if (asked === 1) {
        reached();
        await new Promise<void>((resolve) => reports.cancel?.onCancellationRequested(resolve));
        throw new Error("Request cancelled");
      }
      return report({ groups: [ONE] });
    });
    const seen: boolean[] = [];
    store.onDidChange(({ scanning }) => seen.push(scanning));
    const refresh = one.refresh();
    await underWay;
    const found = await one.scan();
    assert.equal(await refresh, found);
    assert.equal(asked, 2);
    assert.deepEqual(seen, [true, false], "the refresh was to be seen");
  });

  test("is joined by a refresh", async () => {
    let asked = 0;
    const { scanner: one } = scanner(async () => {
      asked += 1;
      return report();
    });
    const [scan, refresh] = await Promise.all([one.scan(), one.refresh()]);
    assert.equal(scan, refresh);
    assert.equal(asked, 1);
  });

  test("is given up while the server is still starting", async () => {
    const store = new GroupStore();
    const one = new Scanner(() => new Promise<Connection>(() => undefined), store);
    const cancel = new Stop();
    const scan = one.scan({ cancel });
    assert.equal(store.current.scanning, true);
    cancel.request();
    assert.equal((await scan).cancelled, true);
    assert.equal(store.current.scanning, false);
  });
});

suite("cancel", () => {
  test("tells those who listen once, and nobody who does no longer", () => {
    const stop = new Stop();
    const heard: string[] = [];
    stop.onCancellationRequested(() => heard.push("one"));
    stop.onCancellationRequested(() => heard.push("two")).dispose();
    stop.request();
    stop.request();
    assert.deepEqual([heard, stop.isCancellationRequested], [["one"], true]);
  });

  test("lets work end that nobody gives up", async () => {
    assert.equal(await unlessCancelled(Promise.resolve(1), new Stop()), 1);
    const stop = new Stop();
    stop.request();
    await assert.rejects(unlessCancelled(new Promise(() => undefined), stop), /Cancelled/);
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
    const fetched = (): Promise<void> => new Promise((resolve) => (done = resolve));
    const say = (pairs: number): void => tell({ kind: "running", status: status("ready", { pairs }), launch });
    const [first] = [fetched(), say(1)];
    await first;
    say(1);
    await new Promise((resolve) => setTimeout(resolve, 5)); // Longer than the rest that it waits for.
    assert.equal(asked, 1);
    const [second] = [fetched(), say(2)];
    await second;
    assert.equal(asked, 2);
    assert.equal(store.current.groups.length, 1);
    tell({ kind: "failed", problem: { message: "", remedies: [] } });
    assert.equal(store.current.groups.length, 0);
    refresh.dispose();
  });
});
