; Units
(function_item name: (_) @name body: (block) @body) @function
(let_declaration pattern: (identifier) @name value: (closure_expression body: (_) @body)) @lambda
(const_item name: (identifier) @name value: (closure_expression body: (_) @body)) @lambda
(static_item name: (identifier) @name value: (closure_expression body: (_) @body)) @lambda
(assignment_expression left: [(identifier) (field_expression)] @target right: (closure_expression body: (_) @body)) @lambda
(field_initializer field: (field_identifier) @name value: (closure_expression body: (_) @body)) @lambda

; Scopes
(impl_item type: (_) @scope.name) @scope.type
(trait_item name: (_) @scope.name) @scope.type
(mod_item name: (_) @scope.name body: (_)) @scope.namespace

; Regions
[(line_comment) (block_comment)] @comment
[(string_literal) (raw_string_literal) (char_literal)] @string
[(use_declaration) (extern_crate_declaration) (attribute_item) (inner_attribute_item)] @drop
