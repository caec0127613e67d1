/* Tries system calls, and says which of them the filter let pass or refused, where it should have done the other.
   The arguments are such that the kernel itself would do nothing, and not say EPERM. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REFUSED(...) (errno = 0, syscall(__VA_ARGS__), said(errno == EPERM, "passes", #__VA_ARGS__))
#define ALLOWED(...) (errno = 0, syscall(__VA_ARGS__), said(errno != EPERM, "is refused", #__VA_ARGS__))

static void said(int is_well, const char *what, const char *call) {
    if (!is_well)
        printf("%s: %s (%d)\n", call, what, errno);
}

/* No process has this number. */
static const int other = 0x7fffffff;

int main(void) {
    REFUSED(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, NULL);
    REFUSED(SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, NULL);
    REFUSED(SYS_socketpair, AF_UNIX, SOCK_RAW, 0, NULL);
    REFUSED(SYS_socketpair, AF_INET, SOCK_STREAM, 0, NULL);
    ALLOWED(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, NULL);
    ALLOWED(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, NULL);

    REFUSED(SYS_truncate, "/nowhere/file", 0);
    ALLOWED(SYS_ftruncate, -1, 0);

    REFUSED(SYS_sched_setaffinity, other, 0, NULL);
    REFUSED(SYS_sched_setscheduler, other, 0, NULL);
    REFUSED(SYS_sched_setparam, other, NULL);
    REFUSED(SYS_sched_setattr, other, NULL, 0);
    REFUSED(SYS_setpriority, 0, other, 0);
    REFUSED(SYS_setpriority, 3, 0, 0);
    REFUSED(SYS_ioprio_set, 1, other, 0);
    REFUSED(SYS_ioprio_set, 4, 0, 0);
    ALLOWED(SYS_sched_setaffinity, 0, 0, NULL);
    ALLOWED(SYS_sched_getaffinity, other, 0, NULL);
    ALLOWED(SYS_sched_setscheduler, 0, 0, NULL);
    ALLOWED(SYS_sched_setparam, 0, NULL);
    ALLOWED(SYS_sched_setattr, 0, NULL, 0);
    ALLOWED(SYS_setpriority, 0, 0, 19);
    ALLOWED(SYS_ioprio_set, 1, 0, 0);

    REFUSED(SYS_msgget, 0x7fff0001, 0);
    REFUSED(SYS_msgsnd, -1, NULL, 0, 0);
    REFUSED(SYS_msgrcv, -1, NULL, 0, 0, 0);
    REFUSED(SYS_msgctl, -1, 0, NULL);
    REFUSED(SYS_semget, 0x7fff0001, 0, 0);
    REFUSED(SYS_semop, -1, NULL, 0);
    REFUSED(SYS_semtimedop, -1, NULL, 0, NULL);
    REFUSED(SYS_semctl, -1, 0, 0, NULL);
    REFUSED(SYS_shmget, 0x7fff0001, 0, 0);
    REFUSED(SYS_shmat, -1, NULL, 0);
    REFUSED(SYS_shmdt, 1);
    REFUSED(SYS_shmctl, -1, 0, NULL);
    REFUSED(SYS_mq_unlink, "nowhere");

    REFUSED(SYS_clone, CLONE_NEWUSER | CLONE_FS, NULL, NULL, NULL, NULL);
    ALLOWED(SYS_clone, CLONE_THREAD, NULL, NULL, NULL, NULL);
    errno = 0;
    syscall(SYS_clone3, NULL, 0);
    said(errno == ENOSYS, "is there", "SYS_clone3");

    puts("tried");
    return 0;
}
