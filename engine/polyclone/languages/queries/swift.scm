; Units
; Without @name and @body the fields of these names are taken. A name may be an operator here, and asking for the
; body in the query makes it take three times as long to compile.
(function_declaration) @function
(init_declaration name: "init" @name body: (function_body) @body) @constructor
(deinit_declaration "deinit" @name body: (function_body) @body) @method
(property_declaration name: (pattern bound_identifier: (_) @name) computed_value: (computed_property (statements)) @body) @method
(subscript_declaration "subscript" @name (computed_property (statements)) @body) @method
(computed_getter (getter_specifier) @accessor (statements) @body) @method
(computed_setter (setter_specifier) @accessor (statements) @body) @method
(didset_clause "didSet" @accessor (statements) @body) @method
(willset_clause "willSet" @accessor (statements) @body) @method
(property_declaration name: (pattern bound_identifier: (_) @name) value: (lambda_literal) @body) @lambda
(assignment target: (_) @target result: (lambda_literal) @body) @lambda

; Scopes
(class_declaration name: (_) @scope.name) @scope.type
(protocol_declaration name: (_) @scope.name) @scope.type
(property_declaration name: (pattern bound_identifier: (_) @scope.name) computed_value: (_)) @scope.property
(property_declaration name: (pattern bound_identifier: (_) @scope.name) (willset_didset_block)) @scope.property
(subscript_declaration "subscript" @scope.name) @scope.property

; Regions
[(comment) (multiline_comment)] @comment
[(line_string_literal) (multi_line_string_literal) (raw_string_literal) (regex_literal)] @string
[(import_declaration) (attribute)] @drop
(typealias_declaration) @declaration
