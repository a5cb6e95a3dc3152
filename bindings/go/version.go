package spanspool

// #include <spanspool.h>
import "C"

import "fmt"

// Version is the version of the library that is running, such as "0.2.0".
func Version() string { return C.GoString(C.spanspool_version()) }

// checkVersion tells whether the library that was loaded has the interface of the header this was built with. Until 1.0
// the second number is the one that says so.
func checkVersion() error {
	built, loaded := uint32(C.SPANSPOOL_VERSION_NUMBER), uint32(C.spanspool_version_number())
	if built>>8 == loaded>>8 {
		return nil
	}
	return &Error{Status: ErrInvalidArgument, Message: fmt.Sprintf(
		"the program was built with the header of version %s and has loaded the library of version %s; "+
			"build it again, or let it find the library that it was built for",
		dotted(built), dotted(loaded))}
}

func dotted(version uint32) string {
	return fmt.Sprintf("%d.%d.%d", version>>16, version>>8&0xff, version&0xff)
}
