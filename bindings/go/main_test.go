package spanspool_test

import (
	"fmt"
	"os"
	"testing"

	"spanspool.example/spanspool"
)

// The test program is its own child, too: what it does then stands in childDoes.
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

// openOnce says what Open says.
func openOnce() {
	client, err := spanspool.Open(spanspool.Config{SpoolDir: os.Args[1]})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("open", client.Close())
}

// enqueueForEver tells each item that was taken.
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
