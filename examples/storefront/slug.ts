const MAX_LENGTH = 80;

/** The part of a product page's address that names the product. */
export function slugify(name: string): string {
  let slug = "";
  let pendingDash = false;
  for (const char of name.normalize("NFD").toLowerCase()) {
    const isMark = /\p{Mn}/u.test(char);
    if (isMark) continue;
    if (/[a-z0-9]/.test(char)) {
      if (pendingDash && slug !== "") slug += "-";
      slug += char;
      pendingDash = false;
    } else {
      pendingDash = true;
    }
  }
  if (slug === "") return "untitled";
  return slug.slice(0, MAX_LENGTH).replace(/-+$/, "");
}
