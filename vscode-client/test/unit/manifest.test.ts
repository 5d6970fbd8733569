/** What `package.json` promises, held against the sources. */
import { strict as assert } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { languageIds } from "../../src/languages";

const ROOT = join(__dirname, "..", "..");

interface Manifest {
  readonly activationEvents: readonly string[];
  readonly contributes: {
    readonly commands: readonly { command: string; enablement?: string }[];
    readonly menus: Readonly<Record<string, readonly { command: string; when: string }[]>>;
    readonly configuration: readonly { properties: Readonly<Record<string, { markdownDescription: string }>> }[];
    readonly viewsWelcome: readonly { contents: string; when: string }[];
    readonly walkthroughs: readonly { steps: readonly { description: string; completionEvents: readonly string[] }[] }[];
  };
}

const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
const { commands, menus, configuration, viewsWelcome, walkthroughs } = manifest.contributes;
const own = new Set(commands.map(({ command }) => command));
const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join(ROOT, "src", name), "utf8"))
  .join("\n");

/** Commands that links in a text lead to. */
function links(text: string): string[] {
  return [...text.matchAll(/\(command:([\w.]+)/g)].map(([, id]) => id ?? "");
}

type Context = Readonly<Record<string, string | number | boolean | undefined>>;

/** The part of the editor's when-clauses that the manifest's welcome texts use. */
function holds(when: string, context: Context): boolean {
  return when
    .replace(/^\(|\)$/g, "")
    .split(" && ")
    .map((term) => term.replace(/^\(|\)$/g, "").split(" || "))
    .every((alternatives) => alternatives.some((term) => isTrue(term, context)));
}

function isTrue(term: string, context: Context): boolean {
  const [, negated, key = "", comparison, value] = /^(!?)([\w.]+)(?: (==|!=) (\S+))?$/.exec(term) ?? assert.fail(term);
  assert.ok(key in context, `${key} is not known`);
  const found = comparison === undefined ? Boolean(context[key]) : String(context[key]) === value;
  return found !== (negated === "!" || comparison === "!=");
}

/** Every state of an empty view. */
function* emptyViews(): Generator<Context> {
  const states = [undefined, "stopped", "starting", "loading", "indexing", "ready", "error", "failed", "disabled"];
  for (const state of states) {
    for (let bits = 0; bits < 32; bits += 1) {
      const bit = (n: number): boolean => ((bits >> n) & 1) === 1;
      yield {
        "polyclone.state": state,
        workspaceFolderCount: bit(0) ? 1 : 0,
        isWorkspaceTrusted: bit(1),
        "polyclone.scanning": bit(2),
        "polyclone.scanned": bit(3),
        // Groups in an empty view are groups that the filter hides.
        "polyclone.hasGroups": bit(4),
        "polyclone.filtered": bit(4),
        "polyclone.filteredEmpty": true,
      };
    }
  }
}

suite("the manifest", () => {
  test("shows exactly one welcome text, whatever the state of an empty view", () => {
    const seen = new Set<string>();
    for (const context of emptyViews()) {
      const texts = viewsWelcome.filter(({ when }) => holds(when, context)).map(({ contents }) => contents);
      assert.equal(texts.length, 1, `${JSON.stringify(context)}: ${JSON.stringify(texts)}`);
      seen.add(texts[0] ?? "");
    }
    assert.equal(seen.size, viewsWelcome.length, "a text is never shown");
  });

  test("names commands that exist, in menus, texts and events", () => {
    const menuCommands = Object.values(menus).flatMap((items) => items.map(({ command }) => command));
    const steps = walkthroughs.flatMap(({ steps: all }) => all);
    const linked = [...viewsWelcome.map(({ contents }) => contents), ...steps.map(({ description }) => description)];
    const events = steps.flatMap(({ completionEvents }) => completionEvents);
    const awaited = events.flatMap((event) => /^onCommand:(.*)/.exec(event)?.[1] ?? []);
    const named = [...menuCommands, ...linked.flatMap(links), ...awaited].filter((id) => id.startsWith("polyclone."));
    assert.deepEqual(
      named.filter((id) => !own.has(id)),
      [],
    );
  });

  test("hides from the palette what needs an argument or the view", () => {
    const hidden = (menus["commandPalette"] ?? []).filter(({ when }) => when === "false").map(({ command }) => command);
    const inView = commands.map(({ command }) => command).filter((id) => id.startsWith("polyclone.view."));
    assert.deepEqual(
      inView.filter((id) => !hidden.includes(id)),
      [],
    );
  });

  test("asks only for context that the sources set", () => {
    const clauses = [
      ...viewsWelcome.map(({ when }) => when),
      ...Object.values(menus).flatMap((items) => items.map(({ when }) => when)),
      ...commands.map(({ enablement }) => enablement ?? ""),
    ].join(" && ");
    const keys = new Set([...clauses.matchAll(/polyclone\.\w+/g)].map(([key]) => key));
    keys.delete("polyclone.clones"); // The view's own name.
    assert.deepEqual(
      [...keys].filter((key) => !sources.includes(`setContext("${key}"`)),
      [],
    );
  });

  test("offers settings that link to each other by their names", () => {
    const settings = Object.assign({}, ...configuration.map(({ properties }) => properties)) as Record<
      string,
      { markdownDescription: string }
    >;
    for (const { markdownDescription } of Object.values(settings)) {
      for (const [, name = ""] of markdownDescription.matchAll(/`#(polyclone[\w.]+)#`/g)) {
        assert.ok(name in settings, name);
      }
    }
  });

  test("wakes the extension for every language that the server knows", () => {
    assert.deepEqual(
      manifest.activationEvents,
      languageIds.map((id) => `onLanguage:${id}`),
    );
  });
});
