; Units
(method_declaration name: (_) @name body: (_) @body) @method
(local_function_statement name: (_) @name body: (_) @body) @function
(constructor_declaration name: (_) @name body: (_) @body) @constructor
(destructor_declaration "~" @operator name: (_) @name body: (_) @body) @method
(operator_declaration "operator" @operator operator: _ @name body: (_) @body) @method
(conversion_operator_declaration "operator" @operator type: (_) @name body: (_) @body) @method
(property_declaration name: (_) @name value: (arrow_expression_clause) @body) @method
(indexer_declaration "this" @name value: (arrow_expression_clause) @body) @method
(accessor_declaration name: _ @accessor body: (_) @body) @method
(variable_declarator name: (_) @name (lambda_expression body: (_) @body)) @lambda
(variable_declarator name: (_) @name (anonymous_method_expression (block) @body)) @lambda
(assignment_expression left: [(identifier) (member_access_expression)] @target right: (lambda_expression body: (_) @body)) @lambda
(assignment_expression left: [(identifier) (member_access_expression)] @target right: (anonymous_method_expression (block) @body)) @lambda

; Scopes
(class_declaration name: (_) @scope.name) @scope.type
(struct_declaration name: (_) @scope.name) @scope.type
(interface_declaration name: (_) @scope.name) @scope.type
(record_declaration name: (_) @scope.name) @scope.type
(enum_declaration name: (_) @scope.name) @scope.type
(namespace_declaration name: (_) @scope.name) @scope.namespace
(file_scoped_namespace_declaration name: (_) @scope.rest)
(property_declaration name: (_) @scope.name accessors: (_)) @scope.property
(event_declaration name: (_) @scope.name accessors: (_)) @scope.property
(indexer_declaration "this" @scope.name accessors: (_)) @scope.property

; Regions
(comment) @comment
[(string_literal) (verbatim_string_literal) (raw_string_literal) (interpolated_string_expression) (character_literal)] @string
[(using_directive) (extern_alias_directive) (attribute_list) (global_attribute) (file_scoped_namespace_declaration)
 (preproc_region) (preproc_endregion) (preproc_pragma) (preproc_nullable)] @drop
(delegate_declaration) @declaration
