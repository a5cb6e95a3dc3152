module spanspool.example/spanspool

go 1.23
