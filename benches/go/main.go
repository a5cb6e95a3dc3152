// What the plug for OpenTelemetry costs a span, and what a kill costs, each next to the SDK's own processors.
//
//	cargo build --release
//	cd benches/go && go run . prices    # or losses; PKG_CONFIG_PATH has the folder of spanspool.pc
package main

import (
	"log"
	"os"
)

func main() {
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	switch what {
	case "prices":
		prices()
	case "losses":
		losses()
	case "child": // of losses
		endForEver(os.Args[2], os.Args[3], os.Args[4])
	default:
		log.Fatal("usage: go run . prices|losses")
	}
}

// must is a value that can't be wanting.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
