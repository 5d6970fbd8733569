"""One row a language. Data only: whatever needs a syntax tree to decide is in the language's query file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What polyclone knows about a language besides its grammar and its query."""

    name: str
    """Canonical name: what `Function.language`, configuration and bundles say."""
    display_name: str
    aliases: tuple[str, ...] = ()
    """Other names people type, in lower case."""
    extensions: tuple[str, ...]
    """With the dot, in lower case."""
    file_names: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    """Programs a `#!` line may name, without version digits."""
    grammar_package: str
    """The distribution that `importlib.metadata` knows."""
    grammar_module: str
    grammar_factory: str = "language"
    grammar_variants: tuple[tuple[str, str], ...] = ()
    """(extension, factory) where an extension needs another grammar of the same module."""
    snippet_factories: tuple[str, ...] = ()
    """Grammars to try, in order, on code without a file name; the first without errors wins."""
    snippet_prefix: bytes = b""
    """Put before a snippet that does not open the language itself, as PHP's `<?php` does."""
    query_file: str
    line_comments: tuple[str, ...] = ()
    """Prefixes of a comment that ends with its line, the longest first."""
    block_comments: tuple[tuple[str, str], ...] = ()
    """(opening, closing) marks, the longest first."""
    constructor_names: tuple[str, ...] = ()
    """A method of this name is a constructor."""
    constructor_named_as_type: bool = False
    has_macros: bool = False
    """Whether `languages.macros` prepares the text for the parser."""
    script_extensions: tuple[str, ...] = ()
    """Files whose top level may be a script; `*` means all of them, nothing means none."""
    script_statements: tuple[str, ...] = ()
    """If given, only these node types are statements at the top level."""
    blocks: tuple[str, ...] = ()
    """Node types whose named children are statements; used to count the statements of a script."""


_SLASHES = ("///", "//!", "//")
_STARS = (("/**", "*/"), ("/*!", "*/"), ("/*", "*/"))

ROWS: tuple[Language, ...] = (
    Language(
        name="python",
        display_name="Python",
        aliases=("py", "python3", "cpython"),
        extensions=(".py", ".pyw", ".pyi"),
        file_names=("SConstruct", "SConscript", "wscript"),
        interpreters=("python", "pypy"),
        grammar_package="tree-sitter-python",
        grammar_module="tree_sitter_python",
        query_file="python.scm",
        line_comments=("#",),
        constructor_names=("__init__", "__new__"),
        script_extensions=("*",),
        blocks=("block",),
    ),
    Language(
        name="java",
        display_name="Java",
        extensions=(".java",),
        grammar_package="tree-sitter-java",
        grammar_module="tree_sitter_java",
        query_file="java.scm",
        line_comments=_SLASHES,
        block_comments=_STARS,
    ),
    Language(
        name="javascript",
        display_name="JavaScript",
        aliases=("js", "jsx", "ecmascript", "node", "javascriptreact"),
        extensions=(".js", ".jsx", ".mjs", ".cjs", ".es6"),
        file_names=("Jakefile",),
        interpreters=("node", "nodejs", "bun"),
        grammar_package="tree-sitter-javascript",
        grammar_module="tree_sitter_javascript",
        query_file="javascript.scm",
        line_comments=("//", "#!"),
        block_comments=_STARS,
        constructor_names=("constructor",),
        script_extensions=("*",),
        blocks=("statement_block", "switch_case", "switch_default"),
    ),
    Language(
        name="typescript",
        display_name="TypeScript",
        aliases=("ts", "tsx", "typescriptreact"),
        extensions=(".ts", ".tsx", ".mts", ".cts"),
        interpreters=("deno", "ts-node", "tsx"),
        grammar_package="tree-sitter-typescript",
        grammar_module="tree_sitter_typescript",
        grammar_factory="language_typescript",
        grammar_variants=((".tsx", "language_tsx"),),
        snippet_factories=("language_typescript", "language_tsx"),
        query_file="typescript.scm",
        line_comments=(*_SLASHES, "#!"),
        block_comments=_STARS,
        constructor_names=("constructor",),
        script_extensions=("*",),
        blocks=("statement_block", "switch_case", "switch_default"),
    ),
    Language(
        name="go",
        display_name="Go",
        aliases=("golang",),
        extensions=(".go",),
        grammar_package="tree-sitter-go",
        grammar_module="tree_sitter_go",
        query_file="go.scm",
        line_comments=("//",),
        block_comments=_STARS,
    ),
    Language(
        name="rust",
        display_name="Rust",
        aliases=("rs",),
        extensions=(".rs",),
        grammar_package="tree-sitter-rust",
        grammar_module="tree_sitter_rust",
        query_file="rust.scm",
        line_comments=_SLASHES,
        block_comments=_STARS,
    ),
    Language(
        name="ruby",
        display_name="Ruby",
        aliases=("rb", "jruby"),
        extensions=(".rb", ".rake", ".gemspec", ".ru", ".rbw"),
        file_names=("Rakefile", "Gemfile", "Guardfile", "Vagrantfile", "Capfile", "Podfile", "Fastfile"),
        interpreters=("ruby", "jruby", "rake"),
        grammar_package="tree-sitter-ruby",
        grammar_module="tree_sitter_ruby",
        query_file="ruby.scm",
        line_comments=("#",),
        block_comments=(("=begin", "=end"),),
        constructor_names=("initialize",),
        script_extensions=("*",),
        blocks=("body_statement", "block_body", "then", "else", "do", "ensure", "begin"),
    ),
    Language(
        name="c",
        display_name="C",
        extensions=(".c", ".h"),
        grammar_package="tree-sitter-c",
        grammar_module="tree_sitter_c",
        query_file="c.scm",
        line_comments=_SLASHES,
        block_comments=_STARS,
        has_macros=True,
    ),
    Language(
        name="cpp",
        display_name="C++",
        aliases=("c++", "cc", "cxx", "cplusplus"),
        extensions=(".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".ipp", ".inl", ".tpp"),
        grammar_package="tree-sitter-cpp",
        grammar_module="tree_sitter_cpp",
        query_file="cpp.scm",
        line_comments=_SLASHES,
        block_comments=_STARS,
        constructor_named_as_type=True,
        has_macros=True,
    ),
    Language(
        name="csharp",
        display_name="C#",
        aliases=("c#", "cs", "c-sharp", "c_sharp"),
        extensions=(".cs", ".csx"),
        interpreters=("dotnet-script", "csi"),
        grammar_package="tree-sitter-c-sharp",
        grammar_module="tree_sitter_c_sharp",
        query_file="csharp.scm",
        line_comments=_SLASHES,
        block_comments=_STARS,
        script_extensions=("*",),
        script_statements=("global_statement",),
        blocks=("block", "switch_section"),
    ),
    Language(
        name="kotlin",
        display_name="Kotlin",
        aliases=("kt", "kts"),
        extensions=(".kt", ".kts"),
        interpreters=("kotlin", "kotlinc"),
        grammar_package="tree-sitter-kotlin",
        grammar_module="tree_sitter_kotlin",
        query_file="kotlin.scm",
        line_comments=("//", "#!"),
        block_comments=_STARS,
        script_extensions=(".kts",),
        blocks=("block", "lambda_literal"),
    ),
    Language(
        name="swift",
        display_name="Swift",
        extensions=(".swift",),
        interpreters=("swift",),
        grammar_package="tree-sitter-swift",
        grammar_module="tree_sitter_swift",
        query_file="swift.scm",
        line_comments=(*_SLASHES, "#!"),
        block_comments=_STARS,
        script_extensions=("*",),
        blocks=("statements",),
    ),
    Language(
        name="scala",
        display_name="Scala",
        aliases=("sc",),
        extensions=(".scala", ".sc"),
        interpreters=("scala", "scala-cli", "amm"),
        grammar_package="tree-sitter-scala",
        grammar_module="tree_sitter_scala",
        query_file="scala.scm",
        line_comments=("//",),
        block_comments=_STARS,
        constructor_names=("this",),
        script_extensions=(".sc",),
        blocks=("block", "indented_block", "case_block"),
    ),
    Language(
        name="php",
        display_name="PHP",
        extensions=(".php", ".phtml", ".php5", ".php7", ".inc"),
        interpreters=("php",),
        grammar_package="tree-sitter-php",
        grammar_module="tree_sitter_php",
        grammar_factory="language_php",
        snippet_prefix=b"<?php\n",
        query_file="php.scm",
        line_comments=("//", "#"),
        block_comments=_STARS,
        constructor_names=("__construct",),
        script_extensions=("*",),
        blocks=("compound_statement", "colon_block", "case_statement", "default_statement"),
    ),
)
