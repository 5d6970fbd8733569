// Bundles the extension, and with --tests its tests. One file each: nothing of node_modules is needed at run time.
// Options: --production (small, without a source map), --outdir FOLDER, --tests.
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const production = process.argv.includes("--production");
const outdir = process.argv.includes("--outdir") ? process.argv[process.argv.indexOf("--outdir") + 1] : "dist";
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  logLevel: "warning",
};

await build({
  ...common,
  entryPoints: ["src/extension.ts"],
  outfile: `${outdir}/extension.js`,
  external: ["vscode"],
  minify: production,
  sourcemap: !production,
});

if (process.argv.includes("--tests")) {
  const sources = ["unit", "host", "harness", "window"].flatMap((folder) =>
    readdirSync(join(root, "test", folder))
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `test/${folder}/${name}`),
  );
  await build({
    ...common,
    entryPoints: sources,
    outbase: "test",
    outdir: "out",
    external: ["vscode", "mocha", "playwright-core"],
    sourcemap: "inline",
  });
}
