const MAX_LENGTH = 80;

/** The part of a product page's address that names the product. */
export function slugify(title: string): string {
  const plain = title.normalize("NFD").replace(/\p{Mn}/gu, "");
  const words = plain
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  if (words === "") return "untitled";
  return words.slice(0, MAX_LENGTH).replace(/-+$/, "");
}
