//! The program where the kernel refuses some system calls to it and to all that it starts, by a seccomp filter: that
//! takes neither privileges nor strace. What is refused is refused always; for a call among others there is `trace`.

use std::process::Command;

use super::{Sandbox, lacking, python};

const BECOME: &str = include_str!("refuse.py");

/// The program in a sandbox without these calls, ready for its arguments; `None` where there is no seccomp.
pub(crate) fn command(sandbox: &Sandbox, calls: &[&str], error: &str) -> Option<Command> {
    let mut command = program(calls, error)?;
    sandbox.set_up(&mut command);
    Some(command)
}

/// The program as it is started here, without these calls.
pub(crate) fn program(calls: &[&str], error: &str) -> Option<Command> {
    let refusing = || {
        let calls: Vec<String> = calls.iter().flat_map(|call| numbers(call)).collect();
        let mut command = Command::new(python());
        command
            .args(["-I", "-S", "-c", BECOME])
            .arg(calls.join(","));
        command.arg(number(error).to_string());
        command
    };
    let mut tried = refusing();
    tried.arg(python()).args(["-I", "-S", "-c", ""]);
    let works = tried.output().unwrap().status.success();
    lacking::unless(works, "seccomp").then(|| {
        let mut command = refusing();
        command.arg(env!("CARGO_BIN_EXE_rootstock"));
        command
    })
}

/// The numbers of a call, and of what it is called where it has no number of its own.
fn numbers(call: &str) -> Vec<String> {
    let number = match call {
        #[cfg(target_arch = "x86_64")]
        "link" => libc::SYS_link,
        #[cfg(target_arch = "x86_64")]
        "mkdir" => libc::SYS_mkdir,
        #[cfg(target_arch = "x86_64")]
        "rename" => libc::SYS_rename,
        #[cfg(target_arch = "x86_64")]
        "symlink" => libc::SYS_symlink,
        "connect" => libc::SYS_connect,
        "linkat" => libc::SYS_linkat,
        "mkdirat" => libc::SYS_mkdirat,
        "renameat" => libc::SYS_renameat,
        "renameat2" => libc::SYS_renameat2,
        "symlinkat" => libc::SYS_symlinkat,
        "copy_file_range" => libc::SYS_copy_file_range,
        "sendfile" => libc::SYS_sendfile,
        "syncfs" => libc::SYS_syncfs,
        "flock" => libc::SYS_flock,
        // Locks of POSIX and of open file descriptions are commands of one call.
        "locks" => {
            let commands = [
                libc::F_GETLK,
                libc::F_SETLK,
                libc::F_SETLKW,
                libc::F_OFD_GETLK,
                libc::F_OFD_SETLK,
                libc::F_OFD_SETLKW,
            ];
            return commands
                .map(|command| format!("{}={command}", libc::SYS_fcntl))
                .to_vec();
        }
        #[cfg(not(target_arch = "x86_64"))]
        "link" | "mkdir" | "rename" | "symlink" => return Vec::new(),
        other => panic!("{other}: say its number"),
    };
    vec![number.to_string()]
}

fn number(error: &str) -> i32 {
    match error {
        "EDQUOT" => libc::EDQUOT,
        "EINVAL" => libc::EINVAL,
        "EIO" => libc::EIO,
        "ENOLCK" => libc::ENOLCK,
        "ENOSPC" => libc::ENOSPC,
        "ENOSYS" => libc::ENOSYS,
        "EPERM" => libc::EPERM,
        "EROFS" => libc::EROFS,
        "EXDEV" => libc::EXDEV,
        other => panic!("{other}: say its number"),
    }
}
