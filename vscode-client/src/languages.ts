/** The languages that the server knows, by the editor's names for them. */

export const languageIds = [
  "python",
  "java",
  "javascript",
  "javascriptreact",
  "typescript",
  "typescriptreact",
  "go",
  "rust",
  "ruby",
  "c",
  "cpp",
  "csharp",
  "kotlin",
  "swift",
  "scala",
  "php",
] as const;

export const documentSelector = ["file", "untitled", "vscode-notebook-cell"].flatMap((scheme) =>
  languageIds.map((language) => ({ scheme, language })),
);
