/* Put before the library by LD_PRELOAD: a library of another minor version. */
#include <stdint.h>

uint32_t spanspool_version_number(void) { return 0x000900; }
