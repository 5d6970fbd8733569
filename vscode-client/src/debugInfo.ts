/** What a bug report needs, as text. Nothing of the workspace's content, no names of its files. */
import { describe } from "./describe";
import type { State } from "./server/session";
import type { Found } from "./view/store";

export interface Surroundings {
  readonly extension: string;
  readonly editor: string;
  readonly platform: string;
  readonly remote: string | undefined;
  readonly trusted: boolean;
  readonly folders: number;
  /** Those that differ from their default. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export function debugInfo(around: Surroundings, state: State, found: Found): string {
  const { text, detail } = describe(state);
  const lines = [
    `extension: ${around.extension}`,
    `editor: ${around.editor}`,
    `platform: ${around.platform}`,
    `remote: ${around.remote ?? "no"}`,
    `trusted: ${around.trusted ? "yes" : "no"}`,
    `workspace folders: ${around.folders}`,
    `settings: ${JSON.stringify(around.settings)}`,
    `state: ${text}${detail === "" ? "" : ` (${detail})`}`,
    ...(state.kind === "running" ? running(state) : []),
    `groups shown: ${found.groups.length}${found.scanning ? ", scanning" : ""}`,
  ];
  return lines.join("\n");
}

function running({ status, launch }: State & { kind: "running" }): string[] {
  const { model } = status;
  return [
    `server: ${status.version}, process ${status.pid}, ${launch.description}`,
    `command: ${[launch.command, ...launch.args].join(" ")}`,
    `model: ${model ? `${model.name} ${model.version} (${model.kind}, ${model.provider}, ${model.digest.slice(0, 12)})` : "none"}`,
    `index: ${status.files} files, ${status.functions} functions, ${status.pairs} pairs`,
  ];
}
