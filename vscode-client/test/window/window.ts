/** A person's first minutes with the extension, in a real window. Throws where something is not to be seen. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openPage, startBrowser } from "../harness/browser";
import { CLIENT, type Editor, type Profile, REPOSITORY, startEditor, type Version } from "../harness/editor";
import { Window } from "./page";

export interface Visit {
  readonly version: Version;
  /** Value of `polyclone.server.path`; without one, nothing is set. */
  readonly server?: string;
  /** A package to install; without one, the sources are run. */
  readonly vsix?: string;
  /** A folder to open, in place of the examples; null for none. */
  readonly workspace?: string | null;
  readonly trusted?: boolean;
  readonly pictures?: string;
  readonly limitMs?: number;
  readonly settings?: Readonly<Record<string, unknown>>;
}

export type Walk = (window: Window, editor: Editor) => Promise<void>;

/** Effect: opens the editor on a copy of the workspace, walks, closes it. Returns where the pictures are. */
export async function visit(walk: Walk, options: Visit): Promise<string> {
  const pictures = options.pictures ?? join(CLIENT, "out", "pictures", options.version);
  const settings = options.server === undefined ? {} : { "polyclone.server.path": options.server };
  const workspace = options.workspace === undefined ? join(REPOSITORY, "examples") : options.workspace;
  const profile: Profile = {
    version: options.version,
    settings: { ...settings, ...options.settings },
    ...(workspace === null ? {} : { workspace }),
    ...(options.trusted === undefined ? {} : { trusted: options.trusted }),
    ...(options.vsix === undefined ? {} : { vsix: options.vsix }),
  };
  const editor = await startEditor(profile);
  const browser = await startBrowser();
  try {
    const remote = `vscode-remote://${new URL(editor.url).host}`;
    const payload = options.vsix === undefined ? [["extensionDevelopmentPath", `${remote}${CLIENT}`] as const] : [];
    const page = await openPage(browser, editor, payload);
    const window = new Window(page, pictures, options.limitMs ?? 90_000);
    try {
      await window.started();
      await walk(window, editor);
    } catch (error) {
      await window.picture("failure").catch(() => undefined);
      throw error;
    }
    return `pictures: ${pictures}\n`;
  } finally {
    await browser.close();
    await editor.stop();
  }
}

/** Sees, fixes, compares, peeks, ignores, opens the view, scans. */
export async function tour(window: Window, editor: Editor): Promise<void> {
  const { page } = window;
  await seeFinding(window);
  await window.picture("lens");

  await window.word("IsValidCardNumber").hover();
  const hover = page.locator(".monaco-hover:visible", { hasText: "isValidCardNumber" }).first();
  await hover.locator(".monaco-tokenized-source").last().waitFor(); // The excerpt, with its colours.
  await window.picture("hover");
  await page.keyboard.press("Escape");

  await window.lens(/2 clones: Ruby, TypeScript/).click();
  await page.locator(".peekview-widget .monaco-list-row", { hasText: "isValidCardNumber" }).first().waitFor();
  // A word by itself: the language has coloured the line.
  await page.locator(".peekview-widget .view-line span span", { hasText: /^export$/ }).first().waitFor();
  await window.picture("peek");
  await page.keyboard.press("Escape");
  await window.gone(page.locator(".peekview-widget"));

  await window.word("IsValidCardNumber").click();
  await window.quickFix(/^Compare side by side with TypeScript/);
  await page.locator(".tab.active", { hasText: "IsValidCardNumber (Go) ↔ isValidCardNumber (TypeScript)" }).waitFor();
  await page.locator(".monaco-diff-editor .modified .view-line", { hasText: "isValidCardNumber" }).first().waitFor();
  await window.runCommand("Notifications: Clear All Notifications");
  await window.picture("compare");

  await window.openFile("retry.rs");
  await window.squiggle().waitFor();
  await window.word("retry_backoff").click();
  await window.quickFix(/^Ignore this pair/);
  const input = page.locator(".quick-input-widget input").first();
  await input.waitFor();
  await input.fill("each service retries by itself");
  await window.picture("ignore");
  await page.keyboard.press("Enter");
  await window.gone(page.locator(".editor-instance .squiggly-info"));
  await window.gone(window.lens(/clone/));
  assert.match(readFileSync(join(editor.folder, ".polyclone", "ignored"), "utf8"), /each service retries by itself/);

  await scan(window, "levenshtein", /routing\/streets\.rs/);
  await window.picture("view");
}

/** The tour, once the view has said that the server does not run. */
export async function tourWithoutServer(window: Window, editor: Editor): Promise<void> {
  await window.openView();
  await window.welcome(/^The polyclone server does not run\./).waitFor();
  window.page.setDefaultTimeout(15_000);
  await tour(window, editor);
}

/** From nothing to the first finding, without a setting; it is the server in the package that runs. */
export async function firstFinding(window: Window): Promise<void> {
  await seeFinding(window);
  await window.picture("fresh");
  await window.runCommand("polyclone: Print Debug Info");
  await window.page.locator(".view-line", { hasText: /server:.*bundled,\swith\sPython/ }).waitFor();
}

async function seeFinding(window: Window): Promise<void> {
  await window.openFile("card.go");
  await window.squiggle().waitFor();
  await window.lens(/2 clones: Ruby, TypeScript/).waitFor();
}

/** Opens the view, scans, and unfolds the group that a word names until one of its members is to be seen. */
export async function scan(window: Window, word: string | RegExp, member: RegExp): Promise<void> {
  const { page } = window;
  await window.openView();
  await window.widenSidebar(160);
  const before = await window.problems();
  await window.runCommand("polyclone: Scan Workspace");
  await window.row(word).waitFor();
  await page
    .locator(".sidebar .message", { hasText: /groups · / })
    .first()
    .waitFor();
  await window.otherProblemsThan(before);
  await window.activity().locator(".badge-content", { hasText: /\d/ }).waitFor(); // No longer the sign of a scan.
  await window.row(word).locator(".monaco-tl-twistie").click();
  await window.row(member).waitFor();
}
