package spanspool_test

import (
	"fmt"
	"os"
	"testing"

	"spanspool.example/spanspool"
)

// The test program is its own child, too. This environment variable says what it does then.
const childDoes = "SPANSPOOL_GO_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childDoes) {
	case "":
		os.Exit(m.Run())
	case "open":
		openOnce()
	case "enqueue":
		enqueueForEver()
	}
}

// openOnce prints what Open returns.
func openOnce() {
	client, err := spanspool.Open(spanspool.Config{SpoolDir: os.Args[1]})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("open", client.Close())
}

// enqueueForEver prints each item that was accepted.
func enqueueForEver() {
	client, err := spanspool.Open(spanspool.Config{SpoolDir: os.Args[1], Endpoint: nowhere})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := 0; ; n++ {
		text := item("killed", n)
		if err := client.Enqueue([]byte(text)); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(text)
	}
}
