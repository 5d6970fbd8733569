; Units
(function_definition name: (_) @name body: (_) @body) @function
(val_definition pattern: (identifier) @name value: (lambda_expression) @body) @lambda
(val_definition pattern: (identifier) @name value: (block . (lambda_expression) .) @body) @lambda
(val_definition pattern: (identifier) @name value: (case_block) @body) @lambda
(var_definition pattern: (identifier) @name value: (lambda_expression) @body) @lambda
(assignment_expression left: [(identifier) (field_expression)] @target right: (lambda_expression) @body) @lambda

; Scopes
(class_definition name: (_) @scope.name) @scope.type
(object_definition name: (_) @scope.name) @scope.type
(trait_definition name: (_) @scope.name) @scope.type
(enum_definition name: (_) @scope.name) @scope.type
(given_definition name: (_) @scope.name) @scope.type
(given_definition !name) @scope.type
(package_object name: (_) @scope.name) @scope.type
(package_clause name: (_) @scope.name body: (_)) @scope.namespace
(extension_definition parameters: (parameters . (parameter type: (_) @scope.name))) @scope.type

; Regions
[(comment) (block_comment)] @comment
[(string) (interpolated_string_expression) (character_literal)] @string
[(import_declaration) (annotation)] @drop
(package_clause !body) @drop
(type_definition) @declaration
