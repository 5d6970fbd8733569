/** What the buttons and menus of the Clones view do. */
import { compare } from "./compare";
import { ignorePair } from "./judging";
import { goTo, peek } from "./navigation";
import type { Parts } from "./parts";
import { COMMAND_ACCEPT } from "./protocol";
import { languagePairs, NO_FILTER } from "./view/filter";
import { acceptArguments, ends, ignoreArguments, type Node, type PairChoice, pairChoices } from "./view/model";

/** By id, below `polyclone.view`. */
export function viewHandlers(parts: Parts): Readonly<Record<string, (node: Node) => unknown>> {
  return {
    refresh: () => parts.scanner.refresh(),
    filterLanguages: () => filterLanguages(parts),
    filterText: () => filterText(parts),
    clearFilter: () => parts.view.setFilter(NO_FILTER),
    open: (node) => (node.kind === "member" ? goTo(node.member) : undefined),
    compare: (node) => compareNode(parts, node),
    peek: (node) => peekNode(node),
    ignore: (node) => ignoreNode(parts, node),
    accept: (node) => acceptNode(parts, node),
  };
}

async function ignoreNode(parts: Parts, node: Node): Promise<void> {
  const choice = await choosePair(parts, node, "Ignore which pair?");
  const args = choice && ignoreArguments(node.group, choice.pair);
  if (args) {
    await ignorePair(parts, args);
  }
}

async function acceptNode({ session }: Parts, node: Node): Promise<void> {
  const args = acceptArguments(node.group);
  if (args) {
    await (await session.connected()).execute(COMMAND_ACCEPT, args);
  }
}

async function compareNode(parts: Parts, node: Node): Promise<void> {
  const choice = await choosePair(parts, node, "Compare which pair?");
  const sides = choice && ends(node.group, choice.pair, node.kind === "member" ? node.index : undefined);
  if (sides) {
    await compare(sides);
  }
}

async function peekNode(node: Node): Promise<void> {
  const [first] = node.group.members;
  if (first) {
    await peek({
      uri: first.uri,
      position: first.selectionRange.start,
      locations: node.group.members.map(({ uri, selectionRange }) => ({ uri, range: selectionRange })),
    });
  }
}

async function choosePair({ ui }: Parts, node: Node, title: string): Promise<PairChoice | undefined> {
  const choices = pairChoices(node.group, node.kind === "member" ? node.index : undefined);
  return choices.length > 1 ? ui.pick(choices, title) : choices[0];
}

async function filterLanguages({ store, view, ui }: Parts): Promise<void> {
  const items = [...languagePairs(store.current.groups)].map(([pair, groups]) => ({
    label: pair,
    description: groups === 1 ? "1 group" : `${groups} groups`,
    picked: view.filter.pairs.includes(pair),
  }));
  const chosen = await ui.pickMany(items, "Show groups with these languages");
  if (chosen) {
    view.setFilter({ ...view.filter, pairs: chosen.map(({ label }) => label) });
  }
}

async function filterText({ view, ui }: Parts): Promise<void> {
  const text = await ui.input({
    title: "Filter Clones",
    prompt: "Words that must occur in a function's name, path or language. Empty: all.",
    value: view.filter.text,
  });
  if (text !== undefined) {
    view.setFilter({ ...view.filter, text });
  }
}
