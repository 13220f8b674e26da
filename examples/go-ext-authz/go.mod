module eco2-tracing.example/ext-authz

go 1.26
