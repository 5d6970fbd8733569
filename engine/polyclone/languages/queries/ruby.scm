; Units
(method name: (_) @name body: (_)? @body) @function
(singleton_method name: (_) @name body: (_)? @body) @function
(assignment left: [(identifier) (constant) (instance_variable) (class_variable) (global_variable) (call) (scope_resolution)] @target
  right: (lambda body: (_) @body)) @lambda
(assignment left: [(identifier) (constant) (instance_variable) (class_variable) (global_variable) (call) (scope_resolution)] @target
  right: (call !receiver method: (identifier) @_maker block: (_) @body)
  (#any-of? @_maker "lambda" "proc")) @lambda
(assignment left: [(identifier) (constant) (instance_variable) (class_variable) (global_variable) (call) (scope_resolution)] @target
  right: (call receiver: (constant) @_proc method: (identifier) @_new block: (_) @body)
  (#eq? @_proc "Proc") (#eq? @_new "new")) @lambda
(pair key: [(hash_key_symbol) (simple_symbol) (string)] @name value: (lambda body: (_) @body)) @lambda
(pair key: [(hash_key_symbol) (simple_symbol) (string)] @name
  value: (call !receiver method: (identifier) @_maker block: (_) @body)
  (#any-of? @_maker "lambda" "proc")) @lambda
(call method: (identifier) @_define
  arguments: (argument_list . [(simple_symbol) (string)] @name)
  block: (_) @body
  (#any-of? @_define "define_method" "define_singleton_method")) @method

; Scopes
(class name: (_) @scope.name) @scope.type
(module name: (_) @scope.name) @scope.type
(singleton_class) @scope.type
(assignment left: (constant) @scope.name
  right: (call receiver: (constant) @_struct method: (identifier) @_new block: (_))
  (#any-of? @_struct "Struct" "Class" "Module" "Data") (#any-of? @_new "new" "define")) @scope.type

; Regions
(comment) @comment
(uninterpreted) @comment
[(string) (heredoc_body) (regex) (subshell) (character) (string_array) (symbol_array) (delimited_symbol)] @string
(heredoc_beginning) @drop
((call !receiver method: (identifier) @_import arguments: (argument_list . (string))) @drop
  (#any-of? @_import "require" "require_relative" "load"))
