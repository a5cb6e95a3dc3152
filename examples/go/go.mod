module spanspool.example/service

go 1.23

require spanspool.example/spanspool v0.0.0

replace spanspool.example/spanspool => ../../bindings/go
