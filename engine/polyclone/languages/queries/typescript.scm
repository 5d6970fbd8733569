; Units
(function_declaration name: (_) @name body: (_) @body) @function
(generator_function_declaration name: (_) @name body: (_) @body) @function
(method_definition name: (_) @name body: (_) @body) @method
(variable_declarator name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body) (generator_function body: (_) @body)]) @lambda
(assignment_expression left: [(identifier) (member_expression)] @target
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body) (generator_function body: (_) @body)]) @lambda
(pair key: [(property_identifier) (string) (private_property_identifier)] @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body) (generator_function body: (_) @body)]) @lambda
(public_field_definition name: (_) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body) (generator_function body: (_) @body)]) @lambda
(assignment_pattern left: (identifier) @name
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @lambda
; A component or handler in one of the usual wrappers: `const Row = memo((props) => …)`.
(variable_declarator name: (identifier) @name
  value: (call_expression function: [(identifier) (member_expression)] @_wrapper
    arguments: (arguments . [(arrow_function body: (_) @body) (function_expression body: (_) @body)]))
  (#any-of? @_wrapper "memo" "React.memo" "forwardRef" "React.forwardRef" "useCallback" "React.useCallback"
    "observer" "debounce" "throttle")) @lambda
(export_statement "default" @name
  value: [(arrow_function body: (_) @body) (function_expression !name body: (_) @body)] @function)
(function_expression name: (identifier) @name body: (_) @body) @function

; Scopes
(class_declaration name: (_) @scope.name) @scope.type
(abstract_class_declaration name: (_) @scope.name) @scope.type
(class name: (_) @scope.name) @scope.type
(interface_declaration name: (_) @scope.name) @scope.type
(enum_declaration name: (_) @scope.name) @scope.type
(internal_module name: (_) @scope.name) @scope.namespace
(module name: (_) @scope.name) @scope.namespace
(variable_declarator name: (identifier) @scope.name value: (class !name)) @scope.type
(variable_declarator name: (identifier) @scope.name value: (object)) @scope.object
(assignment_expression left: [(identifier) (member_expression)] @scope.name right: (object)) @scope.object
(pair key: (property_identifier) @scope.name value: (object)) @scope.object

; Regions
[(comment) (html_comment) (hash_bang_line)] @comment
[(string) (template_string) (template_literal_type) (regex)] @string
;? (jsx_text) @string
[(import_statement) (import_alias) (decorator)] @drop
(program (export_statement source: (_)) @drop)
(program (export_statement (export_clause)) @drop)
[(type_alias_declaration) (ambient_declaration) (function_signature)] @declaration
(program (lexical_declaration
  . (variable_declarator value: (call_expression function: (identifier) @_require)) .
  (#eq? @_require "require")) @drop)
(program (variable_declaration
  . (variable_declarator value: (call_expression function: (identifier) @_require)) .
  (#eq? @_require "require")) @drop)
