// A C library with thread-specific data of its own, whose destructor lies in it.
#include <pthread.h>

static pthread_key_t key;

static void gone(void *count) { __atomic_add_fetch((int *)count, 1, __ATOMIC_SEQ_CST); }

__attribute__((constructor)) static void start(void) { pthread_key_create(&key, gone); }

// Counts when the calling thread ends.
void neighbour_keep(int *count) { pthread_setspecific(key, count); }
