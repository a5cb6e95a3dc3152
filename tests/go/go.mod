module spanspool.example/smoke

go 1.21
