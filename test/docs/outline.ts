/** Blocks of documents, and their lines as the tree that their indentation says: all that YAML and HCL need to have their names checked. */

export interface OutlineNode {
  /** Before the colon, the equals sign or the brace; a list's item has the name of its first member, or none. */
  name: string;
  /** After it, without quotes. */
  value: string;
  children: OutlineNode[];
}

/** The contents of the fenced blocks in that language, in their order. */
export function blocksOf(markdown: string, language: string): string[] {
  return [...markdown.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].filter(([, other]) => other === language).map(([, , text = '']) => text);
}

export function outline(text: string): OutlineNode[] {
  const root: OutlineNode = { name: '', value: '', children: [] };
  const open: { indent: number; node: OutlineNode }[] = [{ indent: -1, node: root }];
  for (const line of text.split('\n')) {
    const [, spaces = '', item = '', content = ''] = /^( *)((?:- )?)(.*)$/.exec(line) ?? [];
    if (content === '' || content === '}' || content.startsWith('#')) continue;
    const indent = spaces.length + item.length;
    while ((open.at(-1)?.indent ?? -1) >= indent) open.pop();
    const node = nodeOf(content);
    open.at(-1)?.node.children.push(node);
    open.push({ indent, node });
  }
  return root.children;
}

function nodeOf(content: string): OutlineNode {
  const [, name = '', value = ''] = /^(\w+)(?::(?= |$)| *=| (?=["{]))\s*(.*)$/.exec(content) ?? [];
  return name === ''
    ? { name: '', value: content, children: [] }
    : { name, value: value.replace(/ ?\{$/, '').replace(/^['"]|['"]$/g, ''), children: [] };
}
