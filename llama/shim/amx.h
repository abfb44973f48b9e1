// Put before the engine's AMX kernels by CMakeLists.txt.
//
// GCC 12.2, and others of its years, tells its optimizer that _tile_loadconfig
// reads 8 of the 64 bytes that it does read. What the engine stores in the others
// is dropped then, and a processor with AMX ends the process at the first product
// with quantized weights.

#if defined(__AMX_TILE__)
#include <immintrin.h>
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg %0" : : "m"(*reinterpret_cast<const char(*)[64]>(config)))
#endif
