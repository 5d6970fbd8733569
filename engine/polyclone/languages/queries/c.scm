; Units. The name is found by walking down the declarator.
(function_definition declarator: (_) @declarator body: (compound_statement) @body) @function

; Regions
(comment) @comment
[(string_literal) (char_literal)] @string
[(preproc_include) (attribute_specifier) (attribute_declaration)] @drop
