/**
 * Takes the pictures of the documentation: `node out/harness/pictures.js WORKSPACE [examples|large]`. The tour through the
 * examples gives all but one; the view is shown after a scan of WORKSPACE, a real project of several languages.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { scan, tour, visit } from "../window/window";
import { CLIENT, REPOSITORY } from "./editor";

const VERSION = "4.139.1";
const WALKTHROUGH = join(CLIENT, "media", "walkthrough");
const DOCS = join(REPOSITORY, "docs", "images");
const SCAN_LIMIT_MS = 900_000;

interface Given {
  readonly server: string;
  readonly vsix: string;
  readonly pictures: string;
}

async function main([workspace, only]: readonly string[]): Promise<void> {
  const { POLYCLONE_SERVER: server, POLYCLONE_VSIX: vsix } = process.env;
  if (workspace === undefined || server === undefined || vsix === undefined) {
    throw new Error(
      "usage: POLYCLONE_SERVER=… POLYCLONE_VSIX=… node out/harness/pictures.js WORKSPACE [examples|large]",
    );
  }
  const given = { server, vsix, pictures: join(CLIENT, "out", "pictures", "docs") };
  mkdirSync(DOCS, { recursive: true });
  if (only !== "large") {
    await examples(given);
  }
  if (only !== "examples") {
    await large(given, workspace);
  }
}

async function examples(given: Given): Promise<void> {
  await visit(tour, { version: VERSION, ...given });
  const copies = [
    ["lens", "lens"],
    ["hover", "diagnostic"],
    ["peek", "peek"],
    ["compare", "side-by-side"],
  ] as const;
  for (const [from, to] of copies) {
    copyFileSync(join(given.pictures, `${from}.png`), join(DOCS, `vscode-${to}.png`));
  }
  for (const name of ["lens", "compare", "view"]) {
    copyFileSync(join(given.pictures, `${name}.png`), join(WALKTHROUGH, `${name}.png`));
  }
}

async function large(given: Given, workspace: string): Promise<void> {
  await visit(
    async (window) => {
      await window.openFile("Interval.java");
      await scan(window, /0\.\d\d · /, /:\d+/);
      await window.row(/:\d+/).click();
      await window.squiggle().waitFor();
      await window.picture("large");
    },
    {
      version: VERSION,
      ...given,
      workspace,
      // Tests that were ported name by name would fill the picture.
      settings: { "polyclone.exclude": ["*test*/", "*Test*/"] },
      limitMs: SCAN_LIMIT_MS,
    },
  );
  copyFileSync(join(given.pictures, "large.png"), join(DOCS, "vscode-view.png"));
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
