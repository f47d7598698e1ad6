// Decodes batch after batch as the workload does, without Python between two of them; returns seconds, or a negative value.
#include <llama.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double decode(struct llama_context *context, const struct llama_batch *batches, int count) {
    double begin = now();
    llama_memory_clear(llama_get_memory(context), false);
    for (int number = 0; number < count; number++) {
        if (llama_decode(context, batches[number])) return -1.0;
        llama_synchronize(context);
    }
    return now() - begin;
}
