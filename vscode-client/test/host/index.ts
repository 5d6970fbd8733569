/** Entry of a suite in the extension host: the contract of `@vscode/test-electron`. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { format } from "node:util";
import Mocha from "mocha";

export function run(): Promise<void> {
  const suite = process.env["POLYCLONE_SUITE"] ?? "";
  const report = process.env["POLYCLONE_REPORT"] ?? "host-report.txt";
  const write = (...parts: unknown[]): void => appendFileSync(report, `${format(...parts)}\n`);
  Object.assign(Mocha.reporters.Base, { consoleLog: write });
  const mocha = new Mocha({ ui: "tdd", timeout: 120_000, color: false, bail: process.env["POLYCLONE_BAIL"] === "1" });
  mocha.addFile(join(__dirname, `${suite}.js`));
  return new Promise((resolve, reject) => {
    mocha.run((failures) => (failures === 0 ? resolve() : reject(new Error(`${failures} tests failed`))));
  });
}
