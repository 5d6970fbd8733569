"""The language server over the polyclone engine."""
