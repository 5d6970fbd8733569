/** `Ui` on the editor's own API. */
import * as vscode from "vscode";
import type { Choice, InputOptions, Ui } from "./ui";

export const vscodeUi: Ui = {
  info: async (message, ...buttons) => vscode.window.showInformationMessage(message, ...buttons),
  warn: async (message, ...buttons) => vscode.window.showWarningMessage(message, ...buttons),
  error: async (message, ...buttons) => vscode.window.showErrorMessage(message, ...buttons),
  input: async ({ title, prompt, placeHolder, value, validate }: InputOptions) =>
    vscode.window.showInputBox({
      ignoreFocusOut: true, // A reason half written is kept, and a menu that closes takes the focus.
      title,
      prompt,
      ...(placeHolder === undefined ? {} : { placeHolder }),
      ...(value === undefined ? {} : { value }),
      ...(validate === undefined ? {} : { validateInput: validate }),
    }),
  pick: async <Item extends Choice>(items: readonly Item[], title: string) =>
    vscode.window.showQuickPick([...items], { title, matchOnDescription: true, matchOnDetail: true }),
  pickMany: async <Item extends Choice>(items: readonly Item[], title: string) =>
    vscode.window.showQuickPick([...items], { title, matchOnDescription: true, canPickMany: true }),
  execute: async (command, ...args) => vscode.commands.executeCommand(command, ...args),
  copy: async (text) => vscode.env.clipboard.writeText(text),
};
