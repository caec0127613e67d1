// What `neighbour.c` links.
void distant_gone(void *count) { __atomic_add_fetch((int *)count, 1, __ATOMIC_SEQ_CST); }
