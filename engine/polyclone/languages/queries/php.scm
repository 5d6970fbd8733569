; Units
(function_definition name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name body: (_) @body) @method
(assignment_expression left: [(variable_name) (member_access_expression) (scoped_property_access_expression)] @target
  right: [(anonymous_function body: (_) @body) (arrow_function body: (_) @body)]) @lambda
(array_element_initializer . (string) @name
  [(anonymous_function body: (_) @body) (arrow_function body: (_) @body)]) @lambda
(property_hook (name) @accessor body: (_) @body) @method

; Scopes
(class_declaration name: (_) @scope.name) @scope.type
(interface_declaration name: (_) @scope.name) @scope.type
(trait_declaration name: (_) @scope.name) @scope.type
(enum_declaration name: (_) @scope.name) @scope.type
(anonymous_class) @scope.type
(namespace_definition name: (_) @scope.name body: (_)) @scope.namespace
(namespace_definition name: (_) @scope.rest !body) @drop
(property_declaration (property_element name: (variable_name) @scope.name) (property_hook_list)) @scope.property

; Regions
(comment) @comment
[(string) (encapsed_string) (heredoc) (nowdoc) (shell_command_expression)] @string
[(namespace_use_declaration) (attribute_list) (text_interpolation) (text) (php_tag) (php_end_tag)] @drop
(expression_statement [(require_expression) (require_once_expression) (include_expression) (include_once_expression)]) @drop
