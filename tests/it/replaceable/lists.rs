//! The same where access lists (POSIX ACLs) say it, whose mask the group bits of a mode are; and in user namespaces, where
//! all other users look like one.

use std::path::Path;
use std::process::Command;

use super::{Case, MALLORY, Place, USERS, chmod, each, fs, group, owner};
use crate::sandbox::person::can_be_others;
use crate::sandbox::{Output, Sandbox, lacking};

const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const NOBODY: u32 = u32::MAX;
const ANOTHER: u32 = 61009;

/// Gives a file or directory an access list: these entries between owner and others, sorted as the kernel wants them.
fn list(path: &Path, entries: &[(u16, u16, u32)], mask: u16) -> std::io::Result<()> {
    let mut all = vec![(OWNER, 7, NOBODY)];
    all.extend(entries.iter().filter(|entry| entry.0 == USER));
    let owning = entries.iter().find(|entry| entry.0 == OWNING);
    all.push(owning.copied().unwrap_or((OWNING, 5, NOBODY)));
    all.extend(entries.iter().filter(|entry| entry.0 == GROUP));
    all.extend([(MASK, mask, NOBODY), (OTHER, 5, NOBODY)]);
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, number) in all {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(number.to_le_bytes());
    }
    let name = "system.posix_acl_access";
    rustix::fs::setxattr(path, name, &bytes, rustix::fs::XattrFlags::empty())?;
    Ok(())
}

fn programs(place: &Place, entries: &[(u16, u16, u32)], mask: u16) {
    for program in &place.programs {
        list(program, entries, mask).unwrap();
    }
}

/// Many who may read and one who may write, last; as many as the filesystem keeps.
fn many(path: &Path) -> std::io::Result<()> {
    let users = |count: u32| {
        let readers = (61001 - count..61001).map(|user| (USER, 5, user));
        readers.chain([(USER, 7, MALLORY)]).collect::<Vec<_>>()
    };
    list(path, &users(1000), 7).or_else(|_| list(path, &users(400), 7))
}

const MAY_WRITE: Option<&str> = Some("user 61001 can write");

#[rustfmt::skip]
const LISTS: &[Case] = &[
    ("a directory that another user may write in", &[], |p| list(&p.bin, &[(USER, 7, MALLORY)], 7).unwrap(), MAY_WRITE),
    ("programs that another user may write", &[], |p| programs(p, &[(USER, 7, MALLORY)], 7), MAY_WRITE),
    ("programs that another user may only write", &[], |p| programs(p, &[(USER, 2, MALLORY)], 7), MAY_WRITE),
    ("a directory above that another user may write in", &[], |p| list(&p.top, &[(USER, 7, MALLORY)], 7).unwrap(), MAY_WRITE),
    ("a second user of the list", &[], |p| list(&p.bin, &[(USER, 7, 0), (USER, 5, 61000), (USER, 6, MALLORY)], 7).unwrap(), MAY_WRITE),
    ("the last of a thousand users", &[], |p| many(&p.bin).unwrap(), MAY_WRITE),
    ("another user than the trusted", &["61009"], |p| list(&p.bin, &[(USER, 7, MALLORY), (USER, 7, ANOTHER)], 7).unwrap(), MAY_WRITE),
    ("another user, where all groups may write on purpose", &[], |p| {
        chmod(&p.bin, 0o2775);
        list(&p.bin, &[(USER, 7, MALLORY)], 7).unwrap();
    }, MAY_WRITE),
    ("a sticky directory above that another user may write in", &[], |p| {
        list(&p.top, &[(USER, 7, MALLORY)], 7).unwrap();
        chmod(&p.top, 0o1775);
    }, None),
    ("a user who is trusted", &["61001"], |p| list(&p.bin, &[(USER, 7, MALLORY)], 7).unwrap(), None),
    ("root and the owner in the list", &[], |p| list(&p.bin, &[(USER, 7, 0)], 7).unwrap(), None),
    ("a user who may read", &[], |p| list(&p.bin, &[(USER, 5, MALLORY), (USER, 7, 0)], 7).unwrap(), None),
    ("a user whom the mask keeps from writing", &[], |p| list(&p.bin, &[(USER, 7, MALLORY)], 5).unwrap(), None),
    ("a group whom the mask keeps from writing", &[], |p| list(&p.bin, &[(GROUP, 7, USERS)], 5).unwrap(), None),
    ("a group of the list", &[], |p| list(&p.bin, &[(GROUP, 7, USERS)], 7).unwrap(), Some("the group users can write")),
    ("programs that a group of the list may write", &[], |p| programs(p, &[(GROUP, 2, USERS)], 7), Some("the group users can write")),
    ("the owning group, by the list", &[], |p| {
        group(&p.bin, USERS);
        list(&p.bin, &[(OWNING, 7, NOBODY)], 7).unwrap();
    }, Some("the group users can write")),
    // The group bits of its mode are rwx: the mask.
    ("the owning group may only read, by the list", &[], |p| {
        group(&p.bin, USERS);
        list(&p.bin, &[(OWNING, 5, NOBODY), (USER, 7, 0)], 7).unwrap();
    }, None),
    ("a group of the list, in a directory that is shared on purpose", &[], |p| {
        chmod(&p.bin, 0o2775);
        list(&p.bin, &[(GROUP, 7, USERS)], 7).unwrap();
    }, None),
    ("a group of the list, in a directory above", &[], |p| list(&p.top, &[(GROUP, 7, USERS)], 7).unwrap(), None),
];

#[test]
fn what_access_lists_let_others_replace_is_not_run() {
    let probe = Sandbox::single();
    let path = probe.path("probe");
    fs::write(&path, "").unwrap();
    if lacking::unless(list(&path, &[(USER, 7, 0)], 7).is_ok(), "access lists") {
        each(LISTS);
    }
}

/// Locks in a user namespace that shows this user alone, as root.
fn lock_in_namespace(sandbox: &Sandbox, place: &Place) -> Output {
    let _ = fs::remove_file(sandbox.path("rootstock.lock"));
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        env!("CARGO_BIN_EXE_rootstock"),
        "lock",
    ]);
    sandbox.set_up(&mut command);
    let (first, own) = (place.bin.display(), sandbox.path("bin"));
    command.env("PATH", format!("{first}:{}:/usr/bin:/bin", own.display()));
    Output::from(command.output().unwrap())
}

/// What happens to a place.
type Change = fn(&Place);

/// What is done to a place, and whether its programs are run in a namespace.
#[rustfmt::skip]
const SPACES: &[(&str, Change, Option<&str>)] = &[
    ("as it should be", |_| {}, None),
    // Root's files look like this there, too.
    ("another user's program", |p| p.programs.iter().for_each(|path| owner(path, MALLORY)), None),
    ("a program that everybody can write", |p| p.programs.iter().for_each(|path| chmod(path, 0o757)), Some("everybody can write")),
    ("a directory that everybody can write in", |p| chmod(&p.bin, 0o777), Some("everybody can write")),
    ("another user's program that everybody can write", |p| p.programs.iter().for_each(|path| {
        owner(path, MALLORY);
        chmod(path, 0o777);
    }), Some("everybody can write")),
];

#[test]
fn in_a_user_namespace_modes_count_and_owners_are_not_known() {
    let unshare = Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .output();
    let there = unshare.is_ok_and(|output| output.status.success());
    if !lacking::unless(there, "user namespaces") || !can_be_others() {
        return;
    }
    let sandbox = Sandbox::single();
    for (what, make, refused) in SPACES {
        let place = Place::new(&sandbox);
        make(&place);
        let result = lock_in_namespace(&sandbox, &place);
        result.expect(0);
        let message = result.message();
        let ran = fs::read_to_string(sandbox.path("canary")).unwrap_or_default();
        for program in &place.programs {
            let is_run = ran.contains(&program.display().to_string());
            assert_eq!(is_run, refused.is_none(), "{what}: {message}");
        }
        assert!(
            message.contains(refused.unwrap_or_default()),
            "{what}: {message}"
        );
    }
}
