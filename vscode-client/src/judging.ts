/** Ignoring a pair: the reason is asked for here, the rest is the server's. */
import type { Parts } from "./parts";
import { COMMAND_IGNORE_PAIR, type IgnorePairArguments } from "./protocol";

export async function ignorePair({ session, ui }: Parts, args: IgnorePairArguments): Promise<void> {
  const reason =
    args.reason ??
    (await ui.input({
      title: `Ignore ${args.left} ↔ ${args.right}`,
      prompt: "Why may these two do the same? The reason is kept beside the pair, for whoever reads it later.",
      placeHolder: "for example: the client must check what the server checks",
      validate: (value) => (/[\r\n]/.test(value) ? "One line, please." : undefined),
    }));
  if (reason !== undefined) {
    const connection = await session.connected();
    const said = reason.trim();
    await connection.execute(COMMAND_IGNORE_PAIR, said === "" ? args : { ...args, reason: said });
  }
}
