/* Loops that take blocks and give them back, for pairs.py: nanoseconds of this
   thread's CPU time for one block, the least of several slices. */
#include <stddef.h>
#include <time.h>

typedef void *(*allocate_function)(size_t);
typedef void (*release_function)(void *);

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Each block is written to and goes back before the next one is taken. */
double pairs(allocate_function allocate, release_function release, size_t size, long count, int slices)
{
    double best = 1e30;
    while (slices-- > 0) {
        double begin = now();
        for (long i = 0; i < count; i++) {
            volatile char *block = allocate(size);
            *block = 1;
            release((void *)block);
        }
        double each = (now() - begin) / count;
        best = each < best ? each : best;
    }
    return best;
}

/* A random one of `live` blocks goes back and another size, up to `mask` + 1, takes its place. */
double replaced(allocate_function allocate, release_function release, void **blocks, long live,
                size_t mask, long count, int slices)
{
    double best = 1e30;
    unsigned long random = 88172645463325252ul;
    for (long i = 0; i < live; i++)
        blocks[i] = allocate(1 + (i * 37 & mask));
    while (slices-- > 0) {
        double begin = now();
        for (long i = 0; i < count; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            void **place = blocks + (random >> 20) % live;
            release(*place);
            *place = allocate(1 + (random & mask));
            *(volatile char *)*place = 1;
        }
        double each = (now() - begin) / count;
        best = each < best ? each : best;
    }
    for (long i = 0; i < live; i++)
        release(blocks[i]);
    return best;
}
