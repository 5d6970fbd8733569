/** The browser that shows the editor. */
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import type { Editor } from "./editor";

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function startBrowser(): Promise<Browser> {
  const executablePath = PROGRAMS.find(existsSync);
  if (executablePath === undefined) {
    throw new Error(`no browser: none of ${PROGRAMS.join(", ")} is there`);
  }
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A page on the editor's folder. `payload` is what the editor's address can carry for tests. */
export async function openPage(
  browser: Browser,
  editor: Editor,
  payload: readonly (readonly [string, string])[] = [],
  prepare: (page: Page) => Promise<void> = async () => undefined,
): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.addInitScript(allowTests);
  await prepare(page);
  const query = new URLSearchParams(existsSync(editor.folder) ? { folder: editor.folder } : { ew: "true" });
  if (payload.length > 0) {
    query.set("payload", JSON.stringify(payload));
  }
  await page.goto(`${editor.url}/?${query.toString()}`, { waitUntil: "commit", timeout: 120_000 });
  return page;
}

/** Runs in the page: newer versions take tests from the address only if the page's configuration says so. */
function allowTests(): void {
  new MutationObserver((_, observer) => {
    const meta = document.getElementById("vscode-workbench-web-configuration");
    const settings = meta?.getAttribute("data-settings");
    if (meta && settings) {
      observer.disconnect();
      const configuration = JSON.parse(settings) as { developmentOptions?: object };
      configuration.developmentOptions = { ...configuration.developmentOptions, enableSmokeTestDriver: true };
      meta.setAttribute("data-settings", JSON.stringify(configuration));
    }
  }).observe(document, { childList: true, subtree: true });
}
