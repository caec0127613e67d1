// A C library with thread-specific data, whose destructor lies in another one that it links, `distant.c`.
#include <pthread.h>

void distant_gone(void *count);

static pthread_key_t key;

__attribute__((constructor)) static void start(void) { pthread_key_create(&key, distant_gone); }

// Counts when the calling thread ends.
void neighbour_keep(int *count) { pthread_setspecific(key, count); }
