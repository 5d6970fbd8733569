/** What the Clones view says in each state in which it has nothing to show, with a picture of each. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLIENT, type Editor } from "../harness/editor";
import type { Window } from "./page";

const FALSE = "/bin/false";
const SERVERS = join(CLIENT, "test", "fixtures", "servers");
/** Answers nothing at all. */
export const SILENT = join(SERVERS, "silent.sh");

/** Everything that can be seen in an open, trusted folder, with the silent server at first. `server` is the real one. */
export function statesOfAFolder(server: string): (window: Window, editor: Editor) => Promise<void> {
  return async (window, editor) => {
    const shows = async (name: string, settings: Record<string, unknown>, text: RegExp, links: string[]) => {
      editor.configure(settings);
      await see(window, name, text, links);
    };
    const standing = (state: string): Record<string, unknown> => ({
      "polyclone.server.path": program(editor, state, `exec '${process.execPath}' '${SERVERS}/standing.js' ${state}`),
    });
    const real = { "polyclone.server.path": server };

    await window.openView();
    await see(window, "starting", /^Starting the polyclone server…/, ["Show Logs"]);
    await shows("loading", standing("loading"), /^Loading the model…/, []);
    await shows("indexing", standing("indexing"), /^Indexing the workspace…/, []);
    await shows("ready", standing("ready"), /^Find functions that do the same thing/, ["Scan Workspace"]);
    await window.runCommand("polyclone: Scan Workspace");
    await see(window, "scanning", /^Scanning…/, ["Cancel"]);
    await window.welcome().getByRole("button", { name: "Cancel" }).click();
    await see(window, "cancelled", /^Find functions that do the same thing/, ["Scan Workspace"]);
    await shows("failed", { "polyclone.server.path": FALSE }, /^The polyclone server does not run\./, [
      "Restart Server",
      "Show Logs",
      "Open Settings",
    ]);
    await shows("error", { ...real, "polyclone.model": "/nowhere" }, /^The polyclone server runs, but it cannot/, [
      "Show Logs",
      "Check the Model",
      "Restart Server",
    ]);
    await shows("disabled", { ...real, "polyclone.enable": false }, /^polyclone is switched off here\./, [
      "Open Settings",
    ]);
    await shows("none-found", { ...real, "polyclone.minProbability": 1 }, /^No clones were found\./, [
      "Scan Again",
      "Change the Threshold",
    ]);
    editor.configure(real);
    await window.row("levenshtein").waitFor();
    await window.viewMenu("Filter by Text…");
    await window.answer("no such name");
    await see(window, "filtered", /^No group matches the filter\./, ["Clear Filter"]);
    await window.welcome().getByRole("button", { name: "Clear Filter" }).click();
    await window.row("levenshtein").waitFor();
  };
}

export async function stateWithoutFolder(window: Window): Promise<void> {
  await window.openView();
  await see(window, "no-folder", /^Open a folder to look for functions/, ["Open Folder"]);
}

/** No server is set, and the sources bring none. */
export async function stateWithoutTrust(window: Window): Promise<void> {
  await window.openView();
  await see(window, "untrusted", /^The polyclone server does not run\. This workspace is not trusted/, [
    "Manage Workspace Trust",
    "Show Logs",
  ]);
}

/** The view says this, offers these links, and says nothing else. */
async function see(window: Window, name: string, text: RegExp, links: readonly string[]): Promise<void> {
  await window.welcome(text).waitFor();
  assert.equal(await window.welcome().count(), 1);
  assert.deepEqual(await window.welcome().getByRole("button").allInnerTexts(), links, name);
  await window.pictureOfSidebar(`state-${name}`);
}

/** A program that takes whatever arguments it is given. */
function program(editor: Editor, name: string, script: string): string {
  const path = join(editor.home, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}
