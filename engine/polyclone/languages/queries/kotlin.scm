; Units
(function_declaration
  [(user_type) (nullable_type) (parenthesized_type)]? @receiver
  .
  name: (identifier) @name
  (function_body) @body) @function
(secondary_constructor "constructor" @name (block) @body) @constructor
(getter "get" @accessor (function_body) @body) @method
(setter "set" @accessor (function_body) @body) @method
(property_declaration (variable_declaration . (identifier) @name) [(lambda_literal) (anonymous_function (function_body))] @body) @lambda
(assignment left: [(identifier) (navigation_expression)] @target right: [(lambda_literal) (anonymous_function (function_body))] @body) @lambda

; Scopes
(class_declaration name: (identifier) @scope.name) @scope.type
(object_declaration name: (identifier) @scope.name) @scope.type
(companion_object name: (identifier) @scope.name) @scope.type
(companion_object !name) @scope.type
(object_literal) @scope.type
(enum_entry . (identifier) @scope.name (class_body)) @scope.type
(property_declaration (variable_declaration . (identifier) @scope.name) [(getter) (setter)]) @scope.property

; Regions
[(line_comment) (block_comment)] @comment
[(string_literal) (multiline_string_literal) (character_literal)] @string
[(package_header) (import) (annotation) (file_annotation)] @drop
(type_alias) @declaration
