//! Landlock for files, seccomp for system calls, capabilities for root.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
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
    // The network, by which Unix sockets of other programs are reached too. Pairs of sockets are no way out.
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
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
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

/// Calls that a process needs for itself, and that reach others by their first argument.
const REFUSED_FOR_OTHERS: &[i64] = &[libc::SYS_prlimit64];

/// Confines the calling thread as far as it can be.
pub(super) fn level() -> io::Result<Level> {
    let landlock = restrict_files(&Rules::default()).map_err(io::Error::other)?;
    let program = program().map_err(io::Error::other)?;
    Ok(Level { landlock, has_seccomp: is_filtered(apply_filter(&program))? })
}

/// Confines the calling thread, and what the command will start more than that: where it has left our process group.
pub(super) fn confine(rules: &Rules, level: Level, command: &mut Command) -> io::Result<()> {
    if level.landlock.is_some() {
        restrict_files(rules).map_err(io::Error::other)?;
    }
    give_up_capabilities()?;
    if level.has_seccomp {
        let program = program().map_err(io::Error::other)?;
        let filter = move || match apply_filter(&program) {
            Ok(()) => Ok(()),
            // Without a word: there is no memory to be had here.
            Err(_) => Err(io::ErrorKind::PermissionDenied.into()),
        };
        // SAFETY:
        // 1. Between fork and exec only what is safe in a signal handler: `apply_filter` makes two system calls with
        //    what lies on the stack and in `program`, which is only read; its error is a number, and so is ours.
        // 2. No memory is taken or freed, and no lock: the closure owns `program` and does not drop it.
        unsafe { command.pre_exec(filter) };
    }
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

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let others = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)
        .and_then(|other| SeccompRule::new(vec![other]))?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let conventions: &[i64] = if cfg!(target_arch = "x86_64") { &[0, X32] } else { &[0] };
    for added in conventions {
        rules.extend(REFUSED.iter().map(|call| (call | added, Vec::new())));
        rules.extend(REFUSED_FOR_OTHERS.iter().map(|call| (call | added, vec![others.clone()])));
    }
    // A call by the numbers of another architecture ends the process.
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        ARCHITECTURE,
    )?
    .try_into()
}
