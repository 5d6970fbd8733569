; Units
(function_definition name: (identifier) @name body: (_) @body) @function
; `def f(): ...` is a stub or an overload, also below a docstring.
(function_definition body: (block . (expression_statement (ellipsis)) .)) @stub
(function_definition body: (block . (expression_statement (string)) . (expression_statement (ellipsis)) .)) @stub
(assignment left: [(identifier) (attribute)] @target right: (lambda body: (_) @body)) @lambda
(pair key: [(identifier) (string)] @name value: (lambda body: (_) @body)) @lambda
(named_expression name: (identifier) @name value: (lambda body: (_) @body)) @lambda

; Scopes
(class_definition name: (identifier) @scope.name) @scope.type

; Regions
(module . (comment)* . (expression_statement . (string) @doc .))
(class_definition body: (block . (comment)* . (expression_statement . (string) @doc .)))
(function_definition body: (block . (comment)* . (expression_statement . (string) @doc .)))
(comment) @comment
(string) @string
[(import_statement) (import_from_statement) (future_import_statement) (decorator)] @drop
(type_alias_statement) @declaration
