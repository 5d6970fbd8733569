; Units
(function_declaration name: (identifier) @name body: (block) @body) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: (_) @receiver))
  name: (field_identifier) @name
  body: (block) @body) @method
(short_var_declaration
  left: (expression_list . (_) @target .)
  right: (expression_list . (func_literal body: (block) @body) .)) @lambda
(assignment_statement
  left: (expression_list . (_) @target .)
  right: (expression_list . (func_literal body: (block) @body) .)) @lambda
(var_spec
  name: (identifier) @name
  value: (expression_list . (func_literal body: (block) @body) .)) @lambda
(keyed_element
  key: (literal_element [(identifier) (interpreted_string_literal) (raw_string_literal)] @name)
  value: (literal_element (func_literal body: (block) @body))) @lambda

; Regions
(comment) @comment
[(interpreted_string_literal) (raw_string_literal) (rune_literal)] @string
[(package_clause) (import_declaration)] @drop
