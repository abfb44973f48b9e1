// Put before the engine's AMX kernels by CMakeLists.txt.
//
// GCC 12 tells its optimizer that _tile_loadconfig reads 8 of the
// 64 bytes that it does read. What the engine stores in the others is dropped
// then, the processor refuses the configuration, and any matrix of quantized
// weights ends the process with SIGSEGV.

#if defined(__AMX_TILE__)
#include <immintrin.h>
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg %0" : : "m"(*reinterpret_cast<const char(*)[64]>(config)))
#endif
