/**
 * Takes the pictures of the documentation: `node out/harness/pictures.js WORKSPACE`. The tour through the
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

async function main([workspace]: readonly string[]): Promise<void> {
  const { POLYCLONE_SERVER: server, POLYCLONE_VSIX: vsix } = process.env;
  if (workspace === undefined || server === undefined || vsix === undefined) {
    throw new Error("usage: POLYCLONE_SERVER=… POLYCLONE_VSIX=… node out/harness/pictures.js WORKSPACE");
  }
  const pictures = join(CLIENT, "out", "pictures", "docs");
  await visit(tour, { version: VERSION, server, vsix, pictures });
  const copies = [
    ["lens", "lens"],
    ["hover", "diagnostic"],
    ["peek", "peek"],
    ["compare", "side-by-side"],
  ] as const;
  mkdirSync(DOCS, { recursive: true });
  for (const [from, to] of copies) {
    copyFileSync(join(pictures, `${from}.png`), join(DOCS, `vscode-${to}.png`));
  }
  for (const name of ["lens", "compare", "view"]) {
    copyFileSync(join(pictures, `${name}.png`), join(WALKTHROUGH, `${name}.png`));
  }
  await visit(
    async (window) => {
      await window.openFile("Interval.java");
      await scan(window, /Go, .*Java/, /Java · /);
      await window.row(/Java · /).click();
      await window.squiggle().waitFor();
      await window.picture("large");
    },
    { version: VERSION, server, vsix, pictures, workspace, limitMs: SCAN_LIMIT_MS },
  );
  copyFileSync(join(pictures, "large.png"), join(DOCS, "vscode-view.png"));
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
