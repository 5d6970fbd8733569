/** What the extension asks of the editor's user interface, in plain types: logic that uses it is tested without one. */

export interface Choice {
  readonly label: string;
  readonly description?: string;
  readonly detail?: string;
  readonly picked?: boolean;
}

export interface InputOptions {
  readonly title: string;
  readonly prompt: string;
  readonly placeHolder?: string;
  readonly value?: string;
  /** A message while the input cannot be taken. */
  readonly validate?: (value: string) => string | undefined;
}

export interface Ui {
  /** Each shows a message and resolves with the button that was pressed. */
  info(message: string, ...buttons: string[]): Promise<string | undefined>;
  warn(message: string, ...buttons: string[]): Promise<string | undefined>;
  error(message: string, ...buttons: string[]): Promise<string | undefined>;
  input(options: InputOptions): Promise<string | undefined>;
  pick<Item extends Choice>(items: readonly Item[], title: string): Promise<Item | undefined>;
  pickMany<Item extends Choice>(items: readonly Item[], title: string): Promise<readonly Item[] | undefined>;
  execute(command: string, ...args: unknown[]): Promise<unknown>;
  copy(text: string): Promise<void>;
}
