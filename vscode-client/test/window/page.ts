/** The editor's window as a person uses it: keys, clicks, and what can be seen. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";

export class Window {
  constructor(
    readonly page: Page,
    private readonly pictures: string,
    private readonly limitMs: number,
  ) {
    mkdirSync(pictures, { recursive: true });
    page.setDefaultTimeout(limitMs);
  }

  async started(): Promise<void> {
    await this.page.locator(".monaco-workbench .activitybar").waitFor({ timeout: 120_000 });
  }

  async openFile(name: string): Promise<void> {
    await this.page.keyboard.press("Control+P");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    await input.fill(name);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first().click();
    await this.page.locator(".tab.active", { hasText: name }).waitFor();
  }

  async runCommand(title: string): Promise<void> {
    await this.page.keyboard.press("F1");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().click();
  }

  squiggle(): Locator {
    return this.page.locator(".editor-instance .squiggly-info").first();
  }

  lens(text: RegExp): Locator {
    return this.page.locator(".codelens-decoration a", { hasText: text }).first();
  }

  /** The first place in the code where a word stands, as it is drawn. */
  word(text: string): Locator {
    return this.page.locator(".editor-instance .view-line span span", { hasText: new RegExp(`^\\s*${text}`) }).first();
  }

  row(text: string | RegExp): Locator {
    return this.page.locator(".pane-body .monaco-list-row", { hasText: text }).first();
  }

  /** What the status bar counts: `No Problems`, or `Errors: 0, Infos: 12`. */
  async problems(): Promise<string> {
    return (await this.page.locator("[id='status.problems'] a").first().getAttribute("aria-label")) ?? "";
  }

  /** Waits until a scan has put findings of closed files there. */
  async otherProblemsThan(before: string): Promise<void> {
    await this.page.locator(`[id='status.problems'] a:not([aria-label="${before}"])`).first().waitFor();
  }

  /** Opens the menu of quick fixes at the cursor and chooses one, by keys: the list moves under a pointer. */
  async quickFix(title: RegExp): Promise<void> {
    await this.page.keyboard.press("Control+.");
    const rows = this.page.locator(".action-widget .monaco-list-row");
    await rows.filter({ hasText: title }).first().waitFor();
    const focused = this.page.locator(".action-widget .monaco-list-row.focused");
    for (let steps = await rows.count(); steps > 0; steps -= 1) {
      const text = (await focused.innerText()).trim();
      if (title.test(text)) {
        await this.page.keyboard.press("Enter");
        return;
      }
      await this.page.keyboard.press("ArrowDown");
      await focused.filter({ hasNotText: text }).waitFor();
    }
    throw new Error(`the quick fix ${String(title)} cannot be reached`);
  }

  /** The extension's place in the activity bar. */
  activity(): Locator {
    return this.page
      .locator(".activitybar .action-item", { has: this.page.locator("[aria-label^='polyclone']") })
      .first();
  }

  /** Opens the Clones view. */
  async openView(): Promise<void> {
    await this.activity().click();
    await this.page
      .locator(".sidebar .composite.title", { hasText: /clones/i })
      .first()
      .waitFor();
  }

  /** What the view says while it has nothing to show. */
  welcome(text: RegExp | string = ""): Locator {
    return this.page.locator(".sidebar .welcome-view-content:visible", { hasText: text });
  }

  /** An entry behind the dots of the open view. */
  async viewMenu(title: string): Promise<void> {
    await this.page.locator(".sidebar .composite.title [aria-label^='Views and More Actions']").first().click();
    // By keys: an open menu does not take every click.
    await this.page.locator(".context-view .action-item", { hasText: title }).first().hover();
    const chosen = this.page.locator(".context-view .action-item.focused", { hasText: title });
    await chosen.waitFor();
    await this.page.keyboard.press("Enter");
    await chosen.waitFor({ state: "hidden" });
  }

  /** Types an answer into the input that is open, and gives it. */
  async answer(text: string): Promise<void> {
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    await input.fill(text);
    await this.page.keyboard.press("Enter");
  }

  async pictureOfSidebar(name: string): Promise<void> {
    const box = await this.page.locator(".part.sidebar").first().boundingBox();
    if (box === null) {
      throw new Error("there is no side bar");
    }
    await this.picture(name, { ...box, height: 240 });
  }

  async widenSidebar(pixels: number): Promise<void> {
    const box = await this.page.locator(".part.sidebar").first().boundingBox();
    if (box === null) {
      throw new Error("there is no side bar");
    }
    const [x, y] = [box.x + box.width, box.y + box.height / 2];
    await this.page.mouse.move(x, y);
    await this.page.mouse.down();
    await this.page.mouse.move(x + pixels, y, { steps: 5 });
    await this.page.mouse.up();
  }

  /** A picture of the window, or of a part of it, for people to look at. */
  async picture(name: string, clip?: { x: number; y: number; width: number; height: number }): Promise<void> {
    await this.page.screenshot({
      path: join(this.pictures, `${name}.png`),
      animations: "disabled",
      // A tip may come when the pointer has long left.
      ...(clip ? { clip, style: ".workbench-hover { visibility: hidden }" } : {}),
    });
  }

  async gone(locator: Locator): Promise<void> {
    await locator.waitFor({ state: "detached", timeout: this.limitMs });
  }
}
