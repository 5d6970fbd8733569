// Bundles the extension, and with --tests its tests. One file each: nothing of node_modules is needed at run time.
// Beside the extension lies licences.txt, with the licences of the packages that the file holds.
// Options: --production (small, without a source map), --outdir FOLDER, --tests.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
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

const { metafile } = await build({
  ...common,
  entryPoints: ["src/extension.ts"],
  outfile: `${outdir}/extension.js`,
  external: ["vscode"],
  minify: production,
  sourcemap: !production,
  metafile: true,
});
writeFileSync(resolve(root, outdir, "licences.txt"), licences(Object.keys(metafile.inputs)));

/** The licences of all packages that some of the files belong to. */
function licences(files) {
  const folders = new Set(files.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []));
  return [...folders].sort().map(licence).join("\n\n");
}

function licence(folder) {
  const { name, version } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) {
    throw new Error(`${name} brings no licence: look before it is bundled.`);
  }
  return `${name} ${version}\n\n${readFileSync(join(root, folder, file), "utf8").trim()}\n`;
}

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
