; Units
(method_declaration name: (identifier) @name body: (block) @body) @method
(constructor_declaration name: (identifier) @name body: (_) @body) @constructor
(compact_constructor_declaration name: (identifier) @name body: (_) @body) @constructor
(variable_declarator name: (identifier) @name value: (lambda_expression body: (_) @body)) @lambda
(assignment_expression left: [(identifier) (field_access)] @target right: (lambda_expression body: (_) @body)) @lambda

; Scopes
(class_declaration name: (identifier) @scope.name) @scope.type
(interface_declaration name: (identifier) @scope.name) @scope.type
(enum_declaration name: (identifier) @scope.name) @scope.type
(record_declaration name: (identifier) @scope.name) @scope.type
(annotation_type_declaration name: (identifier) @scope.name) @scope.type
(enum_constant name: (identifier) @scope.name body: (class_body)) @scope.type
(object_creation_expression (class_body) @scope.type)

; Regions
[(line_comment) (block_comment)] @comment
[(string_literal) (character_literal)] @string
[(package_declaration) (import_declaration) (marker_annotation) (annotation)] @drop
