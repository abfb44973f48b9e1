// Writes every kernel that a CUDA program runs to the file $KERNELS.PID, one a
// line: start and end in ns of the device's clock, the stream, 1 for a node of a
// CUDA graph, and the mangled name. The driver loads this library into the
// program that CUDA_INJECTION64_PATH is set for, and into those it starts, each
// of which has a file of its own; the program need not know.
#include <cupti.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { buffer_bytes = 256 << 10, alignment = 8, flush_us = 50000, path_bytes = 4096 };

static FILE * out;

static void CUPTIAPI give(uint8_t ** buffer, size_t * size, size_t * records) {
    *size    = buffer_bytes;
    *buffer  = aligned_alloc(alignment, buffer_bytes);
    *records = 0; // as many as there is room for
}

static void CUPTIAPI take(CUcontext context, uint32_t stream, uint8_t * buffer, size_t size, size_t valid) {
    (void) context, (void) stream, (void) size; // records name their own
    CUpti_Activity * record = NULL;
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
            const KERNEL_RECORD * k = (const KERNEL_RECORD *) record;
            fprintf(out, "%llu,%llu,%u,%d,%s\n", (unsigned long long) k->start, (unsigned long long) k->end, k->streamId,
                    k->graphId != 0, k->name);
        }
    }
    free(buffer);
    fflush(out);
}

// A Go program ends without the handlers of exit, so what is complete is
// written all along, and the last moment is cut off.
static void * flush(void * unused) {
    while (usleep(flush_us) == 0) {
        cuptiActivityFlushAll(0);
    }
    return unused;
}

static int failed(const char * what) {
    fprintf(stderr, "kernel trace: %s\n", what);
    return 0;
}

int InitializeInjection(void) {
    const char * prefix = getenv("KERNELS");
    char         path[path_bytes];
    if (!prefix || snprintf(path, sizeof path, "%s.%ld", prefix, (long) getpid()) >= (int) sizeof path ||
        !(out = fopen(path, "w"))) {
        return failed("KERNELS does not begin the name of a file that can be written");
    }
    fprintf(out, "start_ns,end_ns,stream,graph,kernel\n");
    pthread_t thread;
    if (cuptiActivityRegisterCallbacks(give, take) != CUPTI_SUCCESS ||
        cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS ||
        pthread_create(&thread, NULL, flush, NULL) != 0) {
        return failed("CUPTI refuses to trace kernels");
    }
    return 1;
}
