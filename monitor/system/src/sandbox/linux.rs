//! Landlock for files, seccomp for system calls, capabilities for root.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::{Level, Rules};
use crate::process::Command;

/// The newest version that is asked for; of an older kernel what it has.
const NEWEST: ABI = ABI::V9;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// What the same call has added to its number by the other convention of x86-64, which some kernels have.
const X32: i64 = 0x4000_0000;

/// Calls that no compiler needs.
const REFUSED: &[i64] = &[
    // The network, by which Unix sockets of other programs are reached too.
    libc::SYS_socket,
    // It does the calls of this list past the filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // A build ends with its process group.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Into other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmdt,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Landlock knows of it from version 3 on. What is open is cut by ftruncate.
    libc::SYS_truncate,
    // The view of the file system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel and the machine.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_syslog,
];

/// Calls that a process may do to itself: each with the arguments, by their place, that say so.
const REFUSED_FOR_OTHERS: &[(i64, &[(u8, u64)])] = &[
    (libc::SYS_prlimit64, &[(0, 0)]),
    (libc::SYS_sched_setaffinity, &[(0, 0)]),
    (libc::SYS_sched_setscheduler, &[(0, 0)]),
    (libc::SYS_sched_setparam, &[(0, 0)]),
    (libc::SYS_sched_setattr, &[(0, 0)]),
    (libc::SYS_setpriority, &[(0, libc::PRIO_PROCESS as u64), (1, 0)]),
    (libc::SYS_ioprio_set, &[(0, IOPRIO_WHO_PROCESS), (1, 0)]),
];

/// *Source*: ioprio_set(2).
const IOPRIO_WHO_PROCESS: u64 = 1;

/// What of the type of a socket is the type; the rest are flags. *Source*: linux/net.h.
const SOCKET_TYPES: u64 = 0xf;

/// Pairs of sockets that reach nothing but each other. One of datagrams sends to any path.
const CONNECTED: [u64; 2] = [libc::SOCK_STREAM as u64, libc::SOCK_SEQPACKET as u64];

/// Confines the calling thread as far as it can be.
pub(super) fn level() -> io::Result<Level> {
    let landlock = restrict_files(&Rules::default()).map_err(io::Error::other)?;
    let program = refusing().map_err(io::Error::other)?;
    Ok(Level { landlock, has_seccomp: is_filtered(apply_filter(&program))? })
}

/// Confines the calling thread, and what the command will start more than that: where it has left our process group.
pub(super) fn confine(rules: &Rules, level: Level, command: &mut Command) -> io::Result<()> {
    // Programs of other users, and root's rights, would be a way back.
    set_no_new_privs(true)?;
    if level.landlock.is_some() {
        restrict_files(rules).map_err(io::Error::other)?;
    }
    give_up_capabilities()?;
    let mut programs = Vec::new();
    if level.has_seccomp {
        programs.push(refusing().map_err(io::Error::other)?);
        programs.push(without_clone3().map_err(io::Error::other)?);
    }
    let filter = move || {
        // What this program opened without a thought of its children. A kernel before 5.11 says no, and it stays.
        // SAFETY:
        // 1. Between fork and exec only what is safe in a signal handler: a system call, which takes three numbers.
        // 2. No descriptor is closed under somebody: the table is the child's own since the fork, and all but the three of
        //    exec are marked to be closed by it. The one by which std tells of a failed exec is marked already.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                libc::STDERR_FILENO + 1,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        for program in &programs {
            // Without a word: there is no memory to be had here.
            apply_filter(program).map_err(|_| io::Error::from(io::ErrorKind::PermissionDenied))?;
        }
        Ok(())
    };
    // SAFETY:
    // 1. Between fork and exec only what is safe in a signal handler: beside the above, `apply_filter` makes two system
    //    calls with what lies on the stack and in `programs`, which are only read; its error is a number, and so is ours.
    // 2. No memory is taken or freed, and no lock: the closure owns `programs` and does not drop them.
    unsafe { command.pre_exec(filter) };
    Ok(())
}

/// The version by which files are restricted.
fn restrict_files(rules: &Rules) -> Result<Option<u32>, RulesetError> {
    let nothing_made: BitFlags<AccessFs> = AccessFs::MakeChar | AccessFs::MakeBlock;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(&rules.readable, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(&rules.writable, AccessFs::from_all(NEWEST) & !nothing_made))?
        .restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as u32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    })
}

/// Root may do more than the rules speak of, raise its own limits for one. What owns the files of a build need not be root.
fn give_up_capabilities() -> io::Result<()> {
    let kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::FSETID;
    let present = capabilities(None)?;
    let sets = CapabilitySets {
        effective: present.effective & kept,
        permitted: present.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Whether the kernel took the filter; EINVAL says that it knows none.
fn is_filtered(answer: Result<(), seccompiler::Error>) -> io::Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) =>
        {
            Ok(false)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The calls that no compiler needs fail.
fn refusing() -> Result<BpfProgram, BackendError> {
    let mut rules: Vec<(i64, Vec<SeccompRule>)> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, own) in REFUSED_FOR_OTHERS {
        let others = own.iter().map(|&(place, value)| when(place, SeccompCmpOp::Ne, value));
        rules.push((*call, others.collect::<Result<_, _>>()?));
    }
    let domain = when(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64);
    let kinds = (0..=SOCKET_TYPES).filter(|kind| !CONNECTED.contains(kind));
    let kinds = kinds.map(|kind| when(1, SeccompCmpOp::MaskedEq(SOCKET_TYPES), kind));
    rules.push((libc::SYS_socketpair, kinds.chain([domain]).collect::<Result<_, _>>()?));
    // Whoever has namespaces of its own is root in there.
    let namespace = libc::CLONE_NEWUSER as u64;
    let namespace = when(0, SeccompCmpOp::MaskedEq(namespace), namespace)?;
    rules.push((libc::SYS_clone, vec![namespace]));
    program(rules, libc::EPERM)
}

/// The flags of clone3 lie in memory, where no filter sees them. Who is told that there is none takes clone.
fn without_clone3() -> Result<BpfProgram, BackendError> {
    program(vec![(libc::SYS_clone3, Vec::new())], libc::ENOSYS)
}

/// When the low half of an argument is so. What is compared here are ints.
fn when(place: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(place, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

/// Calls fail with this error, where one of the rules fits or there are none.
fn program(
    rules: Vec<(i64, Vec<SeccompRule>)>,
    error: libc::c_int,
) -> Result<BpfProgram, BackendError> {
    let conventions: &[i64] = if cfg!(target_arch = "x86_64") { &[0, X32] } else { &[0] };
    let of_all = conventions
        .iter()
        .flat_map(|added| rules.iter().map(move |(call, rules)| (call | added, rules.clone())));
    // A call by the numbers of another architecture ends the process.
    SeccompFilter::new(
        of_all.collect::<BTreeMap<_, _>>(),
        SeccompAction::Allow,
        SeccompAction::Errno(error as u32),
        ARCHITECTURE,
    )?
    .try_into()
}
