; Units. The name is found by walking down the declarator.
(function_definition declarator: (_) @declarator body: [(compound_statement) (try_statement)] @body) @function
(init_declarator declarator: (identifier) @name value: (lambda_expression body: (_) @body)) @lambda
(assignment_expression left: [(identifier) (field_expression)] @target right: (lambda_expression body: (_) @body)) @lambda
(field_declaration declarator: (field_identifier) @name default_value: (lambda_expression body: (_) @body)) @lambda

; Scopes
(class_specifier name: (_) @scope.name body: (_)) @scope.type
(struct_specifier name: (_) @scope.name body: (_)) @scope.type
(union_specifier name: (_) @scope.name body: (_)) @scope.type
(namespace_definition name: (_) @scope.name) @scope.namespace

; Regions
(comment) @comment
[(string_literal) (raw_string_literal) (char_literal)] @string
[(preproc_include) (using_declaration) (namespace_alias_definition) (attribute_declaration) (attribute_specifier)] @drop
