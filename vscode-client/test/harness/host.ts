/** Runs one suite inside the extension host of a real editor and answers with its exit code and output. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPage, startBrowser } from "./browser";
import { CLIENT, type Profile, startEditor } from "./editor";

const LIMIT_MS = 600_000;

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** `suite` is the name of a file in `out/host`. */
export async function runHostSuite(suite: string, profile: Profile): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), "pc-report-"));
  const report = join(scratch, "report.txt");
  const environment = { ...profile.environment, POLYCLONE_SUITE: suite, POLYCLONE_REPORT: report };
  const editor = await startEditor({ ...profile, environment });
  const browser = await startBrowser();
  try {
    const errors: string[] = [];
    const remote = `vscode-remote://${new URL(editor.url).host}`;
    let exit: (code: number) => void = () => undefined;
    const exited = new Promise<number>((resolve) => (exit = resolve));
    await openPage(
      browser,
      editor,
      [
        ["extensionDevelopmentPath", `${remote}${CLIENT}`],
        ["extensionTestsPath", `${remote}${join(CLIENT, "out", "host", "index.js")}`],
      ],
      async (page) => {
        await page.exposeFunction("codeAutomationExit", (code: number) => exit(code));
        await page.exposeFunction("codeAutomationLog", (kind: string, parts: unknown[]) => {
          if (kind === "error") {
            errors.push(parts.join(" "));
          }
        });
      },
    );
    const late = new Promise<number>((resolve) => setTimeout(() => resolve(124), LIMIT_MS).unref());
    const code = await Promise.race([exited, late]);
    const output = existsSync(report)
      ? readFileSync(report, "utf8")
      : `(no report was written)\n${errors.join("\n")}\n`;
    return { code, output: code === 124 ? `${output}The suite did not end in time.\n` : output };
  } finally {
    await browser.close();
    await editor.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}
