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

  /** Opens the menu of quick fixes at the cursor and chooses one. */
  async quickFix(title: RegExp): Promise<void> {
    await this.page.keyboard.press("Control+.");
    const item = this.page.locator(".action-widget .monaco-list-row", { hasText: title }).first();
    await item.waitFor();
    // The menu ignores a pointer that was there before it: move, as a hand does, then click.
    const box = await item.boundingBox();
    if (box === null) {
      throw new Error(`the quick fix ${String(title)} is not to be seen`);
    }
    const [x, y] = [box.x + box.width / 3, box.y + box.height / 2];
    await this.page.mouse.move(x - 5, y);
    await this.page.mouse.move(x, y, { steps: 3 });
    await this.page.mouse.click(x, y);
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
      ...(clip ? { clip } : {}),
    });
  }

  async gone(locator: Locator): Promise<void> {
    await locator.waitFor({ state: "detached", timeout: this.limitMs });
  }
}
