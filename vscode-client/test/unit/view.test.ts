import { strict as assert } from "node:assert";
import { apply, describeFilter, isActive, languagePairs, NO_FILTER } from "../../src/view/filter";
import {
  acceptArguments,
  ends,
  ignoreArguments,
  memberAt,
  nodes,
  pairChoices,
  pairsOf,
  summary,
} from "../../src/view/model";
import { GroupStore } from "../../src/view/store";
import { group, item, pair, report } from "./support";

const TRIO = group(
  "a",
  [item("go", "Luhn"), item("typescript", "luhn"), item("typescript", "check")],
  [pair(0, 1, 0.999), pair(0, 2, 0.8), pair(1, 2, 0.9)],
);
const DUO = group("b", [item("python", "slug"), item("rust", "slug")], [pair(0, 1, 0.95)]);
const DONE = group("c", [item("go", "Crc"), item("python", "crc")], [pair(0, 1, 0.99)], true);

suite("store", () => {
  test("sorts by probability, accepted ones last, whatever the order of arrival", () => {
    const store = new GroupStore();
    store.finish(report({ groups: [DONE, DUO, TRIO] }));
    assert.deepEqual(
      store.current.groups.map(({ id }) => id),
      ["a", "b", "c"],
    );
    store.finish(report({ groups: [TRIO, DUO, DONE] }));
    assert.deepEqual(
      store.current.groups.map(({ id }) => id),
      ["a", "b", "c"],
    );
  });

  test("keeps the old groups until a scan brings some, and when it fails", () => {
    const store = new GroupStore();
    store.finish(report({ groups: [DUO] }));
    store.begin();
    assert.deepEqual([store.current.scanning, store.current.groups.length], [true, 1]);
    store.progress([TRIO, DONE]);
    assert.deepEqual([store.current.groups.length, store.current.report], [2, undefined]);
    store.fail();
    assert.deepEqual([store.current.scanning, store.current.groups.length], [false, 2]);
  });
});

suite("view", () => {
  test("names groups and members", () => {
    const [first, second, third] = nodes([TRIO, DUO, DONE]);
    assert.equal(first?.label, "Luhn");
    assert.equal(first?.description, "0.99 · Go, TypeScript ×2");
    assert.equal(second?.label, "slug");
    assert.equal(third?.description, "0.99 · Go, Python · accepted");
    assert.equal(first?.members[1]?.label, "Outer.luhn");
    assert.equal(first?.members[1]?.description, "TypeScript · typescript/luhn.x:1");
  });

  test("gives every node an id of its own, even if content repeats", () => {
    const all = nodes([DUO, DUO]).flatMap((node) => [node.id, ...node.members.map(({ id }) => id)]);
    assert.equal(new Set(all).size, all.length);
  });

  test("offers the pairs of a group, or of one member, best first", () => {
    assert.deepEqual(
      pairsOf(TRIO).map(({ probability: p }) => p),
      [0.999, 0.9, 0.8],
    );
    assert.deepEqual(
      pairsOf(TRIO, 2).map(({ probability: p }) => p),
      [0.9, 0.8],
    );
    assert.equal(pairChoices(TRIO)[0]?.label, "Luhn ↔ luhn");
    assert.equal(pairChoices(TRIO, 2)[0]?.label, "Outer.luhn");
  });

  test("puts the member one starts from on the left", () => {
    const sides = ends(TRIO, pair(0, 2, 0.8), 2);
    assert.deepEqual([sides?.left.name, sides?.right.name], ["check", "Luhn"]);
    assert.equal(ends(TRIO, pair(0, 9, 0.8)), undefined);
  });

  test("says both sides for whoever reads the file of ignored pairs", () => {
    const args = ignoreArguments(DUO, pair(0, 1, 0.95));
    assert.deepEqual([args?.left, args?.right, args?.fingerprint], ["python Outer.slug", "rust Outer.slug", "01"]);
    assert.equal(acceptArguments(TRIO)?.pairs.length, 3);
  });

  test("finds the innermost function at a position", () => {
    const outer = { ...item("go", "outer", 0, 20), uri: "file:///w/f" };
    const inner = { ...item("go", "inner", 5, 3), uri: "file:///w/f" };
    for (const members of [
      [outer, inner],
      [inner, outer],
    ]) {
      const shown = nodes([group("x", members, [pair(0, 1, 0.9)])]);
      assert.equal(memberAt(shown, "file:///w/f", { line: 6, character: 0 })?.member.name, "inner");
      assert.equal(memberAt(shown, "file:///w/f", { line: 12, character: 0 })?.member.name, "outer");
      assert.equal(memberAt(shown, "file:///w/f", { line: 30, character: 0 }), undefined);
      assert.equal(memberAt(shown, "file:///w/g", { line: 6, character: 0 }), undefined);
    }
  });

  test("counts what was left out", () => {
    const counts = report({
      tooSmall: 5548,
      unverified: 1,
      skipped: { vendored: 2, large: 1 },
      failures: [{ path: "p", stage: "parse", message: "m" }],
    });
    assert.equal(
      summary([TRIO, DONE], counts),
      "1 group · 1 accepted · 12 functions · 5,548 too small · 1 pair not verified · 3 files · 3 skipped · 1 failed",
    );
    assert.equal(summary([TRIO], report({ cancelled: true })), "Cancelled, incomplete · 1 group");
  });
});

suite("filter", () => {
  const ids = (filter: Parameters<typeof apply>[1]): string =>
    apply([TRIO, DUO, DONE], filter)
      .map(({ id }) => id)
      .join("");

  test("knows the pairs of languages, the most frequent first", () => {
    assert.deepEqual(
      [...languagePairs([TRIO, DUO, DONE, DUO])],
      [
        ["Python ↔ Rust", 2],
        ["Go ↔ Python", 1],
        ["Go ↔ TypeScript", 1],
        ["TypeScript ↔ TypeScript", 1],
      ],
    );
  });

  test("shows groups with one of the pairs and all of the words", () => {
    assert.equal(ids(NO_FILTER), "abc");
    assert.equal(ids({ pairs: ["Go ↔ TypeScript", "Python ↔ Rust"], text: "" }), "ab");
    assert.equal(ids({ pairs: [], text: "  LUHN typescript " }), "a");
    assert.equal(ids({ pairs: ["Python ↔ Rust"], text: "luhn" }), "");
  });

  test("says what it does", () => {
    assert.equal(isActive(NO_FILTER), false);
    assert.equal(isActive({ pairs: [], text: "  " }), false);
    assert.equal(describeFilter({ pairs: ["Go ↔ Rust"], text: "slug" }), "Go ↔ Rust, “slug”");
  });
});
